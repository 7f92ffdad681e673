"""Gradients of a stack of tasks by autograd, and losses whose gradient is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from metaskl.learners.base import Adapted


def leaves(parameters: Adapted) -> Adapted:
    """Return copies to differentiate at, so that no graph is kept."""
    return {name: p.detach().requires_grad_() for name, p in parameters.items()}


def gradient_by_task(losses: Tensor, point: Adapted, *, create_graph: bool = False) -> Adapted:
    """Return each task's gradient of its loss.

    The losses of all tasks are summed and differentiated together: task t's parameters only
    enter task t's loss, so the gradient holds every task's own.
    """
    gradients = torch.autograd.grad(
        losses.sum(), list(point.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(point, gradients, strict=True))


def attached(
    value: Tensor,
    inputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    *,
    scale: float = 1.0,
) -> Tensor:
    """Return a scaled value as a loss whose gradients are known already.

    Parameters
    ----------
    value : Tensor of shape ()
        The loss before scaling.
    inputs : sequence of Tensor
        What it is to be differentiated by.
    gradients : sequence of (Tensor or None)
        Its gradient at each of the inputs; None is 0.
    scale : float, default=1.0
        What value and gradients are multiplied by.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    learned = [
        (tensor, torch.zeros_like(tensor) if gradient is None else gradient)
        for tensor, gradient in zip(inputs, gradients, strict=True)
        if tensor.requires_grad
    ]
    attach: Any = _Attached.apply
    result: Tensor = attach(value * scale, [g for _, g in learned], scale, *[t for t, _ in learned])
    return result


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, gradients: list[Tensor], scale: float, *inputs: Tensor
    ) -> Tensor:
        del inputs
        ctx.gradients, ctx.scale = gradients, scale
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Any) -> Any:
        return (None, None, None, *torch._foreach_mul(ctx.gradients, ctx.scale * outer[0]))
