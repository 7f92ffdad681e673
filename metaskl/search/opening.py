"""A study's first trials, made by one of the drivers that start on it together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from metaskl.search._optuna import optuna
from metaskl.search.finite import without_repeats
from metaskl.search.spaces import Candidate, prefixed
from metaskl.search.storage import is_alive, sign_of_life

# The user attribute of a study that says who is making its first trials, or how many were asked.
_FIRST = "metaskl:first"
# How long the one who made a study may take to say that it is at work, in seconds.
_PATIENCE = 2.0
_LOOK_EVERY = 0.05


def default_sampler(study: Any, candidates: list[Candidate], random_state: int) -> Any:
    """Return the default sampler; a study that goes on must not draw again what it began with."""
    n_before = len(study.get_trials(deepcopy=False))
    seed = np.random.SeedSequence([random_state, n_before]).generate_state(1)[0]
    return without_repeats(optuna.samplers.TPESampler(seed=int(seed)), candidates)


def enqueue_defaults(study: Any, candidates: list[Candidate], n_first: int) -> None:
    """Let the defaults of the first candidates be tried first, once a study."""
    several = len(candidates) > 1
    for candidate in candidates[:n_first]:
        values = prefixed(candidate, candidate.defaults(), several=several)
        study.enqueue_trial(values, skip_if_exists=True)


def begin(study: Any, n_first: int, make: Callable[[], None], *, created: bool) -> None:
    """Have a study's first trials made, by one driver while those that started with it wait.

    No storage lets a driver look and write in one step, but only one of them creates the study.

    Parameters
    ----------
    study : optuna.Study
        The study.
    n_first : int
        How many first trials there are to be; a study that goes on may have been given fewer.
    make : callable
        Makes them.
    created : bool
        Whether it was this driver that created the study.
    """
    if not created and _made_by_another(study, n_first):
        return
    study.set_user_attr(_FIRST, sign_of_life())
    made = 0
    try:
        make()
        made = n_first
    finally:
        study.set_user_attr(_FIRST, {"made": made})


def _made_by_another(study: Any, n_first: int) -> bool:
    """Wait while another driver makes the first trials; return whether they are all there."""
    end = time.monotonic() + _PATIENCE
    while True:
        entry = study.user_attrs.get(_FIRST)
        if entry is None and (study.get_trials(deepcopy=False) or time.monotonic() >= end):
            return False
        if entry is not None and "made" in entry:
            return bool(entry["made"] >= n_first)
        if entry is not None and not is_alive(entry):
            return False
        time.sleep(_LOOK_EVERY)
