"""What there is to cover: learners in the registry, public estimators."""

from __future__ import annotations

import inspect
from typing import Any

from sklearn.base import BaseEstimator

import metaskl
from metaskl.registry import get_learner, list_learners


def registered_learners(*, builtin: bool = True) -> dict[str, type[Any]]:
    """Return the classes of the learners that are registered.

    Parameters
    ----------
    builtin : bool, default=True
        Whether to return metaskl's own only, or those of plugins too.

    Returns
    -------
    dict of str to type
        Class by name.
    """
    return {
        info.usable_name: get_learner(info.usable_name)
        for info in list_learners()
        if info.builtin or not builtin
    }


def public_estimators() -> dict[str, type[Any]]:
    """Return the estimator classes among metaskl's public names.

    Returns
    -------
    dict of str to type
        Class by name.
    """
    public = {name: getattr(metaskl, name) for name in metaskl.__all__}
    return {
        name: value
        for name, value in public.items()
        if inspect.isclass(value) and issubclass(value, BaseEstimator) and hasattr(value, "predict")
    }
