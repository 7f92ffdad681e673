"""A greedy ensemble of what a search found."""

from __future__ import annotations

import time
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import available_if

from metaskl.estimators.adapt import adapt, adapt_groups
from metaskl.estimators.wrapper import TaskWrapper
from metaskl.evaluation.answers import answer_draws, mix_answers, score_answer
from metaskl.evaluation.cross_validate import fit_on_tasks, fit_rows
from metaskl.evaluation.folds import Fold
from metaskl.search.averaging import mean_score
from metaskl.search.contest import Contest
from metaskl.tasks.groups import resolve_groups, warn_of_several_tasks

Array = npt.NDArray[Any]


class TaskEnsemble(TaskWrapper):
    """The weighted mean of several estimators' predictions, each adapted to the task.

    Parameters
    ----------
    estimators : list of estimator
        All regressors, or all classifiers with ``predict_proba``; at least one. They are cloned.
    weights : list of float, optional
        The weight of each, > 0. By default all are equal.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted estimators.
    classes_ : ndarray of shape (n_classes,)
        The classes, for classifiers.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from metaskl import PerTask, Pooled
    >>> from metaskl.search import TaskEnsemble
    >>> X, y = [[0.0], [1.0], [0.0], [1.0]], [0.0, 1.0, 2.0, 3.0]
    >>> both = TaskEnsemble([PerTask(Ridge(1e-9)), Pooled(Ridge(1e-9))], [1, 3])
    >>> both = both.fit(X, y, groups=["a", "a", "b", "b"])
    >>> both.adapt([[0.0], [1.0]], [5.0, 6.0]).predict([[2.0]]).round(6)
    array([4.])
    """

    def __init__(self, estimators: list[Any], weights: list[float] | None = None) -> None:
        self.estimators = estimators
        self.weights = weights

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit every estimator.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,)
            The target.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, or the name of the column of `X` that holds them.

        Returns
        -------
        TaskEnsemble
            The fitted ensemble itself.
        """
        X, ids, self.groups_column_ = resolve_groups(X, groups)
        self.estimators_ = [fit_on_tasks(clone(each), X, y, ids) for each in self.estimators]
        self._set_classes()
        return self

    def _set_classes(self) -> None:
        if is_classifier(self):
            known = [each.classes_ for each in self.estimators_ if hasattr(each, "classes_")]
            self.classes_ = np.unique(np.concatenate(known)) if known else np.zeros(0)

    def _copy(self, estimators: list[Any]) -> Self:
        new = copy(self)
        new.estimators_ = estimators
        new._set_classes()
        return new

    def adapt(self, X: Any, y: Any) -> Self:
        """Return a copy adapted to one new task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_support, n_features)
            Features of the support.
        y : array-like of shape (n_support,)
            Targets of the support.

        Returns
        -------
        TaskEnsemble
            A copy whose estimators are adapted.
        """
        warn_of_several_tasks(X, getattr(self, "groups_column_", None))
        X = self._features(X)
        return self._copy([adapt(each, X, y) for each in self.estimators_])

    def adapt_groups(self, X: Any, y: Any, groups: Any) -> dict[Any, Self]:
        """Return copies adapted to many tasks.

        Parameters
        ----------
        X, y : array-like or data frame of shape (n_rows, n_features) and (n_rows,)
            The supports of all tasks.
        groups : array-like of shape (n_rows,)
            Task ids.

        Returns
        -------
        dict
            A copy for each task id.
        """
        X = self._features(X)
        several = [adapt_groups(each, X, y, groups) for each in self.estimators_]
        return {task: self._copy([copies[task] for copies in several]) for task in several[0]}

    def predict(self, X: Any) -> Array:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.

        Returns
        -------
        ndarray of shape (n_rows,)
            The weighted mean, or the class of the largest mean probability.
        """
        if is_classifier(self):
            labels: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
            return labels
        X = self._features(X)
        found = [np.asarray(each.predict(X)) for each in self.estimators_]
        return np.asarray(np.average(found, axis=0, weights=self.weights))

    @available_if(lambda ensemble: is_classifier(ensemble))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            The weighted mean; 0 for a class that an estimator does not know.
        """
        X = self._features(X)
        weights = np.ones(len(self.estimators_)) if self.weights is None else self.weights
        total = np.zeros((len(X), len(self.classes_)))
        for each, weight in zip(self.estimators_, np.asarray(weights, float), strict=True):
            total[:, np.searchsorted(self.classes_, each.classes_)] += weight * each.predict_proba(
                X
            )
        return total / np.sum(weights)

    def _default_estimator(self) -> Any:
        return self.estimators[0]

    def _fitted(self) -> Any:
        return self.estimators_[0]


def enter_ensemble(contest: Contest, *, preprocess: Any, n_candidates: int = 5) -> None:
    """Add the ensemble of the best candidates to a contest, if it scores higher than the best.

    Parameters
    ----------
    contest : Contest
        What was tried.
    preprocess : transformer or None
        What stands before every candidate: it is fitted once for the ensemble.
    n_candidates : int, default=5
        How many may be members, >= 1.
    """
    names = contest.ranking[:n_candidates]
    # Each is fitted on every fold once more.
    if len(names) < 2 or contest.time_left < sum(contest.seconds[name] for name in names):
        return
    start = time.monotonic()
    weights, score = choose_ensemble(
        {name: contest.estimators[name] for name in names},
        contest.X,
        contest.y,
        contest.ids,
        contest.folds,
        contest.scorer,
    )
    if len(weights) < 2 or not score > contest.scores[names[0]]:
        return
    members = [contest.estimators[name] for name in weights]
    if preprocess is not None:
        members = [member.steps[-1][1] for member in members]
    model: Any = TaskEnsemble(members, list(weights.values()))
    model = model if preprocess is None else make_pipeline(clone(preprocess), model)
    contest.add_ensemble("ensemble", model, score, time.monotonic() - start)


def choose_ensemble(
    candidates: dict[str, Any],
    X: Any,
    y: Array,
    ids: Array,
    folds: list[Fold],
    scorer: Any,
    *,
    n_rounds: int = 20,
) -> tuple[dict[str, int], float]:
    """Choose how often each candidate counts, one at a time, with replacement [1]_.

    Each is fitted on every fold once. The best begins; then the one is added with which the
    mean of all so far scores highest, and in the end the best of all the rounds is kept: on
    these draws no single candidate is better.

    Parameters
    ----------
    candidates : dict of str to estimator
        Unfitted.
    X, y, ids : array-like
        Features, targets and task ids.
    folds : list of Fold
        Folds with their draws.
    scorer : callable
        A scikit-learn scorer.
    n_rounds : int, default=20
        Members at most, each counted as often as it was added.

    Returns
    -------
    weights : dict of str to int
        How often each chosen candidate counts.
    score : float
        The score of the ensemble.

    References
    ----------
    .. [1] R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes. Ensemble Selection from Libraries
       of Models. International Conference on Machine Learning, 2004.
    """
    answers = {name: _answers(each, X, y, ids, folds) for name, each in candidates.items()}
    draws = [draw for fold in folds for draw in fold.draws]
    where = {"task": [draw.task for draw in draws], "n_shot": [draw.n_shot for draw in draws]}
    queries = [(_safe_indexing(X, draw.query), y[draw.query]) for draw in draws]

    def score(weights: dict[str, int]) -> float:
        names, counts = list(weights), np.array(list(weights.values()), float)
        found = [
            score_answer(scorer, mix_answers([answers[n][i] for n in names], counts), *query)
            for i, query in enumerate(queries)
        ]
        return mean_score(pd.DataFrame({**where, "score": found}))

    chosen: dict[str, int] = {}
    best: tuple[dict[str, int], float] = ({}, -np.inf)
    for _ in range(n_rounds):
        tried = {name: {**chosen, name: chosen.get(name, 0) + 1} for name in candidates}
        scored = {name: score(weights) for name, weights in tried.items()}
        winner = max(scored, key=lambda name: scored[name])
        chosen = tried[winner]
        if scored[winner] > best[1]:
            best = (chosen, scored[winner])
    return best


def _answers(estimator: Any, X: Any, y: Array, ids: Array, folds: list[Fold]) -> list[Any]:
    """Return a candidate's answers to the draws of every fold."""
    found = []
    for fold in folds:
        fitted = fit_rows(clone(estimator), X, y, fold.told(ids), fold.train)
        found += answer_draws(fitted, X, y, fold.draws, (False, True), seen=fold.seen)
    return found
