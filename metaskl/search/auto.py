"""Estimators that find the learner and its hyper-parameters themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin

from metaskl.errors import NotAdaptedError, ParameterError
from metaskl.estimators.docs import fill_in
from metaskl.estimators.uncertain import predict_with_std
from metaskl.search.auto_base import BaseAutoMeta

Array = npt.NDArray[Any]

_PARAMETERS = """time_budget : float, optional, default=300.0
    Seconds, > 0, after which nothing further is tried. At least one candidate is, and the best
    is fitted on all rows after that. None searches until `n_trials` are made.
n_trials : int, optional
    Trials of the search that follows the baselines, >= 0, each learner's defaults first; with
    0 there are only these defaults. By default as many as there is time for.
learners : "auto", "all", list of str or dict of str to estimator, default="auto"
    Registered learners, or estimators of your own by name; ``"auto"`` takes those recommended
    for the kind of target (:func:`metaskl.evaluation.recommended_learners`), an empty list none.
baselines : "all", list of str or dict of str to estimator, default="all"
    Ordinary models that must be beaten, as in :func:`compare`. They are tried first; with a
    `time_budget` per-task and shrunk forests and boosting wait for the learners' defaults.
n_shot : int or sequence of int, default=(5, 10, 20)
    Labelled rows of a held-out task, >= 1; rows of each class with ``label_space="task"``.
n_repeats : int, default=1
    Draws of support and query for each task, >= 1.
cv : int or scikit-learn splitter over groups, default=3
    Folds over tasks.
scoring : str or callable, optional
    A scikit-learn scorer, greater is better. By default accuracy, or minus the root mean
    squared error.
learner_params : dict, optional
    Hyper-parameters that all registered learners of the search keep, such as ``max_epochs``.
preprocess : transformer, optional
    Put before every candidate, and fitted on the training tasks of each fold alone. With it
    `X` may be anything that it takes, such as a data frame with texts.
ensemble : bool, default=False
    Whether to end with a greedy ensemble of the five best, if there is time, kept if it
    scores higher than each of them.
pruning : {"tasks", "epochs"} or None, default="tasks"
    How hopeless trials are given up early: see :func:`run_study`.
storage : str, optional
    URL of an Optuna storage, such as ``"sqlite:///study.db"``, in which the search can be
    resumed and later searches find where to start. By default in memory.
study_name : str, optional
    Name of the study in the storage; one that is there goes on.
warm_start : bool, default=True
    Whether the search starts from the best configurations of studies in the same storage on
    similar task sets. Set it to False where the search itself is cross-validated: a study of
    another fold has seen the tasks held out of this one.
n_jobs : int, optional
    Fits in parallel, by joblib.
random_state : int, default=0
    Seed of folds, draws, learners and search, >= 0.
verbose : int, default=0
    1 shows progress with the best so far."""

_ATTRIBUTES = """best_estimator_ : estimator
    The best, fitted on all rows.
best_name_ : str
    Its name: a baseline, a learner, ``"learner #trial"`` of the search, or ``"ensemble"``.
best_score_ : float
    Its score on meta-validation, the mean over tasks and shot counts, greater is better. As
    the best of many it is a little too good. The verdict chooses on other tasks than it
    judges on, but the search proposed and gave up trials by all of them.
leaderboard_ : DataFrame
    Every baseline and the best of each learner, with intervals over tasks; what came to no
    end is in ``comparison_.failures``.
verdict_ : Verdict
    Whether meta-learning pays; ``str(verdict_)`` says it in words.
comparison_ : Comparison
    Both, with scores, protocol and failures; :func:`~metaskl.report.write_report` takes it.
search_ : SearchRecord
    Every trial in its order, and which hyper-parameters mattered; for the report too.
interrupted_ : bool
    Whether Ctrl-C ended the search.
n_features_in_ : int
    Number of features seen in fit.
