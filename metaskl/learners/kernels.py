"""Covariance functions of features, with their derivatives by the length scale."""

from __future__ import annotations

import torch
from torch import Tensor

STATIONARY = ("rbf", "matern")
KERNELS = (*STATIONARY, "linear", "cosine", "tanimoto")
# Below it a vector counts as zero: it is similar to nothing, itself included.
_TINY = 1e-12


def pairwise(kernel: str, A: Tensor, B: Tensor) -> Tensor:
    """Return what a kernel needs to know of all pairs of rows of a stack of tasks.

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}
        Name of the kernel.
    A, B : Tensor of shape (task, a, feature) and (task, b, feature)
        Features.

    Returns
    -------
    Tensor of shape (task, a, b)
        The mean over features of squared differences (rbf, matern), or the similarity itself.
    """
    product = A @ B.mT
    if kernel == "linear":
        return product / A.shape[-1]
    norm_a, norm_b = (A**2).sum(-1)[..., :, None], (B**2).sum(-1)[..., None, :]
    if kernel == "cosine":
        return product / (norm_a * norm_b).clamp_min(_TINY).sqrt()
    total = norm_a + norm_b
    if kernel == "tanimoto":
        return product / (total - product).clamp_min(_TINY)
    return (total - 2 * product).clamp_min(0.0) / A.shape[-1]


def itself(kernel: str, A: Tensor) -> Tensor:
    """Return the covariance (task, a) of each row with itself."""
    size = (A**2).sum(-1)
    if kernel == "linear":
        return size / A.shape[-1]
    if kernel in STATIONARY:
        return torch.ones_like(size)
    return size / (size.clamp_min(_TINY**0.5) if kernel == "cosine" else size.clamp_min(_TINY))


def covariance(kernel: str, pairs: Tensor, log_length: Tensor) -> Tensor:
    """Return the covariance of unit amplitude of pairs of rows.

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}
        Name of the kernel; the last three have no length scale.
    pairs : Tensor of shape (task, a, b)
        What :func:`pairwise` returns.
    log_length : Tensor of shape (task,)
        Logarithm of the length scale.
    """
    if kernel not in STATIONARY:
        return pairs
    squared = pairs * torch.exp(-2 * log_length)[:, None, None]
    if kernel == "rbf":
        return torch.exp(-0.5 * squared)
    a = _distance(squared)
    return (1 + a + a**2 / 3) * torch.exp(-a)


def length_derivatives(kernel: str, pairs: Tensor, log_length: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and second derivative of :func:`covariance` by the log length scale."""
    if kernel not in STATIONARY:
        return torch.zeros_like(pairs), torch.zeros_like(pairs)
    squared = pairs * torch.exp(-2 * log_length)[:, None, None]
    if kernel == "rbf":  # with q = r²/λ²: κ = exp(−q/2) and dq/d log λ = −2q
        value = torch.exp(-0.5 * squared)
        return squared * value, squared * (squared - 2) * value
    a = _distance(squared)  # da / d log λ = −a
    third = a**2 / 3 * torch.exp(-a)
    return third * (1 + a), third * (a**2 - 2 * a - 2)


def _distance(squared: Tensor) -> Tensor:
    """Return √5 r, with a finite gradient where two rows are equal."""
    return (5 * squared).clamp_min(1e-24).sqrt()
