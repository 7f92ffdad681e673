"""Inner step sizes as rows beside the packed weights, and what their gradient belongs to."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metaskl.learners.engine.packing import Packing


class Inner(NamedTuple):
    """How a learner takes its inner steps.

    Attributes
    ----------
    adapted : set of str
        Which weights they change.
    lr : float
        The step size where none is learned.
    learned : mapping of str to Tensor
        The learned ones by the weights' names; empty where none is.
    by_step : bool
        Whether these are of shape (step,), or of the weights' own.
    n_steps : int
        How many steps; those beyond the learned ones take the last.
    clip : float or None
        Largest norm of a task's gradient.
    """

    adapted: set[str]
    lr: float
    learned: Mapping[str, Tensor]
    by_step: bool
    n_steps: int
    clip: float | None


class Rates:
    """The step sizes of an inner loop, packed.

    Parameters
    ----------
    packing : Packing
        How the weights are packed.
    inner : Inner
        How the steps are taken.
    like : Tensor
        Of the weights' type and device.
    """

    def __init__(self, packing: Packing, inner: Inner, like: Tensor) -> None:
        self.packing = packing
        self.inner = inner
        self.names = [name for name in packing.shapes if name in inner.learned]
        self._entry = packing.entry(like.device)
        self.adapted: Tensor | None = None
        if len(inner.adapted) < len(packing.shapes):
            sizes = zip(packing.shapes, packing.sizes, strict=True)
            own = [like.new_full((n,), float(name in inner.adapted)) for name, n in sizes]
            self.adapted = torch.cat(own)

    def replaced(self, learned: Sequence[Tensor]) -> Rates:
        """Return rates that differ in what is learned, in the order of `names`."""
        other = copy.copy(self)
        other.inner = self.inner._replace(learned=dict(zip(self.names, learned, strict=True)))
        return other

    @property
    def learned(self) -> list[Tensor]:
        """Return the learned rates, in the order of the packing."""
        return [self.inner.learned[name] for name in self.names]

    def rows(self) -> Sequence[float | Tensor]:
        """Return the step size of each step."""
        lr, n_steps = self.inner.lr, self.inner.n_steps
        if not self.names:
            return [lr if self.adapted is None else lr * self.adapted] * n_steps
        if not self.inner.by_step:
            tensors = [self._of(name).detach() for name in self.packing.shapes]
            return [self.packing.packed(tensors)] * n_steps
        by_step = self.by_tensor()
        assert isinstance(by_step, Tensor)
        return by_step.index_select(1, self._entry).unbind(0)

    @property
    def one_a_tensor(self) -> bool:
        """Say whether all weights are adapted, each tensor of them by one rate in a step."""
        return self.adapted is None and (self.inner.by_step or not self.names)

    def by_tensor(self) -> float | Tensor:
        """Return the step size, or those of shape (step, tensor), where there is one for each."""
        if not self.names:
            return self.inner.lr
        by_step = torch.stack([self._of(name).detach() for name in self.packing.shapes], dim=1)
        missing = self.inner.n_steps - len(by_step)
        if missing > 0:  # those beyond the learned ones take the last
            return torch.cat([by_step, by_step[-1:].expand(missing, -1)])
        return by_step[: self.inner.n_steps]

    def gradients(self, of_rows: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradient of each learned rate, in the order of `names`.

        By the gradients of each step's rows, or of its rates where there is one for each tensor.
        """
        if not self.names:
            return []
        if not self.inner.by_step:
            summed = torch.stack(list(of_rows)).sum(0)
            parts = dict(zip(self.packing.shapes, self.packing.separate(summed), strict=True))
            return [parts[name] for name in self.names]
        length = len(self.inner.learned[self.names[0]])
        given = torch.stack(list(of_rows))
        if len(given) > length:
            given = torch.cat([given[: length - 1], given[length - 1 :].sum(0, keepdim=True)])
        sums = given.new_zeros(length, len(self.packing.shapes))
        if given.shape[1] == sums.shape[1]:
            sums[: len(given)] = given
        else:
            sums[: len(given)].scatter_add_(1, self._entry.expand_as(given), given)
        columns = dict(zip(self.packing.shapes, sums.unbind(1), strict=True))
        return [columns[name] for name in self.names]

    def _of(self, name: str) -> Tensor:
        """Return the learned rate of a weight, 0 for one that is not adapted."""
        if name in self.inner.learned:
            return self.inner.learned[name]
        like = self.inner.learned[self.names[0]]
        return like.new_zeros(like.shape if self.inner.by_step else self.packing.shapes[name])
