"""The loss of predictions that say how uncertain they are."""

from __future__ import annotations

import math

from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


def negative_log_density(mean: Tensor, variance: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the negative log of the Gaussian density of the targets, averaged over tasks.

    Parameters
    ----------
    mean : Tensor of shape (task, row, output)
        Predictions.
    variance : Tensor
        Broadcasts to the shape of `mean`; > 0.
    y : Tensor of shape (task, row, output)
        Targets.
    weight : Tensor of shape (task, row)
        1 for a row, 0 for padding.

    Returns
    -------
    Tensor
        A number: the mean over outputs, then over the rows of a task, then over tasks.
    """
    density = 0.5 * ((mean - y) ** 2 / variance + variance.log() + LOG_2_PI)
    rows = density.mean(-1) * weight
    return (rows.sum(-1) / weight.sum(-1).clamp_min(1.0)).mean()
