"""A sampler whose episodes are changed as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from metaskl.errors import ParameterError, did_you_mean
from metaskl.tasks.affine import RandomAffine
from metaskl.tasks.augmentation import (
    Augmentation,
    FeatureDropout,
    FeatureNoise,
    LabelNoise,
    LabelShift,
    TaskMix,
)
from metaskl.tasks.episodes import Episode, EpisodeSampler
from metaskl.tasks.rotation import Rotate

# By name with their defaults, so that a search can choose among them.
_NAMED: dict[str, type[Augmentation]] = {
    "feature_dropout": FeatureDropout,
    "feature_noise": FeatureNoise,
    "label_noise": LabelNoise,
    "label_shift": LabelShift,
    "random_affine": RandomAffine,
    "rotate": Rotate,
    "task_mix": TaskMix,
}


class AugmentedEpisodes(EpisodeSampler):
    """Episodes of another sampler, changed by one augmentation after another.

    The draws of the augmentations come from the sampler's own generator, whose state is
    this sampler's: a resumed fit goes on alike.

    Parameters
    ----------
    sampler : EpisodeSampler
        Where the episodes come from.
    augmentations : sequence of Augmentation
        What is done to them, in this order.
    fixed_columns : sequence of int, default=()
        Columns of tables that stay as they are drawn: codes of categories.

    Examples
    --------
    >>> from metaskl.tasks import AugmentedEpisodes, LabelShift, LinearTasks, TaskEpisodes
    >>> tasks = LinearTasks().sample(50, 20, random_state=0).task_set()
    >>> draws = AugmentedEpisodes(TaskEpisodes(tasks, random_state=0), [LabelShift()])
    >>> tuple(draws.sample().y_support.shape)
    (16, 5, 1)
    """

    def __init__(
        self,
        sampler: EpisodeSampler,
        augmentations: Sequence[Augmentation],
        fixed_columns: Sequence[int] = (),
    ) -> None:
        self.sampler = sampler
        self.augmentations = list(augmentations)
        self.fixed_columns = list(fixed_columns)
        self.tasks = sampler.tasks
        self.n_shot, self.n_query = sampler.n_shot, sampler.n_query
        self.meta_batch_size = sampler.meta_batch_size
        self._generator = sampler._generator

    def sample(self) -> Episode:
        """Draw the next stack of episodes, and change it."""
        return self.arranged(self.in_order())

    def arranged(self, episode: Episode) -> Episode:
        """Return the stack in the order that the sampler gives it."""
        return self.sampler.arranged(episode)

    def in_order(self) -> Episode:
        """Draw and change a stack before its order: a mixture is of rows of one class."""
        drawn = changed = self.sampler.in_order()
        for augmentation in self.augmentations:
            changed = augmentation.apply(changed, self._generator)
        if not self.fixed_columns:
            return changed
        return changed._replace(
            X_support=self._with_fixed(changed.X_support, drawn.X_support),
            X_query=self._with_fixed(changed.X_query, drawn.X_query),
        )

    def _with_fixed(self, X: Tensor, drawn: Tensor) -> Tensor:
        X = X.clone()
        X[:, :, self.fixed_columns] = drawn[:, :, self.fixed_columns]
        return X


def augmented(
    sampler: EpisodeSampler,
    augment: Any,
    *,
    kind: str,
    uses_pool: bool = False,
    fixed_columns: Sequence[int] = (),
) -> EpisodeSampler:
    """Return the sampler with what an estimator's parameter `augment` asks for.

    Parameters
    ----------
    sampler : EpisodeSampler
        Where the episodes come from.
    augment : None, str, Augmentation or sequence of these
        Nothing, the name of an augmentation with its defaults, its spec, or several in turn.
    kind : {"regression", "classification"}
        What is learned.
    uses_pool : bool, default=False
        Whether the learner tells apart the classes of the pool, which a change must then keep.
    fixed_columns : sequence of int, default=()
        Columns that stay as they are drawn.

    Returns
    -------
    EpisodeSampler
        The sampler itself if there is nothing to do.

    Raises
    ------
    ParameterError
        If there is no such augmentation, or none for this kind of learner.
    """
    if augment is None:
        return sampler
    several = augment if isinstance(augment, list | tuple) else [augment]
    specs = [
        _NAMED[spec]() if isinstance(spec, str) and spec in _NAMED else spec for spec in several
    ]
    for spec in specs:
        if not isinstance(spec, Augmentation):
            raise ParameterError(
                f"augment must be one of {sorted(_NAMED)}, a spec such as TaskMix(alpha=0.5), a "
                f"list of these, or by itself 'auto' (in an estimator) or None, got {spec!r}."
                f"{_meant(spec)}"
            )
        if kind not in spec.kinds:
            raise ParameterError(
                f"augment={spec!r} is for {sorted(spec.kinds)[0]}, got a learner of {kind}. Leave "
                "it out, or use TaskMix or FeatureNoise."
            )
        if uses_pool and not spec.keeps_classes:
            raise ParameterError(
                f"augment={spec!r} makes new classes, which a learner cannot use that is trained "
                "to tell the pool's classes apart. Leave it out, or use FeatureNoise."
            )
    return AugmentedEpisodes(sampler, specs, fixed_columns) if specs else sampler


def _meant(spec: Any) -> str:
    """Return what was meant by something that is no augmentation, after a space."""
    if isinstance(spec, type) and issubclass(spec, Augmentation):
        names = [f" or its name {name!r}" for name, known in _NAMED.items() if known is spec]
        return f" Give an instance, {spec.__name__}(),{''.join(names)}."
    if not isinstance(spec, str):
        return ""
    parts = [name for name in _NAMED if spec.lower() in name.split("_")]
    if parts:
        return f" Did you mean {' or '.join(map(repr, parts))}?"
    return did_you_mean(spec, list(_NAMED))
