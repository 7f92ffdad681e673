"""What both shrunk estimators share: slope features, rows out of fold, copies for tasks."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from metaskl.errors import GroupsError, ParameterError
from metaskl.estimators.wrapper import TaskWrapper, rows_of_tasks
from metaskl.tasks.groups import resolve_groups

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class ShrinkageEstimator(TaskWrapper):
    """Base of ``ShrunkRegressor`` and ``ShrunkClassifier``."""

    estimator_: Any
    # The effects of each task of fit, and the model they stand on where that is another.
    _seen: dict[Any, dict[str, Any]]
    _models: dict[Any, Any]

    random_effects: str
    covariance: str
    standardize: bool
    cv: Any

    def _check_parameters(self, X: Any) -> None:
        """Refuse what the random effects cannot be made of."""
        if self.random_effects not in ("slopes", "intercept"):
            raise ParameterError(
                f"random_effects must be 'slopes' or 'intercept', got {self.random_effects!r}. "
                "Take 'intercept' when tasks differ by a constant only."
            )
        if self.covariance not in ("shrunk", "full", "isotropic"):
            raise ParameterError(
                f"covariance must be 'shrunk', 'full' or 'isotropic', got {self.covariance!r}. "
                "Take 'shrunk' unless you know better."
            )
        if not hasattr(self.cv, "get_n_splits") and not (
            isinstance(self.cv, Integral) and int(self.cv) >= 2
        ):
            raise ParameterError(
                f"cv must be a whole number of at least 2, or a splitter, got {self.cv!r}. It is "
                "the number of folds of tasks whose rows are predicted by a model without them."
            )
        if issparse(X) and not self.__sklearn_tags__().input_tags.sparse:
            raise TypeError(
                "Sparse data was passed for X, but dense data is required for random slopes and "
                "for the default estimator. Use X.toarray(), or random_effects='intercept' "
                "with an estimator that takes sparse data."
            )

    def _start_fit(self, X: Any, groups: Any) -> tuple[Any, Any, dict[Any, Rows]]:
        """Return features, task ids, and the rows of each task if there are several."""
        self._check_estimator()
        X, ids = self._take_tasks(X, groups)
        self._check_parameters(X)
        self._models, self._seen = {}, {}
        tasks = rows_of_tasks(ids)
        # Of one task nothing can be learned of how tasks differ.
        return X, ids, tasks if len(tasks) > 1 else {}

    def _fit_design(self, X: Any) -> Array:
        """Learn how features become random slopes, and return the design of `X`."""
        self._slope_columns: list[Any] | None = None
        if hasattr(X, "select_dtypes"):
            self._slope_columns = list(X.select_dtypes(include=["number", "bool"]).columns)
        # A missing value stands at the mean, where the standardised slope has no effect.
        self.slope_scaler_ = make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(with_mean=self.standardize, with_std=self.standardize),
        )
        if self.random_effects == "slopes" and self._slope_columns != []:
            self.slope_scaler_.fit(self._numbers(X))
        return self._design(X)

    def _numbers(self, X: Any) -> Array:
        """Return the numeric features as an array."""
        if self._slope_columns is not None and hasattr(X, "columns"):
            X = X[self._slope_columns]
        return np.asarray(X, dtype=np.float64, order="C")

    def _slopes(self, X: Any) -> Array:
        """Return the features that have a random slope."""
        if self.random_effects == "intercept" or self._slope_columns == []:
            return np.empty((count_rows(X), 0))
        return np.asarray(self.slope_scaler_.transform(self._numbers(X)))

    def _design(self, X: Any) -> Array:
        """Return the features z of the random effects, the 1 of the intercept first."""
        slopes = self._slopes(X)
        return np.hstack([np.ones((len(slopes), 1)), slopes])

    def _out_of_fold(self, X: Any, y: Any, ids: npt.NDArray[Any]) -> Iterator[tuple[Any, Rows]]:
        """Yield models of the shared kind, each with rows of tasks that it did not see."""
        splitter = self.cv
        if isinstance(splitter, Integral):
            splitter = GroupKFold(min(int(splitter), len(np.unique(ids))))
        folds = list(splitter.split(np.empty((len(ids), 1)), y, ids))
        times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(ids))
        split = any(np.isin(ids[test], ids[train]).any() for train, test in folds)
        if split or (times != 1).any():
            raise ParameterError(
                f"cv must hold out each task once, with all its rows, got {self.cv!r}. Pass a "
                "whole number, or a splitter such as GroupKFold."
            )
        for train, test in folds:
            part = _safe_indexing(X, train), _safe_indexing(y, train)
            model = clone(self._check_estimator())
            if is_classifier(model) and len(np.unique(part[1])) < 2:
                # Logistic regression refuses to learn from the one class that is left.
                model = DummyClassifier()
            model.fit(*part)
            self._models.update(dict.fromkeys(ids[test].tolist(), model))
            yield model, test

    def _support(self, X: Any, y: Any) -> tuple[Array, ...]:
        """Return what the posterior needs to know of a support, one entry a row."""
        raise NotImplementedError

    def _posterior(self, *support: Array) -> dict[str, Any]:
        """Return the state of a task with these rows."""
        raise NotImplementedError

    def adapt(self, X: Any, y: Any) -> Self:
        """Return a copy for one new task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_support, n_features)
            Features of the new task's support.
        y : array-like of shape (n_support,)
            Targets of the support. One class only is fine, one that was not in fit is not.

        Returns
        -------
        adapted
            A copy that shares the fitted model and has the new task's ``effects_``. The
            original is unchanged; a copy that is adapted again starts afresh.
        """
        return self._with_effects(**self._posterior(*self._support(self._features(X), y)))

    def adapt_groups(self, X: Any, y: Any, groups: Any) -> dict[Any, Self]:
        """Return a copy for each of many new tasks; the shared model is asked once.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            Features of all supports.
        y : array-like of shape (n_rows,)
            Their targets.
        groups : array-like of shape (n_rows,) or str
            Task ids, or the name of the column of `X` that holds them.

        Returns
        -------
        dict
            Task id to adapted copy, as ``adapt`` returns it.
        """
        check_is_fitted(self)
        X, ids, _ = resolve_groups(X, groups, column=self.groups_column_, fitting=False)
        if ids is None:
            raise GroupsError(
                "groups must name the task of each row, got None. Pass the task ids, or call "
                "adapt for a single task."
            )
        support = self._support(X, y)
        return {
            task: self._with_effects(**self._posterior(*(part[rows] for part in support)))
            for task, rows in rows_of_tasks(ids).items()
        }

    def _with_effects(self, **state: Any) -> Self:
        """Return a copy with a task's effects in place of none."""
        new = copy(self)
        new.__dict__.update(state)
        return new

    def adapted_tasks(self) -> dict[Any, Self]:
        """Return an adapted copy for each task of fit.

        With an `estimator`, it stands on the model of the fold of `cv` that had not seen the task,
        and so do its effects: a flexible model learns its rows by heart, and what it leaves
        over of them says little of the task.

        Returns
        -------
        dict
            Task id to adapted copy; empty if fit got fewer than 2 tasks.
        """
        check_is_fitted(self)
        return {
            task: self._with_effects(estimator_=self._models.get(task, self.estimator_), **state)
            for task, state in self._seen.items()
        }

    @property
    def task_effects_(self) -> dict[Any, Array]:
        """Effects of each task of fit, by task id, as in ``adapted_tasks``."""
        return {task: state["effects_"] for task, state in self._seen.items()}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.estimator is None or self.random_effects == "slopes":
            tags.input_tags.sparse = False
        tags.target_tags.multi_output = False
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


def count_rows(X: Any) -> int:
    """Return the number of rows of an array, a sparse matrix, a frame or a list."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(np.asarray(X))
