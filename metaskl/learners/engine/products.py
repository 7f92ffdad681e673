"""A layer by its weights, of each task's own or one set for all, and products of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Layer(Protocol):
    """What a linear layer of weights W and bias b does to a stack of tasks."""

    def forward(self, h: Tensor) -> Tensor:
        """Return h Wᵀ + b."""

    def add_to(self, total: Tensor, h: Tensor) -> Tensor:
        """Return total + h Wᵀ, which takes the place of the total."""

    def back(self, delta: Tensor, total: Tensor | None = None) -> Tensor:
        """Return δ W, with a total if there is one."""


class Direction(Protocol):
    """What a direction W, b in a layer's weights does to a stack of tasks."""

    def forward(self, h: Tensor) -> Tensor:
        """Return h Wᵀ + b."""

    def back(self, delta: Tensor, total: Tensor) -> Tensor:
        """Return total + δ W."""


class Matrices(NamedTuple):
    """A layer by its weights.

    Attributes
    ----------
    weight : Tensor of shape (task, out, in) or (out, in)
        The matrix, without tasks for all.
    bias : Tensor of shape (task, 1, out) or (out,)
        The bias.
    """

    weight: Tensor
    bias: Tensor

    def forward(self, h: Tensor) -> Tensor:
        """Return h Wᵀ + b."""
        if self.weight.ndim == 2:
            return F.linear(h, self.weight, self.bias)
        if h.shape[-1] == 1:  # no sums: a third of the time
            return torch.addcmul(self.bias, h, self.weight.mT)
        return torch.baddbmm(self.bias, h, self.weight.mT)

    def add_to(self, total: Tensor, h: Tensor) -> Tensor:
        """Return total + h Wᵀ in the place of the total."""
        if self.weight.ndim == 2:
            total.view(-1, total.shape[-1]).addmm_(h.flatten(0, 1), self.weight.mT)
            return total
        return total.baddbmm_(h, self.weight.mT)

    def back(self, delta: Tensor, total: Tensor | None = None) -> Tensor:
        """Return δ W, with a total if there is one."""
        shared = self.weight.ndim == 2
        if total is None:
            return torch.matmul(delta, self.weight) if shared else torch.bmm(delta, self.weight)
        if shared:
            rows = torch.addmm(total.flatten(0, 1), delta.flatten(0, 1), self.weight)
            return rows.view_as(total)
        return torch.baddbmm(total, delta, self.weight)


def of_layer(
    delta: Tensor,
    h: Tensor,
    own: Tensor | None = None,
    moved: Tensor | None = None,
    *,
    summed: bool = False,
) -> list[Tensor]:
    """Return the derivatives by a layer's weights and bias; with what moved, their change."""
    if summed:  # as if all rows were of one task
        delta, h = delta.flatten(0, 1), h.flatten(0, 1)
        found = torch.mm(delta.mT, h)
        if own is not None and moved is not None:
            found.addmm_(own.flatten(0, 1).mT, moved.flatten(0, 1))
    else:
        found = torch.bmm(delta.mT, h)
        if own is not None and moved is not None:
            found.baddbmm_(own.mT, moved)
    return [found.flatten(-2), delta.sum(-2)]
