"""Milliseconds of a training step of the cheap learners, beside second-order MAML.

A complete step of `fit`, at the estimators' default settings, on a table of equal tasks. The
checks and the set-up of a fit are spread over so many steps that they hardly count.
"""

from typing import Any

import numpy as np

import metaskl
from speed.options import Options
from speed.timing import Row, interleaved, show, table

N_TASKS, N_ROWS, N_FEATURES = 100, 30, 20
_STEPS, _SLOW_STEPS = 100, 20
# Each with what sets it apart from its estimator's defaults.
_OF_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "MAML, second order": ("MAML", {}),
    "FOMAML": ("MAML", {"first_order": True}),
    "ANIL": ("MAML", {"adapt_part": "head"}),
    "Reptile": ("Reptile", {}),
    "ridge head": ("RidgeHead", {}),
    "CNP": ("CNP", {}),
    "attentive CNP": ("AttentiveCNP", {}),
    "MANN": ("MANN", {}),
}
_OF_CLASSES = {"MAML, second order": ("MAML", {}), "ProtoNet": ("ProtoNet", {})}


def rows_of_tasks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, a linear target of each task, and the tasks."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(N_TASKS, N_ROWS, N_FEATURES))
    y = np.einsum("trf,tf->tr", X, draw.normal(size=(N_TASKS, N_FEATURES)))
    return X.reshape(-1, N_FEATURES), y.ravel(), np.repeat(np.arange(N_TASKS), N_ROWS)


def learners(options: Options) -> None:
    """Complete training steps of every cheap learner, beside MAML."""
    X, y, groups = rows_of_tasks()
    for kind, names, target in (
        ("Regressor", _OF_NUMBERS, y),
        ("Classifier", _OF_CLASSES, y > 0),
    ):
        timed = []
        for name, (learner, how) in names.items():
            n_steps = 2 if options.quick else _SLOW_STEPS if learner == "MANN" else _STEPS
            long = {"max_epochs": 1, "steps_per_epoch": n_steps, "random_state": 0}
            estimator = getattr(metaskl, learner + kind)(**how, **long)

            def fit(estimator: Any = estimator, target: np.ndarray = target) -> None:
                estimator.fit(X, target, groups=groups)

            timed.append(Row(name, fit, n_steps))
        size = f"16 tasks of 5 + 10 rows of {N_FEATURES} features"
        show(table(f"{kind}s: {size}", interleaved(timed, options.rounds(5))))
