"""A scikit-learn scorer that adapts before it scores."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from metaskl._compat import swallows_errors
from metaskl.errors import GroupsError, GroupsWarning, TaskError
from metaskl.evaluation.answers import score_draws
from metaskl.evaluation.cross_validate import private_ways
from metaskl.evaluation.draws import Draw, check_count, check_n_shot, draw_classes, draw_rows
from metaskl.evaluation.folds import too_small
from metaskl.evaluation.scoring import resolve_scorer
from metaskl.tasks import check_groups

# What a search calls sets of classes, so that they do not reach fits as task ids.
CLASS_SETS = "class_sets"


class _NoScore:
    """What stands for a score that no candidate can have: scikit-learn's error shows the reason."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"none, for {self.reason}"


class FewShotScorer(BaseEstimator):  # type: ignore[misc]
    """Score an estimator by adapting it to each task of the rows it is given.

    For scikit-learn's own tools with metadata routing on: ``cross_val_score(est, X, y,
    scoring=FewShotScorer(), cv=GroupKFold(), params={"groups": groups})``, grid searches,
    validation curves. Every candidate gets the same support rows. For an estimator with
    ``label_space="task"`` the draws are n-way episodes of its own `n_way`.

    Parameters
    ----------
    scoring : str or callable, optional
        A scikit-learn scorer for the queries. By default accuracy, or minus the root mean
        squared error.
    n_shot : int or sequence of int, default=5
        Support rows of each task, >= 1. Of several a task's score is the mean over those that it
        is large enough for.
    n_repeats : int, default=3
        Draws of support and query for each task.
    n_way : int, optional
        Classes of an episode, where classes are private to a task. By default the estimator's
        own; give it for a baseline, or where a search varies the estimator's.
    random_state : int, default=0
        Seed of the draws.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> from metaskl import FewShotScorer, PerTask
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(12, 30, random_state=0)
    >>> with config_context(enable_metadata_routing=True):
    ...     scores = cross_val_score(PerTask(Ridge()), lines.X, lines.y, cv=GroupKFold(3),
    ...                              scoring=FewShotScorer(), params={"groups": lines.groups})
    >>> scores.shape
    (3,)
    """

    def __init__(
        self,
        scoring: Any = None,
        *,
        n_shot: int | Sequence[int] = 5,
        n_repeats: int = 3,
        n_way: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.scoring = scoring
        self.n_way = n_way
        self.n_shot = n_shot
        self.n_repeats = n_repeats
        self.random_state = random_state

    _groups_are: str

    def get_metadata_routing(self) -> MetadataRequest:
        """Request task ids, so that scikit-learn hands them to the scorer."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="groups", alias=getattr(self, "_groups_are", True))
        return request

    def over_class_sets(self) -> Self:
        """Return a copy that takes sets of classes, by a name that no estimator asks for."""
        other = copy(self)
        other._groups_are = CLASS_SETS
        return other

    @property
    def scores_class_sets(self) -> bool:
        """Whether sets of classes are scored, which fits are not told."""
        return hasattr(self, "_groups_are")

    def __call__(self, estimator: Any, X: Any, y: Any, groups: Any = None) -> Any:
        """Return the mean score over tasks, each the mean of its repeats.

        Raises
        ------
        GroupsError
            If there are no task ids. A search of scikit-learn's raises a ValueError that holds its
            message, instead of filling ``cv_results_`` with nan.
        """
        if groups is None:
            error = GroupsError(
                "FewShotScorer must be given groups, got None. Turn metadata routing on "
                "(sklearn.set_config(enable_metadata_routing=True)) and pass them: "
                "cross_val_score(..., params={'groups': groups}), or "
                "GridSearchCV(...).fit(X, y, groups=groups). Or use metaskl.cross_validate_tasks "
                "and metaskl.TaskSearchCV, which hold out whole classes where there are no groups."
            )
            if swallows_errors():
                return _NoScore(error)
            raise error
        y = np.asarray(y)
        ids = check_groups(groups, len(y))
        draws = self.draws(estimator, y, ids)
        _warn_of_torn_tasks(estimator, ids)
        scorer = resolve_scorer(self.scoring, classification=is_classifier(estimator))
        rows = score_draws(estimator, X, y, draws, scorer)
        # Repeats are averaged first; a repeat or a task without a score is left out.
        by_shot = pd.DataFrame(rows).groupby(["task", "n_shot"])["score"].mean()
        return float(by_shot.groupby("task").mean().mean())

    def draws(self, estimator: Any, y: npt.NDArray[Any], ids: npt.NDArray[Any]) -> list[Draw]:
        """Return the supports and queries that an estimator is scored on.

        Parameters
        ----------
        estimator : estimator
            Fitted or not; one with classes private to a task is scored by episodes.
        y : ndarray of shape (n_rows,)
            Targets.
        ids : ndarray of shape (n_rows,)
            Task ids.

        Returns
        -------
        list of Draw
            For each task, repeat and shot count.

        Raises
        ------
        TaskError
            If for a shot count no task is large enough.
        """
        shots, seed = check_n_shot(self.n_shot, fractions=False), self.random_state
        check_count("n_repeats", self.n_repeats)
        check_count("random_state", seed, 0)
        n_way = private_ways(estimator) if self.n_way is None else self.n_way
        if n_way is None:
            draws = draw_rows(ids, shots, n_repeats=self.n_repeats, random_state=seed)
        else:
            draws = draw_classes(
                y, ids, shots, n_way=n_way, n_repeats=self.n_repeats, random_state=seed
            )
        for shot in sorted({*shots} - {draw.n_shot for draw in draws}):
            raise TaskError(
                f"n_shot={shot} leaves no query in any of these tasks: "
                f"{too_small(y, ids, shot, n_way)}. Lower n_shot."
            )
        return draws


def _warn_of_torn_tasks(estimator: Any, ids: npt.NDArray[Any]) -> None:
    """Warn if a meta-learner has seen other rows of all the tasks that it is scored on."""
    fitted, scored = _fitted_on(estimator), Counter(ids.tolist())
    if fitted == scored:  # the rows of fit themselves, for a training score
        return
    if fitted.keys() >= scored.keys():
        warnings.warn(
            "FewShotScorer scores tasks that were all seen in fit, so the score says nothing of a "
            "new task: cv tears tasks apart. Use a splitter over groups, such as cv=GroupKFold(5).",
            GroupsWarning,
            stacklevel=3,
        )


def _fitted_on(estimator: Any) -> Counter[Any]:
    """Return the number of rows of each task of a meta-learner's fit in this process."""
    if isinstance(estimator, Pipeline):
        return _fitted_on(estimator.steps[-1][1])
    for name in ("shared_", "regressor_", "best_estimator_"):  # what holds a meta-learner
        if hasattr(estimator, name):
            return _fitted_on(getattr(estimator, name))
    return Counter(getattr(estimator, "_fitted_on", {}))
