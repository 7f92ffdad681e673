"""Newton's method on many small problems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Steps are no longer than this, so that a poor quadratic model does not lead far away.
_LONGEST = 1.0
_TOLERANCE = 1e-10
_FLATTEST = 1e-8
# Near the optimum a step changes the value by less than rounding does, and is still wanted.
_ROUNDING = 1e-13


def minimise(
    terms: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], start: Tensor, n_steps: int
) -> tuple[Tensor, Tensor]:
    """Minimise a smooth function for each task by damped Newton steps.

    Parameters
    ----------
    terms : callable
        Maps points (task, k) to values (task,), gradients (task, k), Hessians (task, k, k).
    start : Tensor of shape (task, k)
        Where to start.
    n_steps : int
        Most steps.

    Returns
    -------
    point : Tensor of shape (task, k)
        The minimum found. A step that does not lower the value is not taken.
    hessian : Tensor of shape (task, k, k)
        The Hessian there.
    """
    point, (value, gradient, hessian) = start, terms(start)
    damping = torch.zeros_like(value)
    for _ in range(n_steps):
        step = -positive_solve(hessian, gradient, damping)
        length = step.norm(dim=-1, keepdim=True)
        there = point + step * (_LONGEST / length.clamp_min(_LONGEST))
        new_value, new_gradient, new_hessian = terms(there)
        lower = new_value <= value + _ROUNDING * (1 + value.abs())
        damping = torch.where(lower, damping / 10, 10 * damping.clamp_min(0.1))
        point = torch.where(lower[:, None], there, point)
        value = torch.where(lower, new_value, value)
        gradient = torch.where(lower[:, None], new_gradient, gradient)
        hessian = torch.where(lower[:, None, None], new_hessian, hessian)
        if float(gradient.abs().amax()) < _TOLERANCE:
            break
    return point, hessian


def positive_solve(hessian: Tensor, vector: Tensor, damping: Tensor | None = None) -> Tensor:
    """Return (|H| + damping)⁻¹ vector, |H| the Hessian with its eigenvalues made positive.

    At a minimum |H| is H; elsewhere the step that it gives goes down.
    """
    # Not a number means that the caller will refuse the step; eigh would raise.
    values, axes = torch.linalg.eigh(torch.nan_to_num(hessian, posinf=0.0, neginf=0.0))
    values = values.abs().clamp_min(_FLATTEST)
    if damping is not None:
        values = values + damping[:, None]
    along = (axes.mT @ vector[..., None]) / values[..., None]
    solved: Tensor = (axes @ along)[..., 0]
    return solved
