"""The door to optuna: what it is imported through, and what it keeps private."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from metaskl.errors import MissingExtraError

try:
    import optuna
except ImportError as error:  # pragma: no cover - the tests install it
    raise MissingExtraError(
        "The search needs optuna, which is not installed. Install metaskl[search]."
    ) from error

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState
from sqlalchemy.event import listen
from sqlalchemy.exc import SQLAlchemyError  # what optuna keeps its studies with

# The user attribute of a trial that names its driver.
OWNER = "driver"

__all__ = [
    "OWNER",
    "BaseDistribution",
    "CategoricalDistribution",
    "FloatDistribution",
    "IntDistribution",
    "SQLAlchemyError",
    "StorageInternalError",
    "Trial",
    "TrialState",
    "listen",
    "optuna",
    "put_back",
    "quiet",
    "tell",
    "trial_of",
]


def put_back(study: Any, trial: Any) -> bool:
    """Let a running trial wait for its turn again, with the parameters that it has.

    Where it has ended meanwhile it stays ended, and False is returned. It is nobody's then: who
    takes it next shall not be thought dead for the name of who had it before.
    """
    try:
        study._storage.set_trial_user_attr(trial._trial_id, OWNER, None)
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    except optuna.exceptions.UpdateFinishedTrialError:
        return False
    return True


def tell(study: Any, trial: Any, values: Any = None, state: Any = None) -> bool:
    """End a trial; return whether the sampler has no more to propose, as a grid in the end."""
    try:
        study.tell(trial, values, state=state)
    except RuntimeError as error:  # it asks Study.optimize to stop, which is not there
        if "Study.stop" not in str(error):
            raise
        return True
    return False


def trial_of(study: Any, frozen: Any) -> Trial:
    """Return a running trial of a study in the form that can be asked for parameters."""
    return Trial(study, frozen._trial_id)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep optuna from announcing each study, leaving its verbosity as it was found."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
