"""Hyper-parameters on their way to the estimators and learners that have them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from metaskl.errors import ParameterError, did_you_mean
from metaskl.learners import MetaLearner
from metaskl.registry import get_learner

_NOT_TUNED = frozenset(inspect.signature(MetaLearner).parameters)


def own_parameters(learner: str) -> frozenset[str]:
    """Return the names of a registered learner's own hyper-parameters."""
    found = inspect.signature(get_learner(learner)).parameters.values()
    named = {p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    return frozenset(named) - _NOT_TUNED


def route_parameters(
    learners: Iterable[str], parameters: dict[str, Any], shared: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Give each learner's estimator those parameters that it, or the learner itself, has.

    Parameters
    ----------
    learners : iterable of str
        Names of registered learners.
    parameters : dict
        Hyper-parameters of the training, which all have, and of some learners.
    shared : iterable of str
        Names of the hyper-parameters that every estimator has.

    Returns
    -------
    dict of dict
        For each learner the arguments of its estimator.

    Raises
    ------
    ParameterError
        If no learner has a hyper-parameter of some name.
    """
    common = frozenset(shared) - {"learner"}
    own = {name: own_parameters(name) for name in learners}
    known = sorted(common.union(*own.values()))
    for name in parameters:
        if name not in known:
            raise ParameterError(
                f"learner_params must name hyper-parameters of the learners "
                f"{', '.join(own) or '(none)'}, got {name!r}.{did_you_mean(name, known)} Known "
                f"are {', '.join(known)}."
            )
    routed = {}
    for learner, names in own.items():
        arguments = {k: v for k, v in parameters.items() if k in common}
        special = {k: v for k, v in parameters.items() if k in names and k not in common}
        if special:
            arguments["learner_params"] = {**(arguments.get("learner_params") or {}), **special}
        routed[learner] = arguments
    return routed
