"""The laws as one call, without pytest's collection."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from metaskl.learners import MetaLearner
from metaskl.testing.estimator_laws import EstimatorLaws
from metaskl.testing.learner_laws import LearnerLaws
from metaskl.testing.round_trips import WAYS
from metaskl.testing.tables import table_for
from metaskl.testing.trials import trials_of


def laws_of(laws: type[Any]) -> dict[str, Callable[..., None]]:
    """Return the laws of a class of laws, ready to be called, by name.

    Parameters
    ----------
    laws : type
        `LearnerLaws`, `EstimatorLaws` or a subclass.

    Returns
    -------
    dict of str to callable
        Each takes what its argument names say.
    """
    held = laws()
    return {name: getattr(held, name) for name in dir(laws) if name.startswith("test_")}


def check_learner(
    learner_class: type[MetaLearner],
    arguments: Mapping[str, Any] | None = None,
    *,
    without_gradient: frozenset[str] = frozenset(),
) -> None:
    """Check a learner against all the laws of learners.

    Parameters
    ----------
    learner_class : type
        The learner's class.
    arguments : mapping, optional
        Hyper-parameters for every learner made.
    without_gradient : frozenset of str, default=frozenset()
        Names of parameters that the outer gradient need not reach.

    Raises
    ------
    AssertionError
        If a law is broken; the message names it.

    Examples
    --------
    >>> from metaskl.learners.protonet import ProtoNet
    >>> from metaskl.testing import check_learner
    >>> check_learner(ProtoNet)
    """
    given = {
        "trials": trials_of(learner_class, arguments),
        "without_gradient": without_gradient,
    }
    for name, law in laws_of(LearnerLaws).items():
        _check(name, law, given)


def check_meta_estimator(estimator: Any) -> None:
    """Check an estimator against all the laws of meta-learning estimators.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with hyper-parameters that make it quick. It is cloned, never changed.

    Raises
    ------
    AssertionError
        If a law is broken; the message names it.
    """
    given = {"estimator": estimator, "table": table_for(estimator)}
    for name, law in laws_of(EstimatorLaws).items():
        for way in WAYS if "way" in inspect.signature(law).parameters else [""]:
            with tempfile.TemporaryDirectory() as folder:
                _check(name, law, {**given, "way": way, "tmp_path": Path(folder)})


def _check(name: str, law: Callable[..., None], given: Mapping[str, Any]) -> None:
    """Call one law with what it asks for."""
    try:
        law(**{key: given[key] for key in inspect.signature(law).parameters})
    except pytest.skip.Exception:
        return
    except Exception as error:
        raise AssertionError(f"{name.removeprefix('test_').replace('_', ' ')}: {error}") from error
