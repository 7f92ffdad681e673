"""What the estimators that wrap an ordinary one share: tags, features, the task column, score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from metaskl.errors import GroupsError, ParameterError
from metaskl.tasks.groups import resolve_groups


class TaskWrapper(BaseEstimator):  # type: ignore[misc]
    """Base of ``Pooled``, ``PerTask`` and the shrunk estimators."""

    # With metadata routing on, cross_val_score, searches and pipelines hand the task ids
    # through without any set_fit_request by the user.
    __metadata_request__fit = {"groups": True}  # noqa: RUF012

    estimator: Any

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Learn from the rows of all tasks."""
        raise NotImplementedError

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the target of each row."""
        raise NotImplementedError

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score the predictions: accuracy for classifiers, R² for regressors.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,)
            The true targets.
        sample_weight : array-like of shape (n_rows,), optional
            The weight of each row.

        Returns
        -------
        float
            The share of rows predicted right, or R².
        """
        return self._score(y, self.predict(X), sample_weight)

    def _score(self, y: Any, predicted: npt.NDArray[Any], sample_weight: Any) -> float:
        """Return accuracy or R²."""
        metric = accuracy_score if is_classifier(self) else r2_score
        return float(metric(y, predicted, sample_weight=sample_weight))

    def _default_estimator(self) -> Any:
        """Return the estimator that is wrapped, or the one used when there is none."""
        return self.estimator

    def _check_estimator(self) -> Any:
        """Return the estimator to wrap, or say that it is none."""
        estimator = self._default_estimator()
        if isinstance(estimator, type) or not (is_classifier(estimator) or is_regressor(estimator)):
            raise ParameterError(
                f"estimator must be a classifier or a regressor, got {estimator!r}. Pass an "
                f"instance, for example {type(self).__name__}(Ridge())."
            )
        return estimator

    def _take_tasks(self, X: Any, groups: Any) -> tuple[Any, npt.NDArray[Any] | None]:
        """Split the task ids from the features, and remember the column they came from."""
        X, ids, self.groups_column_ = resolve_groups(X, groups)
        return X, ids

    def _features(self, X: Any) -> Any:
        """Drop the task column, if fit was given one and it is there."""
        check_is_fitted(self)
        return resolve_groups(X, None, column=self.groups_column_)[0]

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in fit, the task column not counted."""
        return int(self._fitted().n_features_in_)

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Names of the features seen in fit, if it was given a data frame."""
        return np.asarray(self._fitted().feature_names_in_)

    def _fitted(self) -> Any:
        """Return the fitted estimator that saw all rows, or raise AttributeError."""
        return self.estimator_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._default_estimator())
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags = inner.target_tags
        tags.input_tags = inner.input_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


def wrapped_has(method: str) -> Callable[[TaskWrapper], bool]:
    """Return a test for `available_if` of whether the wrapped estimator has this method."""

    def has(wrapper: TaskWrapper) -> bool:
        # The fitted one first: a search has predict_proba only once its best is known.
        try:
            return hasattr(wrapper._fitted(), method)
        except AttributeError:
            return hasattr(wrapper._default_estimator(), method)

    return has


def rows_of_tasks(ids: npt.NDArray[Any] | None) -> dict[Any, npt.NDArray[np.intp]]:
    """Return each task's id, as a plain Python value, and its rows in their order."""
    if ids is None:
        return {}
    tasks, codes = np.unique(ids, return_inverse=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    return dict(zip(tasks.tolist(), rows, strict=True))


def check_kind(ids: npt.NDArray[Any], seen: Any) -> None:
    """Refuse numbers where fit saw texts, or texts for numbers: no task would be found."""
    if (ids.dtype.kind in "US") != isinstance(seen, str | bytes):
        raise GroupsError(
            f"groups must hold task ids like those of fit, such as {seen!r}, got "
            f"{ids.tolist()[0]!r}. Convert them to the same type: every task would look unseen."
        )
