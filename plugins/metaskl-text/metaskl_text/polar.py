"""The orthogonal factor of a matrix, with a gradient that equal singular values do not break."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Singular values closer to 0 than this share of the largest one count as this.
_FLOOR = 1e-7


class _Polar(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        left, size, right = torch.linalg.svd(matrix, full_matrices=False)
        return left @ right, left, size, right

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        del inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        left, size, right = ctx.saved_tensors
        gradient = gradients[0]
        size = size.clamp_min(_FLOOR * size[..., :1].clamp_min(1e-30))
        # dQ = U ((Uᵀ dM V − Vᵀ dMᵀ U) / (sᵢ + sⱼ)) Vᵀ turns within the spanned space; in what U or
        # V leaves out (of an oblong matrix) a change is divided by s alone. This is its adjoint.
        inner = left.mT @ gradient @ right.mT
        within = (inner - inner.mT) / (size[..., :, None] + size[..., None, :])
        beyond = (gradient - left @ (left.mT @ gradient)) @ right.mT / size[..., None, :]
        above = left.mT @ (gradient - (gradient @ right.mT) @ right) / size[..., :, None]
        back: Tensor = left @ within @ right + beyond @ right + left @ above
        return back


def orthogonal_factor(matrix: Tensor) -> Tensor:
    """Return the matrix with orthonormal columns (or rows) that is nearest to one.

    It is Q = U Vᵀ of the singular value decomposition M = U S Vᵀ. The gradient needs 1 / (sᵢ + sⱼ)
    only, where that of the decomposition itself holds 1 / (sᵢ − sⱼ), which is infinite for equal
    singular values.

    Parameters
    ----------
    matrix : Tensor of shape (..., n_rows, n_columns)
        Matrices of full rank.

    Returns
    -------
    Tensor of shape (..., n_rows, n_columns)
        Their orthogonal factors.

    Examples
    --------
    >>> import torch
    >>> from metaskl_text.polar import orthogonal_factor
    >>> orthogonal_factor(torch.tensor([[0.0, 2.0], [-3.0, 0.0]])).round().abs().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    factor: Tensor = _Polar.apply(matrix)[0]  # type: ignore[no-untyped-call]
    return factor
