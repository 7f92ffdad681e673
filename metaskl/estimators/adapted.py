"""Ordinary estimators of one task, whose fit is the adaptation."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
)
from sklearn.utils import assert_all_finite, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from metaskl.errors import OneTaskWarning, ParameterError, named
from metaskl.estimators.adapt import adapt
from metaskl.estimators.checks import is_fitted
from metaskl.estimators.uncertain import predict_with_std


class _Adapted(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit adapts a fitted meta-learner, or fits one that is not."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> Self:
        """Adapt to one task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features of one task.
        y : array-like of shape (n_rows,)
            Its targets.

        Returns
        -------
        self
            The estimator of that task.
        """
        self._check_targets(X, y)
        if is_fitted(self.estimator):
            self.estimator_ = adapt(self.estimator, X, y)
        else:  # nothing was meta-trained: this one task is all there is
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OneTaskWarning)
                self.estimator_ = clone(self.estimator).fit(X, y)
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _check_targets(self, X: Any, y: Any) -> None:
        validate_data(
            self, X, y, skip_check_array=True
        )  # sets the feature names; the estimator checks the rows

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


class AdaptedRegressor(RegressorMixin, _Adapted):  # type: ignore[misc]
    """A regressor of one task, whose ``fit`` adapts a meta-learner.

    ``AdaptedRegressor(FrozenEstimator(meta))`` is an ordinary estimator of a new task: use it
    in a VotingRegressor, cross-validate it within the task, compare it with any other. It is
    cloned without training the meta-learner again.

    Parameters
    ----------
    estimator : estimator
        A fitted meta-learner (or a Pipeline that ends in one) in a FrozenEstimator. One that is
        not fitted is fitted on the task alone.

    Attributes
    ----------
    estimator_ : estimator
        The adapted copy.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.model_selection import cross_val_score
    >>> from metaskl import AdaptedRegressor, RidgeHeadRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> new = LinearTasks().sample(1, 30, random_state=1)
    >>> cross_val_score(AdaptedRegressor(FrozenEstimator(meta)), new.X, new.y, cv=3).shape
    (3,)
    """

    __metadata_request__predict: ClassVar = {"return_std": True}

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict rows of the task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Whether to return standard deviations too, if the meta-learner knows them.

        Returns
        -------
        mean : ndarray of shape (n_rows,)
            Targets.
        std : ndarray of shape (n_rows,), with ``return_std=True``
            The standard deviations.
        """
        check_is_fitted(self, "estimator_")
        if return_std:
            return predict_with_std(self.estimator_, X)
        return self.estimator_.predict(X)


class AdaptedClassifier(ClassifierMixin, _Adapted):  # type: ignore[misc]
    """A classifier of one task, whose ``fit`` adapts a meta-learner.

    As :class:`~metaskl.AdaptedRegressor`.

    Parameters
    ----------
    estimator : estimator
        A fitted meta-learner (or a Pipeline that ends in one) in a FrozenEstimator. One that is
        not fitted is fitted on the task alone.

    Attributes
    ----------
    estimator_ : estimator
        The adapted copy.
    classes_ : ndarray of shape (n_classes,)
        The classes.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from metaskl import AdaptedClassifier, RidgeHeadClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = RidgeHeadClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> new = AdaptedClassifier(FrozenEstimator(meta)).fit(blobs.X[:9], blobs.y[:9])
    >>> new.classes_.tolist()
    [0, 1, 2]
    """

    def predict(self, X: Any) -> Any:
        """Predict rows of the task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows,)
            Classes.
        """
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities in the order of ``classes_``.
        """
        check_is_fitted(self, "estimator_")
        return self.estimator_.predict_proba(X)

    def _check_targets(self, X: Any, y: Any) -> None:
        super()._check_targets(X, y)
        assert_all_finite(np.asarray(y), input_name="y")
        check_classification_targets(np.asarray(y))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        if inner.classifier_tags is None:
            raise ParameterError(
                f"estimator must be a classifier, got {named(self.estimator)}. "
                "Use AdaptedRegressor for a regressor."
            )
        tags.classifier_tags = inner.classifier_tags
        return tags
