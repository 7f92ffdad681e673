"""What goes into the loss of a chain of layers, and what a pass through it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from metaskl.learners.engine.products import Layer


class Rows(NamedTuple):
    """Rows of a stack of tasks, ready for a loss that is a weighted sum over them.

    Attributes
    ----------
    X : Tensor of shape (task, row, feature)
        Features.
    y : Tensor of shape (task, row, output)
        Targets, or one-hot classes.
    share : Tensor of shape (task, row, 1)
        How much each row counts in its task's loss, 0 for padding: they sum to 1, or where errors
        are squared to the factor that the derivative has beside the error.
    """

    X: Tensor
    y: Tensor
    share: Tensor


class Trace(NamedTuple):
    """What a pass forward and back leaves behind for the pass with the Hessian.

    Attributes
    ----------
    layers : list of Layer
        The head last.
    inputs : list of Tensor of shape (task, row, in)
        What each layer was given.
    sums : list of Tensor
        What each activation was given; what it gave where its derivatives need no more.
    values : list of Tensor
        What each activation gave.
    back : list of Tensor
        The derivative of the loss by what each activation gave; empty where the activation
        has no curvature.
    back_sums : list of Tensor of shape (task, row, out)
        The derivative by what each layer gave, the head's last.
    result : Tensor of shape (task, row, output)
        The errors, or the logarithms of the classes' probabilities.
    """

    layers: Sequence[Layer]
    inputs: list[Tensor]
    sums: list[Tensor]
    values: list[Tensor]
    back: list[Tensor]
    back_sums: list[Tensor]
    result: Tensor
