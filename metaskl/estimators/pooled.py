"""One ordinary model for the rows of all tasks."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import MetaEstimatorMixin, clone, is_classifier
from sklearn.utils.metaestimators import available_if

from metaskl.estimators.wrapper import TaskWrapper, wrapped_has
from metaskl.tasks.targets import require_values


class Pooled(MetaEstimatorMixin, TaskWrapper):  # type: ignore[misc]
    """Fit one model to the rows of all tasks, and never adapt it.

    The baseline that says what is reached with no adaptation at all. It wins when the tasks
    differ little, and it needs no labelled row of a new task: what cannot beat it has not
    learned from the support.

    Parameters
    ----------
    estimator : estimator
        Any scikit-learn classifier or regressor. It is cloned, never changed.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model.
    groups_column_ : str or None
        The data frame's column that names the task, dropped before fitting and predicting.
    classes_ : ndarray of shape (n_classes,)
        The classes, for classifiers.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen in fit, if it was given a data frame.

    See Also
    --------
    PerTask : One model for each task.
    ShrunkRegressor : Between the two: a model for all, shifted a little for each task.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from metaskl.estimators.pooled import Pooled
    >>> X = np.arange(6.0).reshape(-1, 1)
    >>> school = ["a", "a", "a", "b", "b", "b"]
    >>> pooled = Pooled(LinearRegression()).fit(X, 2 * X[:, 0], groups=school)
    >>> pooled.adapt([[0.0]], [5.0]).predict([[10.0]]).round(6)
    array([20.])
    """

    # So that an evaluation may predict all queries of a fold in one call.
    ignores_support: ClassVar[bool] = True

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the model to all rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            The target.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, or the name of the column of `X` that holds them. They are checked and
            the column is dropped; the model does not see them.

        Returns
        -------
        Pooled
            The fitted estimator itself.
        """
        require_values(y)
        estimator = self._check_estimator()
        X, _ = self._take_tasks(X, groups)
        self.estimator_ = clone(estimator).fit(X, y)
        if is_classifier(self):
            self.classes_ = self.estimator_.classes_
        return self

    def adapt(self, X: Any, y: Any) -> Self:
        """Return a copy of the fitted model; the support is ignored.

        Parameters
        ----------
        X : array-like or data frame of shape (n_support, n_features)
            Features of the new task's support. Not used.
        y : array-like of shape (n_support,)
            Targets of the support. Not used.

        Returns
        -------
        Pooled
            A copy that shares the fitted model.
        """
        self._features(X)
        return copy(self)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The predictions.
        """
        X = self._features(X)
        return np.asarray(self.estimator_.predict(X))

    @available_if(wrapped_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            One column a class, in the order of ``classes_``; for several outputs whatever the
            wrapped classifier returns.
        """
        X = self._features(X)
        return self.estimator_.predict_proba(X)

    @available_if(wrapped_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the wrapped classifier's confidence in each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_classes)
            The decision values.
        """
        X = self._features(X)
        return np.asarray(self.estimator_.decision_function(X))
