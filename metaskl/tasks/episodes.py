"""Episodes: seedable, resumable, vectorised draws of support and query rows."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metaskl.errors import TaskError
from metaskl.tasks.blocks import draw_stacks, is_even
from metaskl.tasks.rows import draw_rows, draw_units
from metaskl.tasks.sending import sent
from metaskl.tasks.taskset import TaskSet, rows_of

IntArray = npt.NDArray[np.int64]


class Episode(NamedTuple):
    """Support and query of several tasks, stacked along a leading task axis.

    Attributes
    ----------
    X_support, X_query : Tensor of shape (task, support, ...) and (task, query, ...)
        Features, zero where padded.
    y_support, y_query : Tensor of shape (task, support, output) and (task, query, output)
        Targets, or one-hot classes (the ``n_way`` drawn ones in class episodes).
    weight_support, weight_query : Tensor of shape (task, support) and (task, query)
        1 for a row, 0 for padding.
    ways : Tensor of shape (task, way) or None
        Class episodes only: which class of the task set each way is.
    """

    X_support: Tensor
    y_support: Tensor
    weight_support: Tensor
    X_query: Tensor
    y_query: Tensor
    weight_query: Tensor
    ways: Tensor | None = None


class EpisodeSampler(abc.ABC):
    """An endless, resumable source of episodes.

    Parameters
    ----------
    tasks : TaskSet
        What to draw from.
    n_shot : int or tuple of two int
        Support rows; a range (both ends included) is drawn anew for each meta-batch.
    n_query : int
        Query rows.
    meta_batch_size : int
        Tasks in an episode stack.
    random_state : int or None
        Seed of the draws.
    """

    def __init__(
        self,
        tasks: TaskSet,
        *,
        n_shot: int | tuple[int, int] = 5,
        n_query: int = 10,
        meta_batch_size: int = 16,
        random_state: int | None = None,
    ) -> None:
        self.tasks = tasks
        low, high = (n_shot, n_shot) if isinstance(n_shot, int | np.integer) else n_shot
        if not 1 <= low <= high or n_query < 1 or meta_batch_size < 1:
            raise TaskError(
                "n_shot, n_query and meta_batch_size must be at least 1 and a range of n_shot "
                f"must ascend, got n_shot={n_shot}, n_query={n_query}, "
                f"meta_batch_size={meta_batch_size}. Give for example n_shot=5 or n_shot=(5, 20)."
            )
        self.n_shot = (int(low), int(high))
        self.n_query = int(n_query)
        self.meta_batch_size = int(meta_batch_size)
        self._generator = np.random.default_rng(random_state)

    @abc.abstractmethod
    def sample(self) -> Episode:
        """Draw the next stack of episodes."""

    def in_order(self) -> Episode:
        """Draw the next stack before :meth:`arranged`, rows of like place alike in all tasks."""
        return self.sample()

    def arranged(self, episode: Episode) -> Episode:
        """Return a stack from :meth:`in_order` in the order in which learners are given it."""
        return episode

    def __iter__(self) -> Iterator[Episode]:
        """Draw episodes without end."""
        while True:
            yield self.sample()

    def stream(self, n_stacks: int) -> Iterator[Episode]:
        """Draw what as many calls of :meth:`sample` would."""
        for _ in range(n_stacks):
            yield self.sample()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the draws (plain numbers and strings)."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the draws from a state."""
        self._generator.bit_generator.state = state

    def _draw_sizes(self, sizes: IntArray) -> tuple[IntArray, IntArray]:
        """Return the support and query rows of units of these sizes, at least one of each.

        A unit too small for both keeps up to a third of its rows for the query.
        """
        low, high = self.n_shot
        n_shot = low if low == high else int(self._generator.integers(low, high + 1))
        reserve = np.minimum(self.n_query, np.maximum(sizes // 3, 1))
        n_support = np.minimum(n_shot, sizes - reserve)
        return n_support, np.minimum(self.n_query, sizes - n_support)


class TaskEpisodes(EpisodeSampler):
    """Episodes within a task: `n_shot` rows to adapt on, `n_query` others to predict.

    Support and query never share a row. A task with fewer than ``n_shot + n_query`` rows
    gives what it has, with at least one row on each side and up to a third for the query;
    tasks of one row are left out.

    Raises
    ------
    TaskError
        If no task has two rows.

    Examples
    --------
    >>> from metaskl.tasks import SinusoidTasks, TaskEpisodes
    >>> tasks = SinusoidTasks().sample(100, 20, random_state=0).task_set()
    >>> episode = TaskEpisodes(tasks, n_shot=5, meta_batch_size=4, random_state=0).sample()
    >>> tuple(episode.X_support.shape), tuple(episode.y_query.shape)
    ((4, 5, 1), (4, 10, 1))
    """

    def __init__(self, tasks: TaskSet, **draw: Any) -> None:
        super().__init__(tasks, **draw)
        self._usable = np.flatnonzero(tasks.sizes >= 2)
        if not len(self._usable):
            raise TaskError(
                f"tasks must have at least 2 rows (one for the support, one for the query), got "
                f"{len(tasks)} task(s) of one row each. Check that groups names the task and "
                "not the row."
            )

    def sample(self) -> Episode:
        """Draw the next stack of episodes."""
        chosen = self._usable[draw_units(self._generator, len(self._usable), self.meta_batch_size)]
        sizes = self.tasks.sizes[chosen]
        n_support, n_query = self._draw_sizes(sizes)
        drawn = draw_rows(self._generator, sizes, int((n_support + n_query).max()))
        rows = self.tasks.offsets[chosen][:, None] + drawn
        return _split(self.tasks, rows, n_support, n_query)

    def stream(self, n_stacks: int) -> Iterator[Episode]:
        """Draw what as many calls of :meth:`sample` would, many at once if all are of one shape."""
        (low, high), n_tasks = self.n_shot, self.meta_batch_size
        if low < high or not is_even(self.tasks, self._usable, n_tasks, high + self.n_query):
            return super().stream(n_stacks)
        n_support, n_query = (int(n) for n in self._draw_sizes(self.tasks.sizes[self._usable[0]]))
        drawn = draw_stacks(
            self._generator,
            self.tasks,
            self._usable,
            (n_stacks, n_tasks),
            (n_support, n_query),
        )
        return (Episode(*parts) for parts in drawn)


class ClassEpisodes(EpisodeSampler):
    """N-way episodes: each draws `n_way` classes, `n_shot` and `n_query` rows of each.

    The task set's tasks are the classes; with ``within_parent`` the classes of an episode come
    from one parent group (the characters of one alphabet).

    Parameters
    ----------
    tasks : TaskSet
        One task a class.
    n_way : int
        Classes in an episode.
    within_parent : bool, default=False
        Whether the classes of an episode share a parent.
    shuffle : bool, default=False
        Whether the support's rows come in random order instead of class by class, for
        learners that read it as a sequence: in order, the place of a row gives its class away.
    **draw
        `n_shot` and `n_query` (rows of each class), `meta_batch_size`, `random_state`.

    Raises
    ------
    TaskError
        If no pool of classes with two rows has `n_way` of them.

    Examples
    --------
    >>> from metaskl.tasks import BlobTasks, ClassEpisodes
    >>> classes = BlobTasks(n_features=2).sample_classes(30, 20, random_state=0)
    >>> draw = ClassEpisodes(classes, n_way=5, n_shot=1, n_query=3, meta_batch_size=2)
    >>> tuple(draw.sample().y_support.shape)
    (2, 5, 5)
    """

    def __init__(
        self,
        tasks: TaskSet,
        *,
        n_way: int = 5,
        within_parent: bool = False,
        shuffle: bool = False,
        **draw: Any,
    ) -> None:
        super().__init__(tasks, **draw)
        self.n_way, self.shuffle = int(n_way), shuffle
        usable = np.flatnonzero(tasks.sizes >= 2)
        parent = tasks.parents[usable] if within_parent else np.zeros(len(usable), np.int64)
        pools = [usable[parent == p] for p in np.unique(parent)]
        large = [pool for pool in pools if len(pool) >= self.n_way]
        if self.n_way < 2 or not large:
            most = max((len(pool) for pool in pools), default=0)
            advice = "Lower n_way, or bring more classes."
            if within_parent and 1 < len(tasks) == len(np.unique(tasks.parents)):
                advice = (
                    "Each group holds one class only: leave groups out, or name what classes "
                    "belong to, such as the alphabet of a character."
                )
            elif len(usable) >= self.n_way >= 2:
                advice += " Or set within_groups=False, to mix the classes of all groups."
            where = " within one group" * (len(pools) > 1)
            raise TaskError(
                "n_way must be at least 2 and at most the number of classes with two rows or "
                f"more{where}, got n_way={n_way} where there are {most}. {advice}"
            )
        self._by_pool, self._pool_sizes = np.concatenate(large), np.array([*map(len, large)])
        self._pool_starts = np.cumsum(self._pool_sizes) - self._pool_sizes

    def sample(self) -> Episode:
        """Draw the next stack of episodes."""
        return self.arranged(self.in_order())

    def in_order(self) -> Episode:
        """Draw the next stack of episodes, class by class."""
        n_tasks, rng = self.meta_batch_size, self._generator
        pools = rng.integers(len(self._pool_sizes), size=n_tasks)
        within = draw_rows(rng, self._pool_sizes[pools], self.n_way)
        ways = self._by_pool[self._pool_starts[pools][:, None] + within]
        sizes = self.tasks.sizes[ways].ravel()
        n_support, n_query = self._draw_sizes(sizes)
        drawn = draw_rows(rng, sizes, int((n_support + n_query).max()))
        rows = self.tasks.offsets[ways.ravel()][:, None] + drawn
        per_class = _split(self.tasks, rows, n_support, n_query)
        return self._merge_ways(per_class, sent(ways, per_class.X_support.device))

    def arranged(self, episode: Episode) -> Episode:
        """Return the episode with the rows of each support in an order of its own, if asked."""
        if not self.shuffle:
            return episode
        keys = self._generator.random(tuple(episode.X_support.shape[:2]))
        order = sent(np.argsort(keys, axis=1), episode.X_support.device)
        task = torch.arange(len(order), device=order.device)[:, None]
        X, y, weight = (part[task, order] for part in episode[:3])
        return episode._replace(X_support=X, y_support=y, weight_support=weight)

    def _merge_ways(self, per_class: Episode, ways: Tensor) -> Episode:
        """Turn a stack over (task, way) into episodes with one-hot ways as targets."""
        n_tasks, n_way = ways.shape
        one_hot = torch.eye(n_way, device=per_class.X_support.device)

        def merge(X: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            rows = X.shape[1]
            y = one_hot[:, None].expand(n_way, rows, n_way).reshape(1, n_way * rows, n_way)
            weight = weight.reshape(n_tasks, n_way * rows).to(one_hot.dtype)
            X = X.reshape(n_tasks, n_way * rows, *X.shape[2:])
            return X, y * weight[..., None], weight

        return Episode(
            *merge(per_class.X_support, per_class.weight_support),
            *merge(per_class.X_query, per_class.weight_query),
            ways=ways,
        )


def _split(tasks: TaskSet, rows: IntArray, n_support: IntArray, n_query: IntArray) -> Episode:
    """Cut drawn rows into support and query, padded to the longest of each."""
    support = rows_of(tasks, rows, np.zeros_like(n_support), n_support)
    return Episode(*support, *rows_of(tasks, rows, n_support, n_query))
