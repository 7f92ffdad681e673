"""Logistic regression with a Gaussian prior, for a stack of tasks, by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metaskl.learners.cholesky import cholesky

# Step lengths that are tried together, 0 last. A full Newton step can overshoot where a prior is
# weak and the classes are separable, the further the wider the features.
_LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 0.0)
_TOLERANCE = 1e-10
# Near the maximum a step changes the value by less than rounding does, and is still wanted.
_ROUNDING = 1e-13


def logistic_weights(
    features: Tensor,
    target: Tensor,
    weight: Tensor,
    prior: Tensor,
    precision: Tensor,
    *,
    max_steps: int = 30,
) -> Tensor:
    """Return the weights of highest posterior density of binary logistic regressions.

    Maximises Σ_i log p(y_i | φ_iᵀ w) − ½ (w − w₀)ᵀ Λ₀ (w − w₀) for each task and target by
    iteratively reweighted least squares, damped. The solution carries the exact gradient of the
    maximum with respect to everything that it depends on: the steps are taken without a graph,
    and one more, from the maximum, lends its gradient alone. At a maximum the derivative of a
    Newton step with respect to its start is zero, so that step's gradient is the implicit one,
    at the memory of a single step.

    Parameters
    ----------
    features : Tensor of shape (task, row, feature)
        Φ, in float64.
    target : Tensor of shape (task, row, target)
        0 or 1, or a probability between them.
    weight : Tensor of shape (task, row)
        1 for a row, 0 for padding.
    prior : Tensor of shape (feature, target) or (task, feature, target)
        w₀.
    precision : Tensor of shape (feature,)
        Diagonal of Λ₀, > 0.
    max_steps : int, default=30
        Steps at most; fewer where all tasks have converged before.

    Returns
    -------
    Tensor of shape (task, feature, target)
        The weights.
    """
    spread = precision.rsqrt()
    # In v = Λ₀^½ (w − w₀) the prior is a standard normal. A row of weight 0 has no features.
    scaled = features * spread * weight[..., None]
    offset = (features @ prior).mT
    target = target.mT
    with torch.no_grad():
        v = _converged(scaled, offset, target, weight, max_steps)
    step = _newton_step(scaled, offset, target, weight, v)
    v = v + (step - step.detach())
    return prior + v.mT * spread[:, None]


def _converged(
    scaled: Tensor, offset: Tensor, target: Tensor, weight: Tensor, max_steps: int
) -> Tensor:
    """Return v (task, target, feature) after damped steps from the prior."""
    v = scaled.new_zeros(*offset.shape[:2], scaled.shape[-1])
    lengths = torch.tensor(_LENGTHS, dtype=v.dtype, device=v.device)[:, None, None, None]
    for _ in range(max_steps):
        change = _newton_step(scaled, offset, target, weight, v) - v
        at = v + lengths * change
        logit = offset + at @ scaled.mT
        loss = ((F.softplus(logit) - target * logit) * weight[:, None]).sum(-1)
        loss = loss + 0.5 * (at**2).sum(-1)
        least = loss.amin(0)
        best = (loss <= least + _ROUNDING * (1 + least)).to(torch.uint8).argmax(0)  # the longest
        step = lengths[best, 0, 0] * change
        stuck = (best == len(lengths) - 1)[..., None]
        if bool(stuck.any()):  # where the curvature vanishes a bound on it leads on
            safe = _newton_step(scaled, offset, target, weight, v, bound=True) - v
            step = torch.where(stuck, safe, step)
        v = v + step
        if bool((step.abs() <= _TOLERANCE * (1 + v.abs())).all()):
            break
    return v


def _newton_step(
    scaled: Tensor,
    offset: Tensor,
    target: Tensor,
    weight: Tensor,
    v: Tensor,
    *,
    bound: bool = False,
) -> Tensor:
    """Return where a full Newton step from v leads, by the smaller of two equal solves.

    With `bound` each row's curvature is that of the quadratic that touches its loss at v and lies
    above it elsewhere (Jaakkola and Jordan, 2000): such a step is shorter and never goes up.
    """
    own = v @ scaled.mT
    probability = torch.sigmoid(offset + own)
    rows = weight[:, None]
    curvature = probability * (1 - probability) * rows
    if bound:
        half = 0.5 * (offset + own).abs().clamp_min(1e-6)
        curvature = 0.25 * torch.tanh(half) / half * rows
    pull = curvature * own + (target - probability) * rows
    n_rows, n_features = scaled.shape[1:]
    if n_rows >= n_features:  # (I + ΨᵀDΨ) v = Ψᵀ b
        psi = scaled[:, None]
        eye = torch.eye(n_features, dtype=v.dtype, device=v.device)
        hessian = eye + (psi * curvature[..., None]).mT @ psi
        right = (pull @ scaled)[..., None]
        return torch.cholesky_solve(right, cholesky(hessian))[..., 0]
    # v = Ψᵀ a with a = b − D^½ (I + D^½ K D^½)⁻¹ D^½ K b, as in Rasmussen and Williams (2006),
    # algorithm 3.1. The floor keeps the square root's derivative finite where a row is certain.
    root = curvature.clamp_min(1e-12).sqrt()
    kernel = (scaled @ scaled.mT)[:, None]
    eye = torch.eye(n_rows, dtype=v.dtype, device=v.device)
    inner = eye + root[..., None] * kernel * root[..., None, :]
    right = root[..., None] * (kernel @ pull[..., None])
    solved = torch.cholesky_solve(right, cholesky(inner))[..., 0]
    return (pull - root * solved) @ scaled
