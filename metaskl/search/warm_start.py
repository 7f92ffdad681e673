"""Past studies on similar task sets give a new one its first trials."""

from __future__ import annotations

import json
from typing import Any

from metaskl.evaluation.protocol import Protocol
from metaskl.search._optuna import TrialState, optuna, quiet
from metaskl.search.meta_features import distance, meta_features
from metaskl.search.result import notes_of
from metaskl.search.spaces import LEARNER, Candidate, distribution_of, holds, prefixed

_FEATURES = "metaskl:meta_features"
_SETTING = "metaskl:setting"


def remember(study: Any, features: dict[str, float], setting: dict[str, Any]) -> None:
    """Write a task set's meta-features into its study.

    Parameters
    ----------
    study : optuna.Study
        The study.
    features : dict of float
        What :func:`meta_features` returned.
    setting : dict
        What must be alike for a study's configurations to be of use: the kind of target, the
        label space.
    """
    study.set_user_attr(_FEATURES, features)
    study.set_user_attr(_SETTING, setting)


def enqueue_warm(
    study: Any, protocol: Protocol, candidates: list[Candidate], *, learn: bool
) -> None:
    """Describe the task set of a new study, and enqueue what did well on the most similar ones.

    Parameters
    ----------
    study : optuna.Study
        The study; if it was described before, it goes on and nothing is enqueued.
    protocol : Protocol
        Its task set.
    candidates : list of Candidate
        What it searches.
    learn : bool
        Whether to enqueue anything.
    """
    if _FEATURES in study.user_attrs:
        return
    features = meta_features(
        protocol.X, protocol.y, protocol.ids, kind=protocol.kind, n_way=protocol.n_way
    )
    setting = {"kind": protocol.kind, "private": protocol.n_way is not None}
    if learn:
        with quiet():
            for params in best_of_nearest(study, features, setting, candidates):
                study.enqueue_trial(params, skip_if_exists=True)
    remember(study, features, setting)


def nearest_studies(
    study: Any, features: dict[str, float], setting: dict[str, Any], *, n_studies: int = 3
) -> list[tuple[float, str]]:
    """Return the studies of the same storage on the most similar task sets.

    Parameters
    ----------
    study : optuna.Study
        The new study; it is not counted.
    features : dict of float
        Meta-features of its task set.
    setting : dict
        What must be alike.
    n_studies : int, default=3
        How many at most, >= 1.

    Returns
    -------
    list of (float, str)
        Distance and name, the nearest first.
    """
    found = []
    for summary in optuna.get_all_study_summaries(study._storage, include_best_trial=False):
        attrs = summary.user_attrs
        if summary.study_name == study.study_name or attrs.get(_SETTING) != setting:
            continue
        if _FEATURES in attrs:
            found.append((distance(features, attrs[_FEATURES]), summary.study_name))
    return sorted(found)[:n_studies]


def best_of_nearest(
    study: Any,
    features: dict[str, float],
    setting: dict[str, Any],
    candidates: list[Candidate],
    *,
    n_configurations: int = 5,
    n_studies: int = 3,
) -> list[dict[str, Any]]:
    """Return the best configurations of the nearest studies [1]_.

    First comes the best of the nearest study, then the best of the next, and so on; then the
    second best of each.

    Parameters
    ----------
    study : optuna.Study
        The new study.
    features, setting
        As in :func:`nearest_studies`.
    candidates : list of Candidate
        What the new study searches: only configurations that its space holds are returned.
    n_configurations : int, default=5
        How many at most, >= 1.
    n_studies : int, default=3
        As in :func:`nearest_studies`.

    Returns
    -------
    list of dict
        Parameters of trials, each once.

    References
    ----------
    .. [1] M. Feurer, J. T. Springenberg, F. Hutter. Initializing Bayesian Hyperparameter
       Optimization via Meta-Learning. AAAI Conference on Artificial Intelligence, 2015.
    """
    ranked = []
    near = nearest_studies(study, features, setting, n_studies=n_studies)
    for place, (_, name) in enumerate(near):
        past = optuna.load_study(study_name=name, storage=study._storage)
        usable = filter(None, (_translated(trial, candidates) for trial in _best_first(past)))
        ranked += [(rank, place, params) for rank, params in enumerate(usable)]
    chosen: dict[str, dict[str, Any]] = {}
    for _, _, params in sorted(ranked, key=lambda item: item[:2]):
        key = json.dumps(params, sort_keys=True, default=str)
        if len(chosen) < n_configurations:
            chosen.setdefault(key, params)
    return list(chosen.values())


def _translated(trial: Any, candidates: list[Candidate]) -> dict[str, Any] | None:
    """Return a trial's parameters under the new study's names; None where its space lacks them.

    A study of one candidate keeps them by plain names, one of several by the candidate's.
    """
    name = notes_of(trial).get(LEARNER)
    candidate = next((c for c in candidates if c.name == name), None)
    if candidate is None:
        return None
    prefix = f"{name}."
    own = {k.removeprefix(prefix): v for k, v in trial.params.items() if k != LEARNER}
    space = {key: distribution_of(dimension) for key, dimension in candidate.space.items()}
    if not own or own.keys() != space.keys() or not all(holds(space[k], own[k]) for k in own):
        return None
    return prefixed(candidate, own, several=len(candidates) > 1)


def _best_first(study: Any) -> list[Any]:
    """Return a study's finished trials by their first objective."""
    complete = TrialState.COMPLETE
    trials = study.get_trials(deepcopy=False, states=(complete,))
    sign = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(trials, key=lambda trial: sign * trial.values[0])
