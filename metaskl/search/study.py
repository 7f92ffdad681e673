"""Search learners and hyper-parameters over tasks: one call, resumable."""

from __future__ import annotations

import math
import tempfile
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from metaskl.errors import CandidateError, MetasklWarning, ParameterError
from metaskl.evaluation.draws import Ways, check_count
from metaskl.evaluation.protocol import Protocol, make_protocol
from metaskl.learners.engine.memory import bytes_of
from metaskl.progress import Progress
from metaskl.search.asking import check_budget
from metaskl.search.driver import Budget, Driver, runs_here
from metaskl.search.finite import n_configurations, tell_the_end
from metaskl.search.identity import claim_study, study_name_of
from metaskl.search.objective import draws_frame, units_of
from metaskl.search.opening import begin, default_sampler, enqueue_defaults
from metaskl.search.pruning import choose_pruning
from metaskl.search.result import StudyResult
from metaskl.search.spaces import make_space
from metaskl.search.storage import create_study, open_storage, storage_faults
from metaskl.search.trial import Rules
from metaskl.search.warm_start import enqueue_warm
from metaskl.search.watching import hold_out_tasks

_OBJECTIVES = {("score",): ["maximize"], ("score", "adapt_time"): ["maximize", "minimize"]}
_DEFAULT_TRIALS = 50


