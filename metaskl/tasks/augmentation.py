"""More tasks out of few: changes of episodes against learning the tasks by heart."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl.tasks.episodes import Episode
from metaskl.tasks.sending import sent


class Augmentation(abc.ABC):
    """Spec of a change of episodes: hyper-parameters only, like the spec of a network.

    A subclass is a dataclass whose fields are the hyper-parameters, so that
    ``augment__alpha`` works in ``set_params`` and in searches, and gives :meth:`apply`.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"regression", "classification"})
    keeps_classes: ClassVar[bool] = True

    @abc.abstractmethod
    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the changed episode.

        Parameters
        ----------
        episode : Episode
            A stack of tasks; it is not changed.
        rng : numpy.random.Generator
            Where all draws come from, so that a resumed fit goes on alike.

        Returns
        -------
        Episode
            A stack of as many tasks.
        """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyper-parameters by name."""
        del deep
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def set_params(self, **parameters: Any) -> Self:
        """Set hyper-parameters by name."""
        unknown = sorted(set(parameters) - set(self.get_params()))
        if unknown:
            raise ParameterError(
                f"{type(self).__name__} has the parameters {sorted(self.get_params())}, got "
                f"{unknown}. Check the spelling."
            )
        for name, value in parameters.items():
            setattr(self, name, value)
        return self


@dataclass
class FeatureNoise(Augmentation):
    """Add noise to the features of every row.

    Parameters
    ----------
    scale : float, default=0.3
        Standard deviation, > 0, in those of the (standardised) features.

    Examples
    --------
    >>> from metaskl.tasks import FeatureNoise
    >>> FeatureNoise(scale=0.2)
    FeatureNoise(scale=0.2)
    """

    scale: float = 0.3

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with noise on its features."""
        _require(self.scale > 0, "scale must be above 0", self.scale)
        X = [
            part + self.scale * _normal(rng, part) for part in (episode.X_support, episode.X_query)
        ]
        return episode._replace(X_support=X[0], X_query=X[1])


@dataclass
class FeatureDropout(Augmentation):
    """Set columns to 0, their mean: for each task its own, the same in support and query.

    One mask a task makes another task, in which fewer features are known; a mask for each row
    would be noise. The columns that stay are not scaled up.

    Parameters
    ----------
    rate : float, default=0.1
        Probability of each column (channel of images), in (0, 1).

    Examples
    --------
    >>> from metaskl.tasks import FeatureDropout
    >>> FeatureDropout(rate=0.2)
    FeatureDropout(rate=0.2)
    """

    rate: float = 0.1

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with columns set to 0."""
        _require(0 < self.rate < 1, "rate must be between 0 and 1", self.rate)
        X = episode.X_support
        kept = sent(rng.random((len(X), 1, X.shape[2])) >= self.rate, X.device).to(X.dtype)
        kept = kept.reshape(len(X), 1, X.shape[2], *[1] * (X.ndim - 3))
        return episode._replace(X_support=X * kept, X_query=episode.X_query * kept)


@dataclass
class LabelNoise(Augmentation):
    """Add noise to the targets of every row (regression).

    Parameters
    ----------
    scale : float, default=0.1
        Standard deviation, > 0, in those of the (standardised) targets.

    Examples
    --------
    >>> from metaskl.tasks import LabelNoise
    >>> LabelNoise(scale=0.2)
    LabelNoise(scale=0.2)
    """

    scale: float = 0.1
    kinds: ClassVar[frozenset[str]] = frozenset({"regression"})

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with noise on its targets."""
        _require(self.scale > 0, "scale must be above 0", self.scale)
        y = [
            part + self.scale * _normal(rng, part) for part in (episode.y_support, episode.y_query)
        ]
        return episode._replace(y_support=y[0], y_query=y[1])


@dataclass
class LabelShift(Augmentation):
    """Move all targets of a task by one draw, support and query alike (regression) [1]_.

    Features alone then no longer say what the target is: the support must be used. (For
    classes private to a task, drawing the order of the classes anew does the same, which every
    episode does already.)

    Parameters
    ----------
    scale : float, default=0.5
        Standard deviation of the shifts, > 0, in those of the (standardised) targets.

    References
    ----------
    .. [1] J. Rajendran, A. Irpan, E. Jang. Meta-Learning Requires Meta-Augmentation. NeurIPS
       2020.

    Examples
    --------
    >>> from metaskl.tasks import LabelShift
    >>> LabelShift()
    LabelShift(scale=0.5)
    """

    scale: float = 0.5
    kinds: ClassVar[frozenset[str]] = frozenset({"regression"})

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with each task's targets moved."""
        _require(self.scale > 0, "scale must be above 0", self.scale)
        shift = self.scale * _normal(rng, episode.y_support[:, :1])
        return episode._replace(
            y_support=episode.y_support + shift, y_query=episode.y_query + shift
        )


@dataclass
class TaskMix(Augmentation):
    """Mix each task with another of the meta-batch, row by row with one weight a task [1]_.

    Features and targets become λ times a task's own and 1 − λ times the other's, with λ from
    Beta(α, α); the rows of a pair are drawn at random (within the same way, where classes are
    private to a task, whose mixture is a new class). [1]_ mixes in a random layer; here it is
    the input.

    Parameters
    ----------
    alpha : float, default=0.5
        α of the Beta distribution, > 0: small mixes little, large halves.
    rate : float, default=0.5
        Share of the tasks that are mixed, in (0, 1].

    References
    ----------
    .. [1] H. Yao, L. Zhang, C. Finn. Meta-Learning with Fewer Tasks through Task
       Interpolation. ICLR 2022.

    Examples
    --------
    >>> from metaskl.tasks import TaskMix
    >>> TaskMix(alpha=2.0)
    TaskMix(alpha=2.0, rate=0.5)
    """

    alpha: float = 0.5
    rate: float = 0.5
    keeps_classes: ClassVar[bool] = False

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with tasks mixed."""
        _require(self.alpha > 0, "alpha must be above 0", self.alpha)
        _require(0 < self.rate <= 1, "rate must be in (0, 1]", self.rate)
        n_tasks = len(episode.X_support)
        other = rng.permutation(n_tasks)
        own = np.where(
            rng.random(n_tasks) < self.rate, rng.beta(self.alpha, self.alpha, n_tasks), 1.0
        )
        share = sent(own, episode.X_support.device).to(episode.X_support.dtype)
        partner = sent(np.where(own < 1, other, np.arange(n_tasks)), share.device)

        def mix(part: Tensor) -> Tensor:
            weight = share.reshape(-1, *[1] * (part.ndim - 1)).to(part.dtype)
            return weight * part + (1 - weight) * part[partner]

        # A row of which one half is padding drops out. Rows come before padding: the first stays.
        return Episode(
            mix(episode.X_support),
            mix(episode.y_support),
            episode.weight_support * episode.weight_support[partner],
            mix(episode.X_query),
            mix(episode.y_query),
            episode.weight_query * episode.weight_query[partner],
            episode.ways,
        )


def _normal(rng: np.random.Generator, like: Tensor) -> Tensor:
    """Return standard normal numbers of the shape, type and device of a tensor."""
    return sent(rng.standard_normal(like.shape, dtype=np.float32), like.device).to(like.dtype)


def _require(valid: bool, rule: str, given: float) -> None:
    if not valid:
        raise ParameterError(f"{rule} in augment, got {given}. Start from its default.")
