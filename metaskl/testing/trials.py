"""Learners built in every way that they allow, with small seeded data for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metaskl.backbones import MLP, Backbone, Conv4, FromModule
from metaskl.learners import MetaLearner
from metaskl.tasks import Episode

POOL = 6  # classes of a meta-training pool, where classes are private to a task
# Rows of support and query of the tasks of an episode: of unequal size, so that there is padding.
SIZES = ((3, 4), (5, 2), (8, 6))


class _Normed(nn.Module):
    """A network with a norm layer, over which gradients of mapped gradients go wrong."""

    def __init__(self, n_features: int, n_units: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, n_units)
        self.norm = nn.LayerNorm(n_units)
        self.second = nn.Linear(n_units, n_units)

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.tanh(self.norm(self.first(X)))
        return torch.tanh(self.second(hidden))


def _table() -> Backbone:
    return MLP((8,), activation="tanh")


def _pictures() -> Backbone:
    return Conv4(n_channels=8, n_blocks=1)


def _normed() -> Backbone:
    return FromModule(_Normed, {"n_features": 3, "n_units": 6})


@dataclass(frozen=True)
class Trial:
    """One way to build a learner, and data that fit it.

    Attributes
    ----------
    name : str
        What is tried.
    learner_class : type
        The learner's class.
    arguments : mapping
        Hyper-parameters of every learner made.
    backbone : Backbone
        The network's spec.
    in_shape : tuple of int
        Shape of a row.
    kind, n_outputs, private_labels
        As in :class:`~metaskl.learners.MetaLearner`.
    """

    name: str
    learner_class: type[MetaLearner]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    backbone: Backbone = field(default_factory=_table)
    in_shape: tuple[int, ...] = (3,)
    kind: str = "regression"
    n_outputs: int = 1
    private_labels: bool = False

    def learner(self, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> MetaLearner:
        """Build the learner from a seed, without touching torch's own random state."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            learner = self.learner_class(
                self.backbone.build(self.in_shape),
                self.n_outputs,
                kind=self.kind,
                private_labels=self.private_labels,
                n_pool_classes=POOL if self.private_labels else 0,
                **self.arguments,
            )
        # So that no two parameters are alike by their initialisation (zeros, ones).
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        learner.after_step()  # as after an outer step: brought back to where they may be
        return learner.to(dtype)

    def task(
        self, n_rows: int, *, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> tuple[Tensor, Tensor]:
        """Draw rows of one task: targets of a random linear function, or classes in turn."""
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_rows, *self.in_shape))
        if self.kind == "regression":
            coef = rng.standard_normal((int(np.prod(self.in_shape)), self.n_outputs))
            y = X.reshape(n_rows, -1) @ coef / np.sqrt(len(coef))
        else:
            label = np.arange(n_rows) % self.n_outputs
            y = np.eye(self.n_outputs)[label]
            X = X + label.reshape(-1, *[1] * len(self.in_shape))
        return torch.from_numpy(X).to(dtype), torch.from_numpy(y).to(dtype)

    def episode(
        self, *, seed: int = 0, dtype: torch.dtype = torch.float64, only: int | None = None
    ) -> Episode:
        """Stack the tasks of `SIZES`, or take one of them alone, without padding.

        Padding holds ordinary numbers and not zeros: only its weight says that it is padding.
        """
        chosen = range(len(SIZES)) if only is None else [only]
        sizes = [SIZES[t] for t in chosen]
        drawn = [self.task(sum(SIZES[t]), seed=seed + t, dtype=dtype) for t in chosen]
        support = [(X[:n], y[:n]) for (n, _), (X, y) in zip(sizes, drawn, strict=True)]
        query = [(X[n:], y[n:]) for (n, _), (X, y) in zip(sizes, drawn, strict=True)]
        ways = None
        if self.private_labels:
            rng = np.random.default_rng(seed)
            pools = np.stack([rng.permutation(POOL)[: self.n_outputs] for _ in SIZES])
            ways = torch.from_numpy(pools[list(chosen)])
        return Episode(*_padded(support), *_padded(query), ways=ways)


def trials_of(
    learner_class: type[MetaLearner], arguments: Mapping[str, Any] | None = None
) -> list[Trial]:
    """Return all the ways to build a learner: kinds, label spaces, tables and images.

    Parameters
    ----------
    learner_class : type
        The learner's class.
    arguments : mapping, optional
        Hyper-parameters that every one of them has.

    Returns
    -------
    list of Trial
        One entry for each way that the learner's `kinds` allow.
    """
    ways: dict[str, dict[str, Any]] = {
        "regression": {},
        "regression of two targets": {"n_outputs": 2},
        "regression with a norm layer": {"backbone": _normed()},
        "classes": {"kind": "classification", "n_outputs": 3},
        "classes with a norm layer": {
            "kind": "classification",
            "n_outputs": 3,
            "backbone": _normed(),
        },
        "private classes": {"kind": "classification", "n_outputs": 3, "private_labels": True},
        "private classes of pictures": {
            "kind": "classification",
            "n_outputs": 2,
            "private_labels": True,
            "backbone": _pictures(),
            "in_shape": (1, 4, 4),
        },
    }
    own = dict(arguments or {})
    found = [Trial(name, learner_class, own, **way) for name, way in ways.items()]
    return [trial for trial in found if trial.kind in learner_class.kinds]


def _padded(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Stack rows of unequal number, filled up with rows of weight 0."""
    longest = max(len(X) for X, _ in parts)
    weight = torch.stack([(torch.arange(longest) < len(X)).to(X.dtype) for X, _ in parts])
    X, y = (torch.stack([_filled(part[i], longest) for part in parts]) for i in (0, 1))
    return X, y, weight


def _filled(rows: Tensor, length: int) -> Tensor:
    """Repeat the first row, moved a little, until there are as many as asked."""
    filling = (rows[:1] + 0.5).expand(length - len(rows), *rows.shape[1:])
    return torch.cat([rows, filling])
