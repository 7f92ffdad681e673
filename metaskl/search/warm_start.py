"""Past studies on similar task sets give a new one its first trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from metaskl.search.meta_features import distance
from metaskl.search.optuna_door import optuna

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
    for summary in optuna().get_all_study_summaries(study._storage, include_best_trial=False):
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
    *,
    n_configurations: int = 5,
    n_studies: int = 3,
    usable: Callable[[dict[str, Any]], bool] = lambda params: True,
) -> list[dict[str, Any]]:
    """Return the best configurations of the nearest studies [1]_.

    First comes the best of the nearest study, then the best of the next, and so on; then the
    second best of each.

    Parameters
    ----------
    study : optuna.Study
        The new study.
    features, setting, n_studies
        As in :func:`nearest_studies`.
    n_configurations : int, default=5
        How many at most, >= 1.
    usable : callable
        Says whether the new study's space holds a configuration.

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
        past = optuna().load_study(study_name=name, storage=study._storage)
        for rank, params in enumerate(_best_first(past)):
            ranked.append((rank, place, params))
    chosen: dict[str, dict[str, Any]] = {}
    for _, _, params in sorted(ranked, key=lambda item: item[:2]):
        key = json.dumps(params, sort_keys=True, default=str)
        if len(chosen) < n_configurations and params and usable(params):
            chosen.setdefault(key, params)
    return list(chosen.values())


def _best_first(study: Any) -> list[dict[str, Any]]:
    """Return the parameters of a study's finished trials by their first objective."""
    complete = optuna().trial.TrialState.COMPLETE
    trials = study.get_trials(deepcopy=False, states=(complete,))
    sign = -1 if study.directions[0] == optuna().study.StudyDirection.MAXIMIZE else 1
    return [t.params for t in sorted(trials, key=lambda t: sign * t.values[0])]
