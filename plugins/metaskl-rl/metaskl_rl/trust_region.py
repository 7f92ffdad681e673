"""Steps that change a policy by no more than is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_BACKTRACKS = 15
_SHRINK = 0.8


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, n_steps: int = 10) -> Tensor:
    """Solve A x = b for a symmetric positive definite A that is known by its products.

    Parameters
    ----------
    product : callable
        v → A v.
    b : Tensor of shape (n,)
        The right-hand side.
    n_steps : int, default=10
        Steps at most; n of them are exact but for rounding.

    Returns
    -------
    Tensor of shape (n,)
        x.

    Examples
    --------
    >>> import torch
    >>> from metaskl_rl.trust_region import conjugate_gradient
    >>> A = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> conjugate_gradient(lambda v: A @ v, torch.tensor([3.0, 4.0])).round(decimals=4).tolist()
    [1.0, 1.0]
    """
    x, residual = torch.zeros_like(b), b.clone()
    direction, size = residual.clone(), residual @ residual
    for _ in range(n_steps):
        if float(size) < 1e-10 * float(b @ b) or float(size) == 0.0:
            break
        image = product(direction)
        step = size / (direction @ image)
        x, residual = x + step * direction, residual - step * image
        smaller = residual @ residual
        direction, size = residual + smaller / size * direction, smaller
    return x


def natural_step(gradient: Tensor, product: Callable[[Tensor], Tensor], limit: float) -> Tensor:
    """Return the step up the natural gradient whose quadratic divergence is the limit."""
    direction = conjugate_gradient(product, gradient)
    curvature = float(direction @ product(direction))
    step: Tensor = direction * float((2 * limit / max(curvature, 1e-12)) ** 0.5)
    return step


def line_search(
    value: Callable[[Tensor], tuple[float, float]], start: Tensor, step: Tensor, limit: float
) -> Tensor:
    """Return the furthest point along a step that gains something and stays within the limit.

    Parameters
    ----------
    value : callable
        A point → what is gained over the start, and its divergence from the start.
    start, step : Tensor of shape (n,)
        Where it begins, and the whole step.
    limit : float
        The largest divergence allowed.

    Returns
    -------
    Tensor of shape (n,)
        The point; the start itself if no part of the step will do.
    """
    for i in range(_BACKTRACKS):
        point = start + _SHRINK**i * step
        gain, divergence = value(point)
        if gain > 0 and divergence <= limit:
            return point
    return start


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Join tensors to one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
