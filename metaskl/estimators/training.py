"""From an estimator's hyper-parameters to a plan of meta-training."""

from __future__ import annotations

import hashlib
import numbers
from typing import Any

import numpy as np

from metaskl.errors import ParameterError, TaskError
from metaskl.estimators.augmenting import augmentation_of
from metaskl.estimators.inputs import Array, kept_as_is
from metaskl.learners.space import Choice, Dimension, Real
from metaskl.tasks import EpisodeSampler, TaskSet, augmented
from metaskl.training import TrainingPlan, fingerprint

# Meta-validation draws: so many that early stopping does not follow the noise of one.
_VALIDATION_DRAWS = 8
# No part of what a fit computes: a checkpoint may be resumed with other values of these.
_INCIDENTAL = ("checkpoint", "verbose", "n_threads", "callbacks", "test_views")


def split_validation(
    tasks: TaskSet,
    units: Array,
    least: int,
    fraction: float,
    seed: int,
    below: float | None,
) -> tuple[TaskSet, TaskSet | None, float | None]:
    """Set meta-validation tasks aside; tasks of one unit stay together.

    Each unit's name has a number of its own, drawn from the seed, and those with the smallest
    are held out. Further training, given the limit, so keeps the same ones apart, whatever
    other tasks it brings.

    Parameters
    ----------
    tasks : TaskSet
        All tasks.
    units : ndarray of str, shape (n_tasks,)
        What is held out together.
    least : int
        How many of them each side needs: the classes of an episode, where they are classes.
    fraction : float
        How many units to hold out.
    seed : int
        The fit's seed.
    below : float or None
        The limit of the first fit, in further training.

    Returns
    -------
    train : TaskSet
        Tasks to train on.
    validation : TaskSet or None
        Tasks kept apart, with a fraction above 0.
    below : float or None
        The limit.

    Raises
    ------
    TaskError
        If there are too few tasks on one of the sides.
    """
    if fraction == 0:
        return tasks, None, below
    names, number = np.unique(units, return_inverse=True)
    if len(names) < 2 * least:
        what = "2 tasks" if least == 1 else f"2 * n_way = {2 * least} classes"
        raise TaskError(
            f"validation_fraction={fraction} needs at least {what} to hold some out, got "
            f"{len(names)}. Set validation_fraction=0."
        )
    drawn = np.array([_number_of(name, seed) for name in names.tolist()])
    if below is None:
        n_out = min(max(least, round(fraction * len(names))), len(names) - least)
        below = float(np.sort(drawn)[n_out - 1 : n_out + 1].mean())
    out = (drawn < below)[number]
    if out.all() or not out.any():
        side = "only" if out.all() else "none of the"
        raise TaskError(
            f"groups must name tasks to train on and tasks kept for meta-validation, got {side} "
            "tasks kept for it since the first fit. Bring more tasks, or set "
            "validation_fraction=0 and patience=None."
        )
    return tasks.select(np.flatnonzero(~out)), tasks.select(np.flatnonzero(out)), below


def _number_of(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the name and the seed only."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def training_sampler(estimator: Any, tasks: TaskSet, **draw: Any) -> EpisodeSampler:
    """Return the source of training episodes, augmented as asked."""
    fixed_columns = kept_as_is(estimator.backbone)["leave"]
    return augmented(
        estimator._make_sampler(tasks, **draw),
        augmentation_of(estimator, tasks, fixed_columns),
        kind=estimator.kind,
        uses_pool=estimator._private and estimator._learner().uses_pool,
        fixed_columns=fixed_columns,
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
    identity: dict[str, str] = {}
    if estimator.checkpoint is not None and tasks is not None:
        if not isinstance(estimator.random_state, numbers.Integral):
            raise ParameterError(
                "checkpoint needs random_state to be a whole number, got "
                f"{estimator.random_state!r}: a resumed fit must draw the same tasks. Set "
                "random_state=0."
            )
        own = {k: v for k, v in estimator.get_params().items() if k not in _INCIDENTAL}
        own["the estimator"] = type(estimator).__name__
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


def outer_space() -> dict[str, Dimension]:
    """Return what is worth searching of the outer loop, whatever the learner."""
    augment = Choice(("auto", None, "feature_noise"))  # "auto" repeats one: searches start there
    return {"outer_lr": Real(1e-4, 1e-2, log=True), "augment": augment}


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
