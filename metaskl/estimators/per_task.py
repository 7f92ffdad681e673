"""One model for each task: an ordinary one fitted on it alone, or a meta-learner adapted to it."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.base import MetaEstimatorMixin, clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from metaskl.estimators.adapt import adapt, adapt_groups, can_adapt, seen_tasks
from metaskl.estimators.checks import warn_of_training_anew
from metaskl.estimators.uncertain import predict_with_std
from metaskl.estimators.wrapper import TaskWrapper, check_kind, rows_of_tasks, wrapped_has
from metaskl.tasks.groups import resolve_groups, warn_of_several_tasks


class PerTask(MetaEstimatorMixin, TaskWrapper):  # type: ignore[misc]
    """Keep one model for each task, and one for tasks never seen.

    An ordinary estimator is cloned and fitted to each task alone, and once to all rows, for
    tasks that were not there. A meta-learner (anything with ``adapt``, also at the end of a
    Pipeline) is meta-trained once and adapted to each task; one that is fitted already is
    trained anew, with a warning, unless it is given as ``FrozenEstimator(meta)``. With many
    rows a task an ordinary estimator is hard to beat; with few it knows too little.

    Parameters
    ----------
    estimator : estimator
        Any scikit-learn classifier or regressor, or a meta-learner. It is cloned, never changed,
        and the clone is fitted. A ``FrozenEstimator`` keeps what it learned.

    Attributes
    ----------
    estimators_ : dict
        Task id to the task's fitted model. Empty if fit got no groups.
    shared_ : estimator
        The model for tasks that were not seen: fitted to all rows, or the meta-learner.
    fallback_tasks_ : list
        Ids of the tasks of one row, or whose rows the estimator refused with a ValueError
        (one class only, too few for its cross-validation). Their model is a constant: the mean,
        or the shares of the classes. In an adapted copy ``["support"]`` if that was refused.
    groups_column_ : str or None
        The data frame's column that names the task.
    classes_ : ndarray of shape (n_classes,)
        The classes of all tasks together, for classifiers.
    n_features_in_ : int
        Number of features seen in fit, the task column not counted.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen in fit, if it was given a data frame.

    See Also
    --------
    Pooled : One model for all tasks.
    ShrunkRegressor : Between the two; ``PerTask(ShrunkRegressor())`` gives each task its own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from metaskl.estimators.per_task import PerTask
    >>> X = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> per_task = PerTask(LinearRegression()).fit(X, [0, 1, 5, 3], groups=["a", "a", "b", "b"])
    >>> per_task.predict([[2.0], [2.0]], groups=["a", "b"]).round(6)
    array([2., 1.])
    >>> per_task.adapt([[0.0], [1.0]], [1.0, 4.0]).predict([[2.0]]).round(6)
    array([7.])
    """

    __metadata_request__predict = {"groups": True, "return_std": True}  # noqa: RUF012
    __metadata_request__predict_proba = {"groups": True}  # noqa: RUF012
    __metadata_request__score = {"groups": True}  # noqa: RUF012

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the shared model, and one for each task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            The target.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, or the name of the column of `X` that holds them. Without it there is
            only the shared model, an ordinary estimator.

        Returns
        -------
        PerTask
            The fitted estimator itself.
        """
        estimator = clone(self._check_estimator())
        warn_of_training_anew(self.estimator)
        X, ids = self._take_tasks(X, groups)
        if hasattr(self, "adapted_"):
            del self.adapted_
        self.fallback_tasks_: list[Any] = []
        meta = can_adapt(estimator)
        if meta and ids is not None:
            # A pipeline hands groups to its last step only with routing on.
            with config_context(enable_metadata_routing=True):
                self.shared_ = estimator.fit(X, y, groups=ids)
        else:
            self.shared_ = estimator.fit(X, y)
        self.estimators_ = {} if ids is None else self._fit_tasks(X, y, ids, meta)
        if is_classifier(self):
            # A meta-learner whose tasks have classes of their own has none before adapting.
            models = [self.shared_, *self.estimators_.values()]
            known = [model.classes_ for model in models if hasattr(model, "classes_")]
            self.classes_ = np.unique(np.concatenate(known)) if known else np.zeros(0)
        return self

    def _fit_tasks(self, X: Any, y: Any, ids: npt.NDArray[Any], meta: bool) -> dict[Any, Any]:
        """Return the model of each task."""
        if meta:
            return seen_tasks(self.shared_) or adapt_groups(self.shared_, X, y, ids)
        models = {}
        for task, rows in rows_of_tasks(ids).items():
            part = _safe_indexing(X, rows), _safe_indexing(y, rows)
            models[task], refused = self._fit_alone(*part)
            self.fallback_tasks_ += [task] if refused else []
        return models

    def _fit_alone(self, X: Any, y: Any) -> tuple[Any, bool]:
        """Return an ordinary model of one task's rows, and whether it is only a constant."""
        # Of one row RidgeCV makes NaN, and no estimator more than a constant.
        if len(y) > 1:
            # The shared model takes these rows, so they are valid, only too few or of one
            # class. What is wrong with y itself, the constant refuses too.
            with suppress(ValueError):
                return clone(self.estimator).fit(X, y), False
        dummy = DummyClassifier() if is_classifier(self) else DummyRegressor()
        return dummy.fit(X, y), True

    def adapt(self, X: Any, y: Any) -> Self:
        """Return a copy for one new task, whose predictions are those of that task's model.

        Parameters
        ----------
        X : array-like or data frame of shape (n_support, n_features)
            Features of the new task's support.
        y : array-like of shape (n_support,) or (n_support, n_outputs)
            Targets of the support. Classes that no task had in fit are added to ``classes_``.

        Returns
        -------
        PerTask
            A copy with the attribute ``adapted_``, the new task's model: the estimator fitted
            to the support alone, or the meta-learner adapted to it. The original is unchanged.
        """
        warn_of_several_tasks(X, getattr(self, "groups_column_", None))
        X = self._features(X)
        if can_adapt(self.shared_):
            return self._copy(adapt(self.shared_, X, y))
        # Bad features shall raise here, and not be taken for a support that is too small.
        self.shared_.predict(X)
        return self._copy(*self._fit_alone(X, y))

    @available_if(lambda self: can_adapt(self.shared_))  # type: ignore[untyped-decorator]
    def adapt_groups(self, X: Any, y: Any, groups: Any) -> dict[Any, Self]:
        """Adapt to many tasks as the meta-learner inside does, a support of one class included.

        Parameters
        ----------
        X, y, groups
            The supports of all tasks, as in :meth:`fit`.

        Returns
        -------
        dict
            A copy for each task id, as of :meth:`adapt`.
        """
        X, ids, _ = resolve_groups(X, groups, column=self.groups_column_, fitting=False)
        found = adapt_groups(self.shared_, X, y, ids)
        return {task: self._copy(model) for task, model in found.items()}

    def _copy(self, model: Any, refused: bool = False) -> Self:
        """Return a copy for the one task of a model."""
        new = copy(self)
        new.adapted_ = model
        new.fallback_tasks_ = ["support"] if refused else []
        if is_classifier(self):
            new.classes_ = np.union1d(self.classes_, model.classes_)
        return new

    def predict(self, X: Any, groups: Any = None, return_std: bool = False) -> Any:
        """Predict the target of each row by the model of its task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features. A data frame that still has the task column of fit needs no `groups`.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids. Rows of tasks not seen in fit, and all rows without task ids, are
            predicted by the shared model. An adapted copy is for one task and ignores them.
        return_std : bool, default=False
            Whether to return standard deviations too, if the estimator knows them.

        Returns
        -------
        mean : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The predictions.
        std : ndarray of the same shape, with ``return_std=True``
            The standard deviations; NaN where the model of a task is a constant.
        """
        if return_std:
            both = self._by_task(X, groups, lambda *part: np.stack(predict_with_std(*part), -1))
            return both[..., 0], both[..., 1]
        return self._by_task(X, groups, lambda model, rows: np.asarray(model.predict(rows)))

    @available_if(wrapped_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any, groups: Any = None) -> npt.NDArray[np.float64]:
        """Predict the probability of each class by the model of each row's task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features. A data frame that still has the task column of fit needs no `groups`.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, as in ``predict``.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            One column a class, in the order of ``classes_``; 0 for classes a task never had.
        """

        def probabilities(model: Any, rows: Any) -> npt.NDArray[np.float64]:
            found = model.predict_proba(rows)
            columns = np.zeros((len(found), len(self.classes_)))
            own = np.searchsorted(self.classes_, model.classes_)
            # Boosting that was fitted to one class still gives two columns.
            columns[:, own] = found if len(own) > 1 else 1.0
            return columns

        return self._by_task(X, groups, probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> float:
        """Score the predictions: accuracy for classifiers, R² for regressors.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,)
            The true targets.
        sample_weight : array-like of shape (n_rows,), optional
            The weight of each row.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, as in ``predict``.

        Returns
        -------
        float
            The share of rows predicted right, or R².
        """
        return self._score(y, self.predict(X, groups), sample_weight)

    def _by_task(self, X: Any, groups: Any, call: Any) -> npt.NDArray[Any]:
        """Join what each task's model says of the task's rows."""
        check_is_fitted(self)
        if groups is None and self.groups_column_ in getattr(X, "columns", ()):
            groups = self.groups_column_
        X, ids, _ = resolve_groups(X, groups, column=self.groups_column_, fitting=False)
        if hasattr(self, "adapted_"):
            return np.asarray(call(self.adapted_, X))
        if ids is None or not self.estimators_:
            return np.asarray(call(self.shared_, X))
        check_kind(ids, next(iter(self.estimators_)))
        parts = [
            (rows, call(self.estimators_.get(task, self.shared_), _safe_indexing(X, rows)))
            for task, rows in rows_of_tasks(ids).items()
        ]
        together = np.concatenate([part for _, part in parts])
        return together[np.argsort(np.concatenate([rows for rows, _ in parts]))]

    def _fitted(self) -> Any:
        return self.shared_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if tags.classifier_tags is not None:
            # Tasks with different classes cannot share a row of several outputs.
            tags.target_tags.multi_output = False
            tags.classifier_tags.multi_label = False
        return tags
