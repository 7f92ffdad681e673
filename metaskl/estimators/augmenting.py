"""What training episodes are changed by: what was asked for, or what few tasks need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaskl.backbones import MLP, Tabular
from metaskl.tasks import FeatureNoise, TaskSet

# Where noise on the features was measured to pay: docs/figures/few_tasks.md.
_MOST_TASKS = 50
_COLUMNS = range(4, 51)


def augmentation_of(estimator: Any, tasks: TaskSet, fixed_columns: Sequence[int]) -> Any:
    """Return what an estimator's parameter `augment` asks for, with ``"auto"`` decided.

    ``"auto"`` is noise on the features in regression on a table of 4 to 50 numeric columns with
    2 to 50 training tasks, else nothing. With classes the noise was not found to pay; where
    columns are not standardised it would have no scale; and rows that go to a network of another
    kind than for tables may be anything, such as words or pixels.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    tasks : TaskSet
        What it is trained on.
    fixed_columns : sequence of int
        Columns that hold no numbers: codes of categories.

    Returns
    -------
    None, str, Augmentation or list
        As `augment` takes it, but for ``"auto"``.
    """
    asked = estimator.augment
    if not (isinstance(asked, str) and asked == "auto"):
        return asked
    network = getattr(estimator.backbone, "innermost", estimator.backbone)
    numbers = (
        estimator.kind == "regression"
        and len(estimator.in_shape_) == 1
        and (network is None or isinstance(network, MLP | Tabular))
        and bool(estimator.standardize)
    )
    if not numbers or not 2 <= len(tasks) <= _MOST_TASKS:
        return None
    n_columns = estimator.in_shape_[0] - len(set(fixed_columns))
    return FeatureNoise(0.3) if n_columns in _COLUMNS else None
