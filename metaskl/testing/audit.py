"""What there is to cover: learners in the registry, public estimators."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import pytest
from sklearn.base import BaseEstimator

import metaskl
from metaskl.errors import PluginError
from metaskl.registry import get_learner, list_learners
from metaskl.testing.learner_laws import LearnerLaws


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


def learners_of(package: str) -> list[str]:
    """Return the names of the learners that an installed package offers.

    Parameters
    ----------
    package : str
        The distribution's name, as ``pip install`` takes it.

    Returns
    -------
    list of str
        For each learner a name by which the registry finds it.

    Raises
    ------
    PluginError
        If the package offers none, or its entry points cannot be read.

    Examples
    --------
    >>> from metaskl.testing import learners_of
    >>> "ridge_head" in learners_of("metaskl")
    True
    """
    offered = [info for info in list_learners() if _same(info.distribution, package)]
    if any(info.status == "broken" for info in offered):
        raise PluginError(f"package must have entry points that can be read: {offered[0].error}.")
    if not offered:
        others = ", ".join(sorted({repr(info.distribution) for info in list_learners()}))
        raise PluginError(
            f"package must be an installed package that offers learners, got {package!r}; there "
            f"are {others}. Run pip install -e . in its folder, again after each change of "
            'its entry points: [project.entry-points."metaskl.learners"] in pyproject.toml.'
        )
    return [info.usable_name for info in offered]


def uncovered_learners(items: Iterable[pytest.Item], package: str | None = None) -> list[str]:
    """Return the learners in the registry that no collected test holds to the laws.

    A learner is covered where a subclass of `LearnerLaws` is parametrised with its name, as
    `learner_name`.

    Parameters
    ----------
    items : iterable of pytest.Item
        The collected tests: ``request.session.items``.
    package : str, optional
        Look at the learners of this package alone.

    Returns
    -------
    list of str
        The full names, ``distribution:name``, of those that are not covered.
    """
    covered = set()
    for item in items:
        call = getattr(item, "callspec", None)
        if call and issubclass(getattr(item, "cls", None) or object, LearnerLaws):
            covered.add(call.params.get("learner_name"))
    return [
        info.full_name
        for info in list_learners()
        if info.value and (package is None or _same(info.distribution, package))
        if not {info.usable_name, info.full_name} & covered
    ]


def _same(distribution: str, package: str) -> bool:
    """Say whether two spellings name one distribution."""
    return re.sub(r"[-_.]+", "-", distribution.lower()) == re.sub(r"[-_.]+", "-", package.lower())


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
