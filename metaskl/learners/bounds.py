"""Learned numbers that are kept within limits."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def within(value: Tensor, low: float, high: float) -> Tensor:
    """Return the value kept in [low, high], with a gradient that leads back from outside.

    As ``clamp``, but where the value lies outside and the loss falls towards the limit, the
    gradient passes: a parameter that starts or strays beyond a limit is not stuck there.

    Parameters
    ----------
    value : Tensor
        A parameter.
    low, high : float
        The limits.

    Returns
    -------
    Tensor
        Of the shape of `value`.

    Examples
    --------
    >>> import torch
    >>> from metaskl.learners.bounds import within
    >>> value = torch.tensor([-3.0, -3.0], requires_grad=True)
    >>> kept = within(value, -2.0, 2.0)
    >>> (kept * torch.tensor([-1.0, 1.0])).sum().backward()  # falls upwards, falls downwards
    >>> kept.tolist(), value.grad.tolist()
    ([-2.0, -2.0], [-1.0, 0.0])
    """
    return cast(Tensor, _Within.apply(value, low, high))  # type: ignore[no-untyped-call]


class _Within(torch.autograd.Function):
    """A clamp that lets the gradients pass that point inwards."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.limits = low, high
        return value.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (value,), (low, high), (gradient,) = ctx.saved_tensors, ctx.limits, gradients
        outwards = ((value < low) & (gradient > 0)) | ((value > high) & (gradient < 0))
        return gradient.masked_fill(outwards, 0.0), None, None
