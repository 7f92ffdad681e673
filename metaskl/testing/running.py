"""The laws as one call, without pytest's collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metaskl.learners import MetaLearner
from metaskl.testing.estimator_laws import EstimatorLaws
from metaskl.testing.learner_laws import LearnerLaws
from metaskl.testing.plugin_laws import call_law, keep_law
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
        call_law(name, law, given)


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
    for name, law in laws_of(EstimatorLaws).items():
        keep_law(name, law, estimator)