feature_names_in_ : ndarray of str
    Column names, if `X` was a data frame with text names."""

_TEXTS = {"<parameters>": _PARAMETERS, "<attributes>": _ATTRIBUTES}


@fill_in(_TEXTS)
@dataclass(kw_only=True, eq=False, repr=False)
class AutoMetaRegressor(RegressorMixin, BaseAutoMeta):  # type: ignore[misc]
    """Find the best way to predict numbers in new tasks, within a time budget.

    The baselines are tried first, then strong learners as they are, then Optuna searches
    further among these and the best baseline, all by cross-validation over tasks on the same
    draws. What scores highest is kept: on meta-validation it is never worse than the best
    baseline that was tried.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    <attributes>

    Examples
    --------
    >>> from metaskl import AutoMetaRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(20, 30, random_state=0)
    >>> auto = AutoMetaRegressor(time_budget=60, n_trials=1, learners=["ridge_head"],
    ...                          baselines=["pooled ridge", "shrunk ridge"],
    ...                          learner_params={"max_epochs": 1, "steps_per_epoch": 5})
    >>> auto = auto.fit(lines.X, lines.y, groups=lines.groups)
    >>> sorted(auto.leaderboard_.index)[:2]
    ['pooled ridge', 'ridge_head']
    >>> auto.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """

    kind: ClassVar[str] = "regression"

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Whether to return standard deviations too, if the best estimator knows them.

        Returns
        -------
        mean : ndarray of shape (n_rows,)
            Of the adapted task, or before adapting what the tasks have in common.
        std : ndarray of shape (n_rows,), with ``return_std=True``
            Standard deviations.
        """
        model, X = self._model(), self._features(X)
        return predict_with_std(model, X) if return_std else np.asarray(model.predict(X))


@fill_in(_TEXTS)
@dataclass(kw_only=True, eq=False, repr=False)
class AutoMetaClassifier(ClassifierMixin, BaseAutoMeta):  # type: ignore[misc]
    """Find the best way to predict classes in new tasks, within a time budget.

    The baselines are tried first, then strong learners as they are, then Optuna searches
    further among these and the best baseline, all by cross-validation over tasks on the same
    draws. What scores highest is kept: on meta-validation it is never worse than the best
    baseline that was tried.

    Parameters
    ----------
    label_space : {"shared", "task"}, default="shared"
        ``"shared"``: the same classes in every task. ``"task"``: classes private to each task.
    n_way : int, default=5
        Classes of an episode with ``label_space="task"``, >= 2.
    <parameters>

    Attributes
    ----------
    <attributes>
    classes_ : ndarray of shape (n_classes,)
        The classes; with ``label_space="task"`` those of the support, in an adapted copy.

    Examples
    --------
    >>> from metaskl import AutoMetaClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(12, 30, random_state=0)
    >>> auto = AutoMetaClassifier(time_budget=60, n_trials=0, learners=["protonet"],
    ...                           baselines=["pooled logistic"], n_shot=10,
    ...                           learner_params={"max_epochs": 1, "steps_per_epoch": 5})
    >>> auto = auto.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> auto.best_name_
    'protonet'
    >>> auto.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """

    label_space: str = "shared"
    n_way: int = 5

    kind: ClassVar[str] = "classification"

    def predict(self, X: Any, return_std: bool = False) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Must be False: how sure a classifier is says ``predict_proba``.

        Returns
        -------
        ndarray of shape (n_rows,)
            The most probable class of each row.
        """
        if return_std:
            raise ParameterError(
                "return_std must be False for an AutoMetaClassifier, got True: classes have no "
                "standard deviations. Use predict_proba, which says how sure it is."
            )
        return np.asarray(self._adapted().predict(self._features(X)))

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities in the order of ``classes_``.
        """
        return np.asarray(self._adapted().predict_proba(self._features(X)))

    def _adapted(self) -> Any:
        """Return what predicts, if it may before it is adapted."""
        model = self._model()
        if self.label_space == "task" and not hasattr(self, "adapted_"):
            raise NotAdaptedError(
                "AutoMetaClassifier must be adapted before it predicts with label_space='task': "
                "each task has classes of its own. Call adapt(X_support, y_support) and predict "
                "with what it returns."
            )
        return model
