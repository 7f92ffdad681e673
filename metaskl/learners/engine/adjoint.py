"""The exact gradient through an inner loop, one step back at a time.

The inner steps are θ_k+1 = θ_k − α_k ∘ g(θ_k) with g the gradient of the support's loss. The
outer gradient goes back through them: from V = ∇ of the query's loss at the last point,
V ← V − H_k (α_k ∘ V) with H_k the support's Hessian at θ_k. No graph of the inner loop is kept,
only its points; each product with a Hessian costs about two gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

# What is learned beside the start of the inner loop: one derivative each, None for 0.
Shared = Sequence[Tensor | None]


class InnerProblem(Protocol):
    """The losses of a stack of tasks by their weights, one packed row a task."""

    def support(self, point: Tensor) -> tuple[Tensor, Any]:
        """Return the gradient (task, parameter), and what :meth:`curvature` needs again."""

    def query(self, point: Tensor) -> tuple[Tensor, Tensor, Shared]:
        """Return each task's loss, its gradient, and the summed derivatives by what is shared."""

    def curvature(self, point: Tensor, trace: Any, direction: Tensor) -> tuple[Tensor, Shared]:
        """Return the support's Hessian times a direction, and the mixed derivatives'."""


class Steps(NamedTuple):
    """How the inner steps are taken.

    Attributes
    ----------
    rates : list of (float or Tensor of shape (parameter,))
        The step size of each step; 0 for what is not adapted.
    clip : float or None
        Largest norm of a task's gradient.
    adapted : Tensor of shape (parameter,) or None
        1 for what is adapted and counts in that norm, 0 for the rest; None is all 1.
    """

    rates: Sequence[float | Tensor]
    clip: float | None
    adapted: Tensor | None = None


class MetaGradient(NamedTuple):
    """The outer loss and its derivatives.

    Attributes
    ----------
    loss : Tensor of shape ()
        Outer loss.
    of_start : Tensor of shape (parameter,)
        By the start of the inner loop.
    of_rates : list of Tensor of shape (parameter,)
        By the rate of each step.
    of_shared : list of (Tensor or None)
        By what is shared.
    """

    loss: Tensor
    of_start: Tensor
    of_rates: list[Tensor]
    of_shared: list[Tensor | None]


def descend(problem: InnerProblem, start: Tensor, steps: Steps, n_tasks: int) -> Tensor:
    """Return where the inner steps lead each task, shape (task, parameter)."""
    point = start.expand(n_tasks, -1)
    for rate in steps.rates:
        gradient, _ = problem.support(point)
        point = _stepped(point, _shortened(gradient, steps)[0], rate)
    return point


def meta_gradient(
    problem: InnerProblem,
    start: Tensor,
    steps: Steps,
    n_tasks: int,
    *,
    weights: Sequence[float],
    second_order: bool,
) -> MetaGradient:
    """Return the outer loss, summed over tasks, and its exact gradient.

    Parameters
    ----------
    problem : InnerProblem
        The losses.
    start : Tensor of shape (parameter,)
        Where every task begins.
    steps : Steps
        How it goes on.
    n_tasks : int
        Tasks.
    weights : sequence of float
        How much the query's loss after each step counts.
    second_order : bool
        Whether the inner gradients are differentiated, too, or taken as constants.

    Returns
    -------
    MetaGradient
        The loss and its derivatives.
    """
    point = start.expand(n_tasks, -1)
    path = []
    for rate in steps.rates:
        gradient, trace = problem.support(point)
        gradient, factor = _shortened(gradient, steps)
        path.append((point, trace if second_order else None, gradient, factor))
        point = _stepped(point, gradient, rate)
    loss: Tensor | float = 0.0
    V: Tensor | None = None
    of_rates: list[Tensor] = []
    of_shared: list[Tensor | None] = []
    for k in reversed(range(len(path))):
        if weights[k]:
            losses, direct, shared = problem.query(point)
            loss = loss + weights[k] * losses.sum()
            direct = direct if weights[k] == 1.0 else weights[k] * direct
            V = direct if V is None else V + direct
            of_shared = _added(of_shared, shared, weights[k])
        assert V is not None
        point, trace, gradient, factor = path.pop()
        of_rates.append(-(gradient * V).sum(0))
        if second_order:
            direction = V * steps.rates[k]
            direction = direction if factor is None else direction * factor
            product, shared = problem.curvature(point, trace, direction)
            V = V - product
            of_shared = _added(of_shared, shared, -1.0)
    assert V is not None
    return MetaGradient(torch.as_tensor(loss), V.sum(0), of_rates[::-1], of_shared)


def attached(
    value: Tensor, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], *, scale: float
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
    scale : float
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
    def backward(ctx: Any, *outer: Any) -> Any:
        return (None, None, None, *torch._foreach_mul(ctx.gradients, ctx.scale * outer[0]))


def _shortened(gradient: Tensor, steps: Steps) -> tuple[Tensor, Tensor | None]:
    """Shorten the gradients of tasks whose norm is too large; return the factors, too."""
    if steps.clip is None:
        return gradient, None
    counted = gradient if steps.adapted is None else gradient * steps.adapted
    norm = torch.linalg.vector_norm(counted, dim=1, keepdim=True)
    factor = steps.clip / norm.clamp_min(steps.clip)
    return gradient * factor, factor


def _stepped(point: Tensor, gradient: Tensor, rate: float | Tensor) -> Tensor:
    if isinstance(rate, Tensor):
        return torch.addcmul(point, gradient, rate, value=-1)
    return torch.sub(point, gradient, alpha=rate)


def _added(total: list[Tensor | None], parts: Shared, factor: float) -> list[Tensor | None]:
    """Return the sums of derivatives, of which None is 0."""
    total = total or [None] * len(parts)
    scaled = [p if p is None or factor == 1.0 else factor * p for p in parts]
    return [
        t if p is None else (p if t is None else t + p) for t, p in zip(total, scaled, strict=True)
    ]
