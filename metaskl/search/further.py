"""The search after the baselines, in the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaskl.errors import CandidateError
from metaskl.evaluation.candidates import family_of
from metaskl.evaluation.verdict import NOT_TRIED
from metaskl.search._optuna import TrialState, optuna
from metaskl.search.contest import Contest
from metaskl.search.entries import cv_of
from metaskl.search.record import importances_of
from metaskl.search.result import notes_of
from metaskl.search.spaces import LEARNER
from metaskl.search.study import run_study


def search_further(
    estimator: Any, contest: Contest, learners: Any, names: list[str], slow: dict[str, Any]
) -> None:
    """Search learners, and the best baseline beside them, on the draws of the contest.

    Parameters
    ----------
    estimator : BaseAutoMeta
        The settings.
    contest : Contest
        What was tried so far; what the search finds is added.
    learners : list of str or dict of str to estimator
        What is searched.
    names : list of str
        The names of all these.
    slow : dict of str to estimator
        Slow baselines that are tried once every learner was, before the search goes on.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, after what was found until then is added.
    """
    # One study in both parts, which is of the same candidates.
    storage, best = estimator.storage, _best_baseline(estimator, contest)
    if slow:
        storage = storage or optuna.storages.InMemoryStorage()
        first = len(names) if estimator.n_trials is None else min(len(names), estimator.n_trials)
        _search(estimator, contest, learners, names, (best, storage, first))
        families = {name: family_of(model) for name, model in slow.items()}
        contest.run(slow, families, title="slow baselines")
    _search(estimator, contest, learners, names, (best, storage, estimator.n_trials))


def _search(
    estimator: Any, contest: Contest, learners: Any, names: list[str], study: tuple[Any, Any, Any]
) -> None:
    """Run the study, up to a number of trials."""
    best, storage, n_trials = study
    if contest.time_left <= 0:
        _note_the_untried(contest, names, Counter(row["candidate"] for row in contest.log))
        return
    protocol = contest.protocol
    limited = np.isfinite(contest.time_left)
    try:
        result = run_study(
            contest.X,
            contest.y,
            contest.ids if protocol.grouped else None,
            learners=learners,
            baselines=best,
            n_shot=[k for k in protocol.shots if k not in protocol.left_out],
            n_repeats=estimator.n_repeats,
            cv=cv_of(estimator, len(np.unique(contest.ids))),
            scoring=estimator.scoring,
            kind=protocol.kind,
            label_space=estimator.label_space,
            n_way=estimator.n_way,
            learner_params=estimator.learner_params,
            preprocess=estimator.preprocess,
            n_trials=n_trials,
            time_budget=contest.time_left if limited else None,
            pruning=estimator.pruning,
            storage=storage,
            study_name=estimator.study_name,
            warm_start=estimator.warm_start,
            n_jobs=estimator.n_jobs,
            random_state=estimator.random_state,
            verbose=estimator.verbose,
        )
    except CandidateError as error:
        contest.failures["search"] = str(error)
        contest.families["search"] = "learner"
        return
    for told in (contest.failures, contest.families):
        told.pop("search", None)  # of the first part, where all failed
    _take_up(contest, result)
    _note_the_untried(contest, names, Counter(row["candidate"] for row in contest.log))
    if result.interrupted:
        raise KeyboardInterrupt


def _best_baseline(estimator: Any, contest: Contest) -> Any:
    """Return the best baseline in the form in which the study takes it: it is tuned as well."""
    name = contest.best
    if name is None:
        return ()
    given = estimator.baselines
    return {name: given[name]} if isinstance(given, Mapping) else [name]


def _take_up(contest: Contest, result: Any) -> None:
    """Add the trials of a study to a contest."""
    families = {candidate.name: candidate.family for candidate in result.candidates}
    scores = dict(list(result.task_scores.groupby("trial")))
    for trial in result.study.get_trials(deepcopy=False):
        notes = notes_of(trial)
        learner = notes.get(LEARNER)
        done = trial.number in contest.taken_up
        if learner is None or done or not trial.state.is_finished():
            continue
        contest.taken_up.add(trial.number)
        seconds = float(notes.get("seconds") or 0.0)
        name = f"{learner} #{trial.number}"
        score = np.nan
        if trial.state == TrialState.COMPLETE:
            part = scores[trial.number].drop(columns="trial")
            part = part.assign(fit_time=seconds / len(contest.folds), score_time=0.0)
            contest.add(
                name,
                families[learner],
                result.make(trial),
                part,
                seconds,
                transductive=bool(notes.get("transductive")),
            )
            score = contest.scores[name]
        elif trial.state == TrialState.PRUNED:
            score = notes.get("score", np.nan)
        elif trial.state == TrialState.FAIL:
            contest.failures.setdefault(name, str(notes.get("error", "")))
            contest.families[name] = families[learner]
        params = result.params_of(trial) if trial.params else {}
        contest.note(learner, trial.state.name, float(score), seconds, params)
    _note_importances(contest, result)


def _note_the_untried(contest: Contest, learners: list[str], n_tried: Mapping[str, int]) -> None:
    """Say why a learner is not among those that were scored to the end."""
    scored = {name.partition(" #")[0] for name in contest.parts}
    for name in learners:
        if name in scored:
            contest.failures.pop(name, None)
            continue
        contest.families[name] = "learner"
        contest.failures[name] = (
            f"given up early or failed in all of its trials, {n_tried[name]}"
            if n_tried.get(name)
            else f"{NOT_TRIED}: no time was left; raise time_budget or n_trials"
        )


def _note_importances(contest: Contest, result: Any) -> None:
    """Find out what mattered in the learner of which most trials are complete."""
    complete = result.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    learners = [notes_of(trial)[LEARNER] for trial in complete]
    if not learners:
        return
    most = max(sorted(set(learners)), key=learners.count)
    found = importances_of([t for t, name in zip(complete, learners, strict=True) if name == most])
    found.pop(LEARNER, None)
    contest.importances = {name.removeprefix(f"{most}."): value for name, value in found.items()}
    contest.searched = most if found else ""
