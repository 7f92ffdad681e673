"""A search with scikit-learn's face, over tasks, with Optuna inside."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn import config_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from metaskl._compat import BaseSearchCV
from metaskl.estimators.adapt import adapt, can_adapt
from metaskl.evaluation.folds import split_tasks
from metaskl.evaluation.scorer import CLASS_SETS, FewShotScorer
from metaskl.search import asking
from metaskl.search._optuna import quiet
from metaskl.search.spaces import make_space
from metaskl.search.storage import Ownership, storage_faults
from metaskl.tasks.groups import resolve_groups, warn_of_several_tasks


def _estimator_has(method: str) -> Callable[[Any], bool]:
    """Return a test of whether the best estimator, or before fit the one given, has a method."""
    return lambda search: hasattr(getattr(search, "best_estimator_", search.estimator), method)


class TaskSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Search an estimator's hyper-parameters by cross-validation over tasks.

    A trial adapts to each held-out task and is scored on the rest of its rows, as by
    :class:`FewShotScorer`. Optuna's tree-structured Parzen estimator [1]_ proposes the trials.
    It is used as ``GridSearchCV`` is: in Pipelines, in nested cross-validation. Without `groups`
    it is an ordinary search, but for an estimator with ``label_space="task"``, whose classes are
    dealt out into sets of its `n_way` that are held out, as in :func:`compare`. For pruning,
    several learners and many machines see :func:`run_study`.

    Parameters
    ----------
    estimator : estimator
        A meta-learner, a baseline (`PerTask`, `Pooled`, `ShrunkRegressor`), or a Pipeline that
        ends in one. It is cloned.
    space : dict, optional
        Names of hyper-parameters, as in ``set_params``, to Optuna distributions, dimensions of
        ``metaskl.learners.space``, or lists of values. By default the estimator's own
        ``search_space()``: the inner and outer learning rates first of all.
    n_trials : int, default=30
        Trials, >= 1; fewer, with a warning, where the space holds fewer configurations. The
        first is the estimator as it was given, where the space allows it, so that on
        meta-validation the search is never worse than what it started from.
    time_budget : float, optional
        Seconds, > 0, after which no further trial starts. One is made in any case.
    n_shot : int or sequence of int, default=5
        Labelled rows of a held-out task, >= 1 (of several the mean score counts); of each class
        with ``label_space="task"``. Without effect where `scoring` is a `FewShotScorer`.
    n_repeats : int, default=1
        Draws of support and query for each task.
    scoring : str, callable or FewShotScorer, optional
        A scikit-learn scorer of the queries, greater is better. By default accuracy, or minus
        the root mean squared error.
    cv : int or scikit-learn splitter over groups, default=3
        Folds over tasks.
    n_jobs : int, optional
        Fits in parallel, by joblib. With more jobs than folds several trials run at once, and
        each knows less of the others.
    refit : bool, default=True
        Whether to fit the best on all rows.
    error_score : "raise" or float, default=nan
        What a fit that fails is scored with. A trial whose fits all fail is left out.
    sampler : optuna sampler, optional
        What proposes trials instead.
    storage : str, optional
        URL of an Optuna storage. By default in memory.
    study_name : str, optional
        By default made from the data and settings. A study that is there goes on: its trials
        inform the sampler, the best of them is evaluated again first.
    random_state, verbose : int, default=0
        Seed of folds, draws and sampler; what is printed, as in ``GridSearchCV``.

    Attributes
    ----------
    best_estimator_ : estimator
        The best, fitted on all rows.
    best_params_ : dict
        Its hyper-parameters.
    best_score_ : float
        Its mean score over folds.
    cv_results_ : dict of ndarray
        As in ``GridSearchCV``.
    study_ : optuna.Study
        The study, for Optuna's own figures and importances.
    groups_column_ : str or None
        The data frame's column that named the task in fit; it is dropped.

    References
    ----------
    .. [1] J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl. Algorithms for Hyper-Parameter
       Optimization. Advances in Neural Information Processing Systems 24, 2011.

    Examples
    --------
    >>> from metaskl import RidgeHeadRegressor, TaskSearchCV
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(12, 20, random_state=0)
    >>> meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=2, random_state=0)
    >>> search = TaskSearchCV(meta, n_trials=2, cv=2).fit(lines.X, lines.y, groups=lines.groups)
    >>> "outer_lr" in search.best_params_
    True
    >>> search.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """

    pre_dispatch = "2*n_jobs"
    return_train_score = False

    def __init__(
        self,
        estimator: Any,
        space: dict[str, Any] | None = None,
        *,
        n_trials: int = 30,
        time_budget: float | None = None,
        n_shot: int | Sequence[int] = 5,
        n_repeats: int = 1,
        scoring: Any = None,
        cv: Any = 3,
        n_jobs: int | None = None,
        refit: bool = True,
        error_score: Any = np.nan,
        sampler: Any = None,
        storage: str | None = None,
        study_name: str | None = None,
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.time_budget = time_budget
        self.n_shot = n_shot
        self.n_repeats = n_repeats
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs
        self.refit = refit
        self.error_score = error_score
        self.sampler = sampler
        self.storage = storage
        self.study_name = study_name
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Self:
        """Search, and fit the best on all rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Targets.
        groups : array-like of shape (n_rows,), or str, optional
            Task ids, or the name of the column of `X` that holds them. Without them classes
            of each task's own are one pool; anything else is one task.

        Returns
        -------
        TaskSearchCV
            The search itself.

        Raises
        ------
        ValueError
            If a setting, the space or the task ids do not fit, or every trial failed.
        StudyError
            If the storage fails, or `study_name` is that of other data or settings.
        """
        asking.check_settings(self)
        X, ids, self.groups_column_ = resolve_groups(X, groups)
        ids, pool = asking.tasks_of(self, X, y, ids)
        self._classes_of_fit = Counter(np.asarray(y).tolist()) if pool else None
        self._tabular = np.ndim(X) == 2
        # The settings as scikit-learn's search needs them, on a copy: ours stay as given.
        plain = copy.copy(self)
        if ids is not None:
            plain.cv = split_tasks(np.asarray(y), ids, self.cv, self.random_state, grouped=not pool)
            scorer = asking.scorer_of(self)
            plain.scoring = scorer.over_class_sets() if pool else scorer
            asking.require_scores(self.estimator, plain.scoring, plain.cv, np.asarray(y), ids)
        plain._marks = {} if self.storage is None else asking.marks_of(plain, X, y, ids)
        # A Pipeline hands task ids to its last step, and a search to its scorer, with routing on.
        params = {} if ids is None else {CLASS_SETS if pool else "groups": ids}
        routed, once = ids is not None, asking.one_task_told_once(self.estimator, ids)
        with once, config_context(enable_metadata_routing=routed), quiet():
            super(TaskSearchCV, plain).fit(X, y, **params)
        for name, value in vars(plain).items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(self, name, value)
        return self

    def _run_search(self, evaluate_candidates: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Ask Optuna for trials, have scikit-learn evaluate them, tell the scores."""
        one = {"estimator": self.estimator}
        candidate = make_space(one, {"estimator": ""}, self.space, tabular=self._tabular)[0]
        with storage_faults(self.storage):
            self.study_ = asking.open_study(self, candidate, self._marks)
            with Ownership(self.study_) as owner:
                owner.reap(set())
                asking.enqueue_first(self.study_, candidate)
                # Folds run side by side first; trials do only where jobs are left over.
                width = max(1, effective_n_jobs(self.n_jobs) // self.n_splits_)
                asking.ask_and_tell(self, candidate, evaluate_candidates, owner, width=width)

    def score(self, X: Any, y: Any = None, groups: Any = None) -> float:
        """Score the best estimator by what the search was scored with.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features.
        y : array-like of shape (n_rows,)
            Targets.
        groups : array-like of shape (n_rows,), or str, optional
            Task ids, if fit was given them: it adapts to each task, as in the search. Of a
            pool of classes, without them, it adapts to sets of classes, which should be new.

        Returns
        -------
        float
            The score, greater is better.
        """
        X, ids, _ = resolve_groups(X, groups, column=getattr(self, "groups_column_", None))
        scorer = getattr(self, "scorer_", None)
        if isinstance(scorer, FewShotScorer):
            if ids is None and scorer.scores_class_sets:
                ids = asking.class_sets_of(self, X, y, seen=self._classes_of_fit)
            return float(scorer(self.best_estimator_, X, y, groups=ids))
        with config_context(enable_metadata_routing=False):
            return float(super().score(X, y))

    @available_if(_estimator_has("predict"))  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> Any:
        """Predict by the best estimator.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The predictions.
        """
        return super().predict(self._features(X))

    @available_if(_estimator_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities by the best estimator.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, ...)
            Features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            One column a class, in the order of ``classes_``.
        """
        return super().predict_proba(self._features(X))

    def _features(self, X: Any) -> Any:
        """Drop the task column, if fit was given one and it is there."""
        return resolve_groups(X, None, column=getattr(self, "groups_column_", None))[0]

    @available_if(lambda search: can_adapt(search.estimator))  # type: ignore[untyped-decorator]
    def adapt(self, X: Any, y: Any) -> Any:
        """Return the best estimator, adapted to one new task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_support, ...)
            The support, with or without the task column.
        y : array-like of shape (n_support,)
            The support's targets.

        Returns
        -------
        adapted
            What ``best_estimator_`` adapts to.
        """
        check_is_fitted(self, "best_estimator_")
        warn_of_several_tasks(X, getattr(self, "groups_column_", None))
        return adapt(self.best_estimator_, self._features(X), y)
