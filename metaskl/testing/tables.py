"""Small seeded tables of many tasks for the laws of estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from metaskl.tasks import BlobTasks, LinearTasks

Array = npt.NDArray[Any]
_N_TASKS, _N_ROWS, _N_SUPPORT = 12, 14, 6


@dataclass(frozen=True)
class TaskTable:
    """Rows of many tasks to fit on, and two new tasks to adapt to.

    Attributes
    ----------
    X, y, groups : ndarray
        Rows to fit on, their targets and task ids (integers from 10, in no order).
    X_support, y_support, groups_support : ndarray
        Rows of new tasks to adapt on; the ids are those of two tasks.
    X_query : ndarray
        Rows to predict.
    """

    X: Array
    y: Array
    groups: Array
    X_support: Array
    y_support: Array
    groups_support: Array
    X_query: Array

    def support(self, task: int) -> tuple[Array, Array]:
        """Return the support of one of the two new tasks."""
        rows = self.groups_support == np.unique(self.groups_support)[task]
        return self.X_support[rows], self.y_support[rows]


def table_for(estimator: Any, *, seed: int = 0) -> TaskTable:
    """Draw a table for an estimator: numbers, shared classes or classes private to a task.

    Parameters
    ----------
    estimator : estimator
        A regressor or a classifier; its parameter ``label_space`` is looked at if it has one.
    seed : int, default=0
        Seed of the draw.

    Returns
    -------
    TaskTable
        The table.
    """
    if not is_classifier(estimator):
        family: Any = LinearTasks(n_features=3)
    else:
        family = BlobTasks(n_features=3, n_way=2)
    drawn = family.sample(_N_TASKS + 2, _N_ROWS, random_state=seed)
    y = drawn.y
    if getattr(estimator, "label_space", "shared") == "task":
        y = np.array([f"{task}/{label}" for task, label in zip(drawn.groups, drawn.y, strict=True)])
    new = drawn.groups >= _N_TASKS
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
    first = np.arange(len(y)) % _N_ROWS < _N_SUPPORT
    return TaskTable(
        X=drawn.X[order],
        y=y[order],
        groups=drawn.groups[order] + 10,
        X_support=drawn.X[new & first],
        y_support=y[new & first],
        groups_support=drawn.groups[new & first] + 10,
        X_query=drawn.X[new & ~first],
    )
