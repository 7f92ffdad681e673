"""The exact gradient through an inner loop, one step back at a time.

The inner steps are θ_k+1 = θ_k − α_k ∘ g(θ_k) with g the gradient of the support's loss. The
outer gradient goes back through them: from V = ∇ of the query's loss at the last point,
V ← V − H_k (α_k ∘ V) with H_k the support's Hessian at θ_k. No graph of the inner loop is kept,
only its points; each product with a Hessian costs about two gradients. A gradient that is
shortened counts as its multiple by a constant: the factor is not differentiated.

Where memory is short the loop is halved, the later half first [1]_: then one point is held for
each halving, and what a step leaves only for as many steps as fit.

References
----------
.. [1] A. Griewank. Achieving Logarithmic Growth of Temporal and Spatial Complexity in Reverse
   Automatic Differentiation. Optimization Methods and Software, 1992.
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
        """Return the gradient (task, parameter), and what :meth:`curvature` needs again.

        The former may be written to.
        """

    def query(self, point: Tensor) -> tuple[Tensor, Tensor, Shared]:
        """Return each task's loss, its gradient, and the summed derivatives by what is shared."""

    def curvature(
        self, point: Tensor, trace: Any, direction: Tensor, *, summed: bool
    ) -> tuple[Tensor, Shared]:
        """Return the support's Hessian times a direction, and the mixed derivatives'.

        The former is of shape (parameter,) if wanted summed over tasks.
        """


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
    learned : bool
        Whether the rates' derivatives are wanted.
    """

    rates: Sequence[float | Tensor]
    clip: float | None
    adapted: Tensor | None = None
    learned: bool = True


class MetaGradient(NamedTuple):
    """The outer loss and its derivatives.

    Attributes
    ----------
    loss : Tensor of shape ()
        Outer loss.
    of_start : Tensor of shape (parameter,)
        By the start of the inner loop.
    of_rates : list of Tensor of shape (parameter,)
        By the rate of each step; empty if they are not learned.
    of_shared : list of (Tensor or None)
        By what is shared.
    """

    loss: Tensor
    of_start: Tensor
    of_rates: list[Tensor]
    of_shared: list[Tensor | None]


def descend(problem: InnerProblem, start: Tensor, steps: Steps, n_tasks: int) -> Tensor:
    """Return where the inner steps lead each task, shape (task, parameter)."""
    return _after(problem, start.expand(n_tasks, -1), steps, range(len(steps.rates)))


def meta_gradient(
    problem: InnerProblem,
    start: Tensor,
    steps: Steps,
    n_tasks: int,
    *,
    weights: Sequence[float | Tensor],
    second_order: bool,
    n_kept: int | None = None,
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
    weights : sequence of (float or Tensor of shape ())
        How much the query's loss after each step counts; a tensor is not 0.
    second_order : bool
        Whether the inner gradients are differentiated, too, or taken as constants.
    n_kept : int, optional
        Of how many steps at once what they leave may be kept, >= 1; by default of all. With
        fewer, inner gradients are taken again, which a problem that draws random numbers must
        not ask for.

    Returns
    -------
    MetaGradient
        The loss and its derivatives.
    """
    n_steps = len(steps.rates)
    way = _WayBack(problem, steps, weights, second_order, n_kept or n_steps)
    way.go(start.expand(n_tasks, -1), range(n_steps))
    assert way.V is not None
    of_start = way.V if second_order else way.V.sum(0)
    return MetaGradient(torch.as_tensor(way.loss), of_start, way.of_rates[::-1], way.of_shared)


