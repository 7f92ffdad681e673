"""From an estimator's hyper-parameters to a plan of meta-training."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from metaskl.errors import ParameterError, TaskError
from metaskl.estimators.inputs import Array, kept_as_is
from metaskl.tasks import EpisodeSampler, TaskSet, augmented
from metaskl.training import TrainingPlan, fingerprint

# Meta-validation draws: so many that early stopping does not follow the noise of one.
_VALIDATION_DRAWS = 8
# No part of what a fit computes: a checkpoint may be resumed with other values of these.
_INCIDENTAL = ("checkpoint", "verbose", "n_threads", "callbacks")


def split_validation(
    tasks: TaskSet, units: Array, fraction: float, seed: int
) -> tuple[TaskSet, TaskSet | None]:
    """Set meta-validation tasks aside; tasks of one unit stay together.

    Raises
    ------
    TaskError
        If there are too few tasks.
    """
    if fraction == 0:
        return tasks, None
    names = np.unique(units)
    if len(names) < 2:
        raise TaskError(
            f"validation_fraction={fraction} needs at least 2 tasks to hold some out, got "
            f"{len(names)}. Set validation_fraction=0."
        )
    n_out = min(max(1, round(fraction * len(names))), len(names) - 1)
    out = np.isin(units, np.random.RandomState(seed).permutation(names)[:n_out])
    return tasks.select(np.flatnonzero(~out)), tasks.select(np.flatnonzero(out))


def training_sampler(estimator: Any, tasks: TaskSet, **draw: Any) -> EpisodeSampler:
    """Return the source of training episodes, augmented as asked."""
    return augmented(
        estimator._make_sampler(tasks, **draw),
        estimator.augment,
        kind=estimator.kind,
        uses_pool=estimator._private and estimator._learner().uses_pool,
        fixed_columns=kept_as_is(estimator.backbone)["leave"],
    )


def make_plan(
    estimator: Any,
    tasks: TaskSet | None,
    validation: TaskSet | None,
    draw: dict[str, Any],
    random: np.random.RandomState,
) -> TrainingPlan:
    """Return the plan of an estimator's meta-training."""
    episodes = ()
    if validation is not None:
        sampler = estimator._make_sampler(
            validation, **draw, random_state=random.randint(2**31 - 1)
        )
        episodes = tuple(sampler.sample() for _ in range(_VALIDATION_DRAWS))
    if estimator.patience is not None and validation is None and tasks is not None:
        raise ParameterError(
            f"patience={estimator.patience} needs meta-validation tasks to watch, got "
            "validation_fraction=0. Give for example validation_fraction=0.2."
        )
    identity = ""
    if estimator.checkpoint is not None and tasks is not None:
        if not isinstance(estimator.random_state, numbers.Integral):
            raise ParameterError(
                "checkpoint needs random_state to be a whole number, got "
                f"{estimator.random_state!r}: a resumed fit must draw the same tasks. Set "
                "random_state=0."
            )
        own = {k: v for k, v in estimator.get_params().items() if k not in _INCIDENTAL}
        identity = fingerprint(tasks, own)
    return TrainingPlan(
        outer_lr=estimator.outer_lr,
        optimizer=estimator.optimizer,
        weight_decay=estimator.weight_decay,
        max_epochs=estimator.max_epochs,
        steps_per_epoch=estimator.steps_per_epoch,
        lr_schedule=estimator.lr_schedule,
        validation=episodes,
        patience=estimator.patience,
        device=estimator.device_,
        precision=_precision(estimator),
        n_threads=estimator.n_threads,
        seed=int(random.randint(2**31 - 1)),
        checkpoint=estimator.checkpoint,
        identity=identity,
        callbacks=list(estimator.callbacks or []),
        net_params=dict(estimator.net_params or {}),
        verbose=estimator.verbose,
        name=getattr(estimator, "learner", type(estimator).__name__),
        advice=_advice(estimator),
    )


def _precision(estimator: Any) -> str:
    """Return the arithmetic: half precision only where it was found to pay."""
    if estimator.precision == "auto":
        pictures = len(estimator.in_shape_) == 3 and estimator.device_.startswith("cuda")
        return "bfloat16" if pictures else "float32"
    if estimator.precision not in ("float32", "bfloat16"):
        raise ParameterError(
            f"precision must be 'auto', 'float32' or 'bfloat16', got {estimator.precision!r}."
        )
    precision: str = estimator.precision
    return precision


def _advice(estimator: Any) -> str:
    """Say what to lower when the loss diverges."""
    names = [name for name in ("inner_lr", "adaptation_steps") if hasattr(estimator, name)]
    lower = ", ".join(f"{name} (now {getattr(estimator, name)})" for name in ["outer_lr", *names])
    scaled = "" if estimator.standardize else ", or set standardize=True"
    return f"Lower {lower}{scaled}."
