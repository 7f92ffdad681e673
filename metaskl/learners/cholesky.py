"""Cholesky factors of matrices that rounding may leave not quite positive definite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# In units of the precision's rounding error: what is added to each diagonal entry, as a share of
# its own size, so that rows of unlike scale are treated alike.
_JITTER = 100.0


def cholesky(matrix: Tensor) -> Tensor:
    """Return the lower Cholesky factors of a stack of symmetric matrices.

    A matrix that is not positive definite has a factor that is not a number: one task does not
    raise for all of a stack, and training ends with the one error that says so.

    Parameters
    ----------
    matrix : Tensor of shape (..., n, n)
        Symmetric, positive definite but for rounding.

    Returns
    -------
    Tensor of shape (..., n, n)
        The factors.
    """
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    share = _JITTER * torch.finfo(matrix.dtype).eps
    factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag_embed(share * diagonal))
    filled: Tensor = factor.masked_fill((failed > 0)[..., None, None], math.nan)
    return filled
