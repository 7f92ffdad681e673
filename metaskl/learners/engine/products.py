"""Products of a stack of tasks with weights of each task's own, or of one set for all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def layer(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what a layer gives, by weights of each task's own, or without tasks for all."""
    if weight.ndim == 2:
        return F.linear(h, weight, bias)
    if h.shape[-1] == 1:  # no sums: a third of the time
        return torch.addcmul(bias, h, weight.mT)
    return torch.baddbmm(bias, h, weight.mT)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a product with matrices of each task's own, or one for all."""
    return torch.matmul(a, b) if b.ndim == 2 else torch.bmm(a, b)


def plus_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return a sum with such a product."""
    if b.ndim == 2:
        return torch.addmm(total.flatten(0, 1), a.flatten(0, 1), b).view_as(total)
    return torch.baddbmm(total, a, b)


def of_layer(
    delta: Tensor,
    h: Tensor,
    own: Tensor | None = None,
    moved: Tensor | None = None,
    *,
    summed: bool = False,
) -> list[Tensor]:
    """Return the derivatives by a layer's bias and weights; with what moved, their change."""
    if summed:  # as if all rows were of one task
        delta, h = delta.flatten(0, 1), h.flatten(0, 1)
        found = torch.mm(delta.mT, h)
        if own is not None and moved is not None:
            found.addmm_(own.flatten(0, 1).mT, moved.flatten(0, 1))
    else:
        found = torch.bmm(delta.mT, h)
        if own is not None and moved is not None:
            found.baddbmm_(own.mT, moved)
    return [delta.sum(-2), found.flatten(-2)]
