"""What both automatic estimators share: the contest, the search, the best of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from metaskl.errors import CandidateError, ParameterError, TaskError
from metaskl.estimators.adapt import adapt, adapt_groups
from metaskl.estimators.checks import warn_of_a_pool
from metaskl.estimators.inputs import check_features, check_rows
from metaskl.evaluation import Comparison, Verdict
from metaskl.evaluation.cross_validate import fit_on_tasks
from metaskl.evaluation.verdict import NOT_TRIED
from metaskl.search.contest import Contest
from metaskl.search.ensemble import enter_ensemble
from metaskl.search.entries import (
    apart_from_slow,
    baselines_of,
    check_settings_of,
    describe,
    learners_of,
    one_of_each_model,
    protocol_of,
    warn_of_the_untried,
)
from metaskl.search.further import search_further
from metaskl.search.record import SearchRecord
from metaskl.search.storing import from_plain, to_plain
from metaskl.tasks.groups import resolve_groups, warn_of_several_tasks

Array = npt.NDArray[Any]


@dataclass(kw_only=True, eq=False, repr=False)
class BaseAutoMeta(BaseEstimator):  # type: ignore[misc]
    """Try baselines and learners over tasks, search further, keep the best."""

    time_budget: float | None = 300.0
    n_trials: int | None = None
    learners: Any = "auto"
    baselines: Any = "all"
    n_shot: Any = (5, 10, 20)
    n_repeats: int = 1
    cv: Any = 3
    scoring: Any = None
    learner_params: dict[str, Any] | None = None
    preprocess: Any = None
    ensemble: bool = False
    pruning: str | None = "tasks"
    storage: str | None = None
    study_name: str | None = None
    warm_start: bool = True
    n_jobs: int | None = None
    random_state: int = 0
    verbose: int = 0

    __metadata_request__fit: ClassVar = {"groups": True}
    kind: ClassVar[str]
    label_space = "shared"
    n_way = 5

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Find the best learner or baseline for these tasks, and fit it on all rows.

        Ctrl-C ends the search early: what is best so far is fitted then.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        y : array-like of shape (n_rows,)
            Targets.
        groups : array-like of shape (n_rows,), or str, optional
            Task ids, or the name of the column of the data frame `X` that holds them. Without
            it the data are one task, and the best ordinary model is found; with
            ``label_space="task"`` they are a pool of classes, as in :func:`compare`.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError
            If a setting, the rows, the targets or the task ids do not fit, or nothing that was
            tried could be fitted.
        """
        check_settings_of(self)
        X, ids, column = resolve_groups(X, groups)
        X, y = self._check(X, y)
        # Numbers for names: what a task is called shall not move the draws.
        names, ids = (None, None) if ids is None else np.unique(ids, return_inverse=True)
        self.groups_column_ = column
        self.__dict__.pop("adapted_", None)
        one_task = ids is None and self.label_space == "shared"
        if one_task and self.kind == "classification":
            warn_of_a_pool(self, len(np.unique(y)))
        contest = Contest(
            protocol_of(self, X, y, ids),
            time_budget=self.time_budget,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        self.interrupted_ = False
        try:
            self._try_all(contest, one_task=one_task)
        except KeyboardInterrupt:
            self.interrupted_ = True
        else:
            warn_of_the_untried(contest)
        self._keep_best(contest, ids)
        self._tell(contest, names, one_task=one_task)
        return self

    def _check(self, X: Any, y: Any) -> tuple[Any, Array]:
        """Return features and targets, as numbers unless a transformer is to make them so."""
        numeric = self.kind == "regression"
        if self.preprocess is None:
            X, y = check_rows(self, X, y, reset=True, numeric=numeric)
            self.in_shape_ = tuple(X.shape[1:])
        else:
            validate_data(self, X, skip_check_array=True)
            y = np.asarray(y)
        if len(y) < 2:
            raise TaskError(
                "X must have at least 2 rows, one for the support and one for the query, got "
                f"n_samples={len(y)}. Bring more rows."
            )
        if not numeric and len(np.unique(y)) < 2:
            raise ParameterError(
                "y must hold at least 2 classes, got one class only "
                f"({np.unique(y).tolist()[0]!r}). There is nothing to tell apart."
            )
        return X, y

    def _try_all(self, contest: Contest, *, one_task: bool) -> None:
        """Try what is to be tried: the baselines, learners as they are, a search, an ensemble."""
        baselines, families = baselines_of(self, contest.protocol)
        wanted = learners_of(self)
        if one_task:
            contest.run(one_of_each_model(baselines, families), families, title="models")
            for name in ["every learner"] if isinstance(wanted, str) else wanted:
                contest.failures[name] = f"{NOT_TRIED}: there is one task only, no groups"
                contest.families[name] = "learner"
            return
        if wanted:  # a wrong name is to be told before any time is spent
            learners, roles = contest.protocol.candidates(
                wanted, (), self.learner_params, self.preprocess
            )
        slow: dict[str, Any] = {}
        if wanted and self.time_budget is not None:
            baselines, slow = apart_from_slow(baselines)
        contest.run(baselines, families, title="baselines")
        if wanted and self.n_trials == 0:
            contest.run(learners | slow, roles | families, title="learners")
        elif wanted:
            search_further(self, contest, wanted, list(roles), slow)
        if self.ensemble:
            enter_ensemble(contest, preprocess=self.preprocess)

    def _keep_best(self, contest: Contest, ids: Array | None) -> None:
        """Fit the best on all rows; the next best, should that fail."""
        if not contest.ranking:
            if self.interrupted_:
                raise KeyboardInterrupt
            reasons = "\n".join(f"  {name}: {why}" for name, why in contest.failures.items())
            raise CandidateError(f"nothing that was tried could be fitted:\n{reasons}")
        for name in contest.ranking:
            try:
                self.best_estimator_ = fit_on_tasks(
                    clone(contest.estimators[name]), contest.X, contest.y, ids
                )
            except Exception as error:
                contest.failures[name] = f"on all rows, {type(error).__name__}: {error}"
                if name == contest.ranking[-1]:
                    raise
                continue
            break
        self.best_name_ = name
        self.best_score_ = contest.scores[name]

    def _tell(self, contest: Contest, names: Array | None, *, one_task: bool) -> None:
        """Set what is known of the candidates."""
        condition = "" if self.baselines == "all" else "against the baselines given"
        comparison = contest.comparison(
            condition=condition,
            described=describe(self, contest.protocol, len(contest.scores), one_task=one_task),
        )
        if names is not None:
            tasks = names[comparison.scores["task"].to_numpy()]
            comparison = replace(comparison, scores=comparison.scores.assign(task=tasks))
        self.comparison_: Comparison = comparison
        self.search_ = contest.record()
        if self.kind == "classification" and hasattr(self.best_estimator_, "classes_"):
            self.classes_ = self.best_estimator_.classes_

    @property
    def leaderboard_(self) -> pd.DataFrame:
        """The best of each learner and every baseline, with intervals over tasks."""
        check_is_fitted(self, "comparison_")
        return self.comparison_.leaderboard()

    @property
    def verdict_(self) -> Verdict:
        """Whether meta-learning pays here; ``str`` says it in words."""
        check_is_fitted(self, "comparison_")
        return self.comparison_.verdict

    def adapt(self, X: Any, y: Any) -> Self:
        """Return a copy for one new task, adapted as the best estimator adapts.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_support, ...)
            Features of the support.
        y : array-like of shape (n_support,)
            Targets of the support.

        Returns
        -------
        adapted
            A copy with the attribute ``adapted_``; the original is unchanged.
        """
        warn_of_several_tasks(X, getattr(self, "groups_column_", None))
        X = self._features(X)
        return self._copy(adapt(self.best_estimator_, X, y))

    def adapt_groups(self, X: Any, y: Any, groups: Any) -> dict[Any, Self]:
        """Return copies for many new tasks: as :meth:`adapt` on each, in fewer calls.

        Parameters
        ----------
        X, y : array-like or data frame of shape (n_rows, ...) and (n_rows,)
            The supports of all tasks.
        groups : array-like of shape (n_rows,)
            Task ids.

        Returns
        -------
        dict
            An adapted copy for each task id.
        """
        X = self._features(X)
        copies = adapt_groups(self.best_estimator_, X, y, groups)
        return {task: self._copy(adapted) for task, adapted in copies.items()}

    def _copy(self, adapted: Any) -> Self:
        new = type(self).__new__(type(self))  # copy.copy would go through the state on disk
        new.__dict__.update(self.__dict__)
        new.adapted_ = adapted
        if hasattr(adapted, "classes_"):
            new.classes_ = adapted.classes_
        return new

    def _model(self) -> Any:
        """Return what predicts: the adapted estimator, or the best as it was fitted."""
        check_is_fitted(self, "best_estimator_")
        return getattr(self, "adapted_", self.best_estimator_)

    def _features(self, X: Any) -> Any:
        """Return features without the task column, as in fit."""
        check_is_fitted(self, "best_estimator_")
        X = resolve_groups(X, None, column=self.groups_column_)[0]
        if self.preprocess is None:
            return check_features(self, X)
        validate_data(self, X, skip_check_array=True, reset=False)
        return X

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "comparison_" in state:
            state["comparison_"] = to_plain(state["comparison_"])
            state["search_"] = state["search_"].as_text()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("comparison_"), str):
            record = SearchRecord.from_text(state["search_"])
            state = state | {"comparison_": from_plain(state["comparison_"]), "search_": record}
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = self.kind == "regression"
        tags.input_tags.sparse = self.preprocess is None
        return tags