class _WayBack:
    """The derivatives that are gathered on the way back; the parameters are as above."""

    def __init__(
        self,
        problem: InnerProblem,
        steps: Steps,
        weights: Sequence[float | Tensor],
        second_order: bool,
        n_kept: int,
    ) -> None:
        self.problem = problem
        self.steps = steps
        self.weights = weights
        self.second_order = second_order
        self.n_kept = n_kept
        self.loss: Tensor | float = 0.0
        self.V: Tensor | None = None
        self.of_rates: list[Tensor] = []
        self.of_shared: list[Tensor | None] = []

    def go(self, point: Tensor, which: range) -> None:
        """Go forth from a point through these steps, and back."""
        if len(which) > self.n_kept:
            half = len(which) // 2
            self.go(_after(self.problem, point, self.steps, which[:half]), which[half:])
            self.go(point, which[:half])
            return
        path: list[Any] = []
        for k in which:
            gradient, trace = self.problem.support(point)
            factor = _shorten(gradient, self.steps)
            kept = gradient if self.steps.learned else None
            # First order needs a point again only for the query's loss there.
            again = self.second_order or (k > 0 and _counts(self.weights[k - 1]))
            trace = trace if self.second_order else None
            path.append((point if again else None, trace, kept, factor))
            point = _stepped(point, gradient, self.steps.rates[k])
        for k in reversed(which):
            if _counts(self.weights[k]):
                self._add_query(point, self.weights[k])
            point, *left = path.pop()
            self._step_back(k, point, *left)

    def _add_query(self, point: Tensor, weight: float | Tensor) -> None:
        losses, direct, shared = self.problem.query(point)
        self.loss = self.loss + weight * losses.sum()
        direct = _times(weight, direct)
        self.V = direct if self.V is None else self.V + direct
        self.of_shared = _added(self.of_shared, shared, weight)

    def _step_back(
        self, k: int, point: Tensor, trace: Any, gradient: Tensor | None, factor: Tensor | None
    ) -> None:
        assert self.V is not None
        if gradient is not None:
            self.of_rates.append((gradient * self.V).sum(0).neg_())
        if not self.second_order:
            return
        direction, scale = self.V, 1.0
        if isinstance(rate := self.steps.rates[k], Tensor):
            direction = direction * rate
        else:  # after the product, which is linear
            scale = rate
        direction = direction if factor is None else direction * factor
        # Before the first step only the sum over tasks counts.
        product, shared = self.problem.curvature(point, trace, direction, summed=k == 0)
        V = self.V.sum(0) if k == 0 else self.V
        self.V = torch.sub(V, product, alpha=scale)
        self.of_shared = _added(self.of_shared, shared, -scale)


def _after(problem: InnerProblem, point: Tensor, steps: Steps, which: range) -> Tensor:
    """Return where these steps lead from a point."""
    for k in which:
        gradient, _ = problem.support(point)
        _shorten(gradient, steps)
        # Into the gradient, which nothing else reads: large stacks ask for less memory anew.
        point = _stepped(point, gradient, steps.rates[k], out=gradient)
    return point


def _shorten(gradient: Tensor, steps: Steps) -> Tensor | None:
    """Shorten the gradients of tasks whose norm is too large, in place; return the factors."""
    if steps.clip is None:
        return None
    counted = gradient if steps.adapted is None else gradient * steps.adapted
    norm = torch.linalg.vector_norm(counted, dim=1, keepdim=True)
    factor = torch.reciprocal(norm.clamp_min(steps.clip)) * steps.clip
    gradient.mul_(factor)
    return factor


def _stepped(
    point: Tensor, gradient: Tensor, rate: float | Tensor, *, out: Tensor | None = None
) -> Tensor:
    if isinstance(rate, Tensor):
        return torch.addcmul(point, gradient, rate, value=-1, out=out)
    return torch.sub(point, gradient, alpha=rate, out=out)


def _added(
    total: list[Tensor | None], parts: Shared, factor: float | Tensor
) -> list[Tensor | None]:
    """Return the sums of derivatives, of which None is 0."""
    total = total or [None] * len(parts)
    scaled = [None if p is None else _times(factor, p) for p in parts]
    return [
        t if p is None else (p if t is None else t + p) for t, p in zip(total, scaled, strict=True)
    ]


def _counts(weight: float | Tensor) -> bool:
    return isinstance(weight, Tensor) or weight != 0


def _times(factor: float | Tensor, value: Tensor) -> Tensor:
    return factor * value if isinstance(factor, Tensor) or factor != 1 else value