def run_study(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    learners: Any = "recommended",
    baselines: Any = (),
    space: Any = None,
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 1,
    cv: Any = 3,
    scoring: Any = None,
    kind: str = "auto",
    label_space: str = "shared",
    n_way: Ways = 5,
    learner_params: dict[str, Any] | None = None,
    preprocess: Any = None,
    objectives: tuple[str, ...] = ("score",),
    n_trials: int | None = None,
    time_budget: float | None = None,
    memory_budget: int | None = None,
    fidelity: Any = None,
    pruning: Any = "tasks",
    sampler: Any = None,
    storage: Any = None,
    study_name: str | None = None,
    data_dir: Any = None,
    warm_start: bool = True,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> StudyResult:
    """Search learners and their hyper-parameters by cross-validation over tasks.

    A trial is one learner with one set of values, meta-trained on the training tasks of every
    fold and scored on the held-out ones: the same supports and queries for every trial. Every
    candidate's defaults are tried first, then optuna chooses. The driver asks and tells the
    study, joblib runs the trials: ``n_jobs`` processes of this machine, or whatever
    ``joblib.parallel_config`` says, dask on many machines among it.

    What dies is run again: a trial whose worker is killed, with the same values; the trials of
    a driver that was killed, when the same call is made again with the same `storage`.

    Parameters
    ----------
    X : array-like or data frame of shape (n_rows, ...)
        Features.
    y : array-like of shape (n_rows,)
        Targets.
    groups : array-like of shape (n_rows,), or str, optional
        Task ids, or the name of the column of `X` that holds them. May be left out with
        ``label_space="task"``, as in :func:`compare`.
    learners : "recommended", "all", list of str or dict of str to estimator
        By default the five learners to try first, as in :func:`compare`; or some by name.
    baselines : "all", list of str or dict of str to estimator, default=()
        Pooled, per-task and shrunk models, tuned beside the learners; see :func:`compare`.
    space : dict, optional
        Distributions of optuna's by the name that ``set_params`` knows; where there are several
        candidates, such a dict for each of some of them. By default that of
        :func:`~metaskl.search.search_space_of`.
    n_shot, n_repeats, cv, scoring, kind, label_space, n_way
        How a trial is scored; see :func:`compare`. The score is the mean over a
        task's draws, then over the held-out tasks, then over shot counts, as of :func:`compare`.
    learner_params : dict, optional
        Hyper-parameters of registered learners that are not searched; see :func:`compare`.
    preprocess : transformer, optional
        Put before every candidate.
    objectives : ("score",) or ("score", "adapt_time"), default=("score",)
        With the second, the seconds of adapting to a task and predicting its query are
        minimised too; ``result.study.best_trials`` are the best trade-offs. Nothing is pruned
        then.
    n_trials : int, optional
        Trials of the study, those of earlier calls with the same `storage` included. By default
        50, or no limit where there is a time budget. The search ends before, with a warning,
        once every configuration of a finite space was tried.
    time_budget : float, optional
        Seconds of this call. A trial that is running when it ends is stopped at its next epoch
        or batch of tasks, and begins anew in the next call.
    memory_budget : int, optional
        Bytes that a trial's process may hold, all of it; a trial that goes beyond fails.
    fidelity : float or sequence of float, optional
        Share of the training tasks and epochs of a shorter run before the whole one, in (0, 1);
        only the best third goes on. Several are gone through in turn.
    pruning : {"tasks", "epochs", "both"}, pruner of optuna's or None, default="tasks"
        By task: a trial ends once Wilcoxon's signed-rank test finds it worse than the best one
        on the tasks scored so far (``WilcoxonPruner``). By epoch: a fifth of the training tasks
        is held out of each trial's fits, and the median rule (or the pruner given) looks at their
        loss after each epoch, beside those of the same learner. ``make_best()`` holds none out.
    sampler : sampler of optuna's, optional
        By default TPE with `random_state`.
    storage : str or storage of optuna's, optional
        A URL such as ``"sqlite:///study.db"``. By default the study is kept in memory, and is
        lost with the process.
    study_name : str, optional
        By default made from the data and settings, so that the same call finds its study.
    data_dir : path, optional
        Folder in which workers find the data, by default a temporary one; workers on other
        machines must see it under the same name.
    warm_start : bool, default=True
        Whether a new study tries, after the defaults, the best configurations of the studies in
        the same storage on the most similar task sets. Set it to False where the search itself
        is cross-validated: a study of another fold has seen the tasks held out of this one.
    n_jobs : int, optional
        Trials at a time.
    random_state : int, default=0
        Seed of the folds, the draws, the learners and the sampler. With one job the same seed
        gives the same study.
    verbose : int, default=0
        1 shows the trials and the best score so far.

    Returns
    -------
    StudyResult
        The trials and the best of them; ``make_best()`` is the unfitted estimator.

    Raises
    ------
    ParameterError
        If a setting is out of its range.
    StudyError
        If the storage fails, or `study_name` is the name of a study of other data or settings.
    CandidateError
        If every trial failed.
    KeyboardInterrupt
        On Ctrl-C before any trial is complete; later it ends the search, and what was found is
        returned.

    Examples
    --------
    >>> from metaskl.search import run_study
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(12, 20, random_state=0)
    >>> result = run_study(lines.X, lines.y, lines.groups, learners=["ridge_head"], n_shot=5,
    ...                    cv=2, n_trials=3, learner_params={"max_epochs": 1, "steps_per_epoch": 2})
    >>> len(result.trials), result.best_learner
    (3, 'ridge_head')
    """
    directions = _check_settings(objectives, n_trials, time_budget)
    memory_budget = None if memory_budget is None else bytes_of(memory_budget)
    rules = Rules(choose_pruning(pruning), _check_fidelity(fidelity), memory_budget)
    protocol = make_protocol(
        X,
        y,
        groups,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout="tasks",
        scoring=scoring,
        kind=kind,
        label_space=label_space,
        n_way=n_way,
        random_state=random_state,
    )
    for count, why in protocol.left_out.items():
        warnings.warn(f"n_shot={count} was left out: {why}.", MetasklWarning, stacklevel=2)
    found, families = protocol.candidates(learners, baselines, learner_params, preprocess)
    given = make_space(found, families, space, tabular=np.ndim(protocol.X) == 2)
    candidates = given
    if rules.pruning.epochs is not None:  # in the trials: the best is fitted on all tasks
        candidates = [replace(c, estimator=hold_out_tasks(c.estimator)) for c in given]
    draws = draws_frame(units_of(protocol))
    if n_trials is None and time_budget is None:
        n_trials = _DEFAULT_TRIALS
    budget = Budget(n_trials, time_budget)
    with storage_faults(storage), ExitStack() as stack:
        name = study_name or study_name_of(protocol, candidates, directions)
        study, created = create_study(open_storage(storage), name, directions, sampler)
        claim_study(study, protocol, candidates, draws, directions)
        if sampler is None:
            study.sampler = default_sampler(study, candidates, random_state)
        n_first = len(candidates[:n_trials])

        def make_first_trials() -> None:
            enqueue_defaults(study, candidates, n_first)
            if storage is not None:
                enqueue_warm(study, protocol, candidates, learn=warm_start)

        begin(study, n_first, make_first_trials, created=created)
        data: Any = protocol
        if not runs_here(n_jobs):
            data = _write_data(protocol, data_dir, stack)
        progress = Progress(n_trials or 0, "search", "trial", shown=bool(verbose))
        driver = Driver(
            study,
            candidates,
            data=data,
            scorer=protocol.scorer,
            rules=rules,
            budget=budget,
            n_jobs=n_jobs,
            progress=progress,
        )
        driver.run()
        progress.close()
    total = n_configurations(candidates)
    if driver.exhausted and math.isfinite(total) and len(study.trials) < (n_trials or math.inf):
        tell_the_end(len(study.trials), total)
    result = StudyResult(
        study,
        given,
        draws,
        protocol.metric,
        protocol.lower_is_better,
        driver.interrupted,
        driver.overhead,
    )
    return _checked(result)


def _check_settings(objectives: Any, n_trials: Any, time_budget: Any) -> list[str]:
    """Return the directions of the objectives."""
    asked = (objectives,) if isinstance(objectives, str) else tuple(objectives)
    if asked not in _OBJECTIVES:
        raise ParameterError(
            f"objectives must be ('score',) or ('score', 'adapt_time'), got {objectives!r}."
        )
    if n_trials is not None:
        check_count("n_trials", n_trials)
    check_budget(time_budget)
    return _OBJECTIVES[asked]


def _check_fidelity(fidelity: Any) -> tuple[float, ...]:
    if fidelity is None:
        return ()
    shares = tuple(np.atleast_1d(fidelity).tolist())
    fractions = all(isinstance(share, float) and 0 < share < 1 for share in shares)
    if not fractions or list(shares) != sorted(set(shares)):
        raise ParameterError(
            f"fidelity must hold rising shares between 0 and 1, got {fidelity!r}. Give for "
            "example fidelity=0.2."
        )
    return shares


def _write_data(protocol: Protocol, data_dir: Any, stack: ExitStack) -> str:
    """Write what trials are scored on to a file, from which each worker reads it once."""
    if data_dir is not None:
        Path(data_dir).mkdir(parents=True, exist_ok=True)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="metaskl-", dir=data_dir))
    path = Path(folder).resolve() / "data.joblib"
    joblib.dump(protocol.without_scorer(), path)
    return str(path)


def _checked(result: StudyResult) -> StudyResult:
    """Raise if there is nothing to show."""
    trials = result.trials
    if (trials["state"] == "complete").any() if len(trials) else False:
        return result
    if result.interrupted:
        raise KeyboardInterrupt
    errors = list(trials["error"].dropna().unique()) if len(trials) else []
    if len(errors):
        reasons = "\n".join(str(error) for error in errors[:5])
        raise CandidateError(f"No trial could be completed, {len(trials)} were begun:\n{reasons}")
    return result
