"""Ragged tasks in one contiguous tensor with offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metaskl.errors import TaskError
from metaskl.tasks.groups import check_groups, resolve_groups
from metaskl.tasks.sending import sent

# Rows of so many numbers are copied whole: those of 784 take a seventh of the time that indexing
# them takes, those of one number twice.
_WIDE = 8


@dataclass(frozen=True)
class TaskSet:
    """Many tasks of unequal size, their rows side by side in one tensor.

    Task ``t`` owns the rows ``offsets[t]:offsets[t + 1]``. Within a task the rows keep
    the order in which they were given.

    Parameters
    ----------
    X : Tensor of shape (n_rows, ...)
        Features, sorted by task.
    y : Tensor of shape (n_rows, n_outputs)
        Targets, or one-hot classes.
    offsets : ndarray of shape (n_tasks + 1,)
        Where each task starts; the last entry is ``n_rows``.
    task_ids : ndarray of shape (n_tasks,)
        The id of each task, as given.
    rows : ndarray of shape (n_rows,)
        Where each row stood in the arrays that were given.
    parents : ndarray of shape (n_tasks,)
        The parent group of each task (alphabet, domain), as integers from 0;
        all 0 when there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl.tasks import TaskSet
    >>> tasks = TaskSet.from_arrays(np.eye(3), [1.0, 2.0, 3.0], ["b", "a", "b"])
    >>> tasks.task_ids.tolist(), tasks.sizes.tolist(), tasks.y[:, 0].tolist()
    (['a', 'b'], [1, 2], [2.0, 1.0, 3.0])
    """

    X: Tensor
    y: Tensor
    offsets: npt.NDArray[np.int64]
    task_ids: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]

    @classmethod
    def from_arrays(cls, X: Any, y: Any, groups: Any, *, parents: Any = None) -> TaskSet:
        """Sort rows into tasks.

        Parameters
        ----------
        X : array-like or Tensor of shape (n_rows, ...)
            Features; they become float32 unless they are a tensor.
        y : array-like or Tensor of shape (n_rows,) or (n_rows, n_outputs)
            Targets, or one-hot classes.
        groups : array-like of shape (n_rows,)
            Task ids: strings, categories or integers.
        parents : array-like of shape (n_rows,), optional
            The parent group of each row's task; one value a task.

        Returns
        -------
        TaskSet
            The tasks, ordered by their id.

        Raises
        ------
        GroupsError
            If `groups` has another length or missing values.
        TaskError
            If a task has rows of two parents.
        """
        X = _as_tensor(X)
        y = _as_tensor(y)
        ids = check_groups(groups, len(X))
        task_ids, number = np.unique(ids, return_inverse=True)
        rows = np.argsort(number, kind="stable").astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(task_ids)))])
        index = sent(rows, X.device)
        return cls(
            X=X[index],
            y=y.reshape(len(y), -1)[index],
            offsets=offsets.astype(np.int64),
            task_ids=task_ids,
            rows=rows,
            parents=_parents(parents, rows, offsets, task_ids),
        )

    @classmethod
    def from_frame(cls, frame: Any, target: str | Sequence[str], groups: str) -> TaskSet:
        """Take a data frame with a target column (or several) and a task column."""
        missing = [c for c in np.atleast_1d(target).tolist() if c not in frame.columns]
        if missing:
            raise TaskError(
                f"target must name columns of the frame, got {missing} which are not among "
                f"{list(frame.columns)}. Check the spelling."
            )
        y = frame[target].to_numpy(dtype=np.float32)
        X, ids, _ = resolve_groups(frame.drop(columns=target), groups)
        return cls.from_arrays(X.to_numpy(dtype=np.float32), y, ids)

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.task_ids)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Rows of each task."""
        return np.diff(self.offsets)

    def select(self, tasks: npt.NDArray[np.int64]) -> TaskSet:
        """Return the task set of the given task numbers only."""
        tasks = np.asarray(tasks, dtype=np.int64)
        sizes = self.sizes[tasks]
        index = np.repeat(self.offsets[tasks] - np.cumsum(sizes) + sizes, sizes) + np.arange(
            sizes.sum()
        )
        taken = sent(index, self.X.device)
        return TaskSet(
            X=self.X[taken],
            y=self.y[taken],
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            task_ids=self.task_ids[tasks],
            rows=self.rows[index],
            parents=self.parents[tasks],
        )

    def to(self, device: str | torch.device) -> TaskSet:
        """Return the task set with its tensors on `device`."""
        return TaskSet(
            self.X.to(device),
            self.y.to(device),
            self.offsets,
            self.task_ids,
            self.rows,
            self.parents,
        )

    def task(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the features and targets of one task."""
        rows = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return self.X[rows], self.y[rows]


def pad_tasks(
    X: Tensor, y: Tensor, offsets: npt.NDArray[np.int64], tasks: npt.NDArray[np.int64]
) -> tuple[Tensor, Tensor, Tensor]:
    """Stack tasks of unequal size along a leading task axis.

    Parameters
    ----------
    X, y : Tensor of shape (n_rows, ...) and (n_rows, n_outputs)
        Rows sorted by task.
    offsets : ndarray of shape (n_tasks + 1,)
        Where each task starts.
    tasks : ndarray of int
        Which tasks to stack.

    Returns
    -------
    X, y, weight : Tensor of shape (task, row, ...), (task, row, output), (task, row)
        Padded with zeros up to the longest of these tasks; `weight` is 1 for rows
        and 0 for padding.
    """
    sizes = offsets[tasks + 1] - offsets[tasks]
    step = np.arange(max(int(sizes.max()), 1))
    real = step < sizes[:, None]
    index = sent(np.where(real, offsets[tasks][:, None] + step, 0), X.device)
    return _gather(X, y, index, real)


def rows_of(
    tasks: TaskSet, rows: npt.NDArray[Any], start: npt.NDArray[Any], count: npt.NDArray[Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `count` of the drawn rows (task, drawn) from `start` on, padded to the most."""
    n_rows, first = int(count.max()), int(start[0])
    step = np.arange(n_rows)
    real = None if n_rows == count.min() else step < count[:, None]  # None: no padding
    if first == start.max() == start.min():
        index = rows[:, first : first + n_rows]
    else:  # what is padding becomes zeros, whichever row it is of
        begin = np.arange(0, rows.size, rows.shape[1]) + start
        index = rows.take(begin[:, None] + step, mode="clip")
    return _gather(tasks.X, tasks.y, sent(index, tasks.X.device), real)


def _gather(
    X: Tensor, y: Tensor, index: Tensor, real: npt.NDArray[np.bool_] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Index rows, with zeros where the index is padding (None: nowhere)."""
    X_out, y_out = _taken(X, index), _taken(y, index)
    if real is None:
        return X_out, y_out, y.new_ones(index.shape)
    weight = sent(real, y.device).to(y.dtype)
    if not real.all():
        X_out = X_out * weight.reshape(*weight.shape, *[1] * (X.ndim - 1)).to(X.dtype)
        y_out = y_out * weight[..., None]
    return X_out, y_out, weight


def _taken(values: Tensor, index: Tensor) -> Tensor:
    if values.shape[1:].numel() < _WIDE:
        return values[index]
    rows = values.index_select(0, index.reshape(-1))
    return rows.reshape(*index.shape, *values.shape[1:])


def _as_tensor(values: Any) -> Tensor:
    """Return a tensor: tensors as they are, everything else as float32."""
    if isinstance(values, Tensor):
        return values
    array = np.ascontiguousarray(np.asarray(values), dtype=np.float32)
    # A tensor cannot be read-only, which columns of a data frame and memory maps are.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _parents(
    parents: Any,
    rows: npt.NDArray[np.int64],
    offsets: npt.NDArray[Any],
    task_ids: npt.NDArray[Any],
) -> npt.NDArray[np.int64]:
    """Return one parent number a task."""
    if parents is None:
        return np.zeros(len(task_ids), dtype=np.int64)
    _, number = np.unique(check_groups(parents, len(rows)), return_inverse=True)
    number = number[rows]
    first = number[offsets[:-1]]
    mixed = np.unique(
        np.repeat(np.arange(len(task_ids)), np.diff(offsets))[
            number != np.repeat(first, np.diff(offsets))
        ]
    )
    if len(mixed):
        raise TaskError(
            "parents must give one parent a task, got several for "
            f"{task_ids[mixed].tolist()[0]!r}. Make the task ids unique over parents first."
        )
    parent: npt.NDArray[np.int64] = first.astype(np.int64)
    return parent
