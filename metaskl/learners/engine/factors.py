"""Layers whose weights of each task's own are sums over rows, and are never formed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metaskl.learners.engine.products import Matrices


class Factors(NamedTuple):
    """A layer whose weights are one set for all, and for each task a sum over rows on top.

    W + s Σ_r w_r d_r h_rᵀ and b + s Σ_r b_r d_r, with s the scale: of so many rows the weights of
    a task's own are a matrix of so small a rank, and are never formed.

    Attributes
    ----------
    base : Matrices
        W and b.
    d : Tensor of shape (task, r, out)
        What is beside the layer's output.
    h : Tensor of shape (task, r, in)
        What is beside its input.
    of_weights : Tensor of shape (r,) or None
        How much each row counts in the weights; None is 1.
    of_bias : Tensor of shape (r,) or (1,)
        How much it counts in the bias.
    scale : float
        What all is multiplied by.
    """

    base: Matrices
    d: Tensor
    h: Tensor
    of_weights: Tensor | None
    of_bias: Tensor
    scale: float

    def forward(self, h: Tensor) -> Tensor:
        """Return h Wᵀ + b."""
        if self.of_weights is None:
            shares = torch.baddbmm(self.of_bias, h, self.h.mT)
        else:
            shares = torch.addcmul(self.of_bias, torch.bmm(h, self.h.mT), self.of_weights)
        return self.base.forward(h).baddbmm_(shares, self.d, alpha=self.scale)

    def add_to(self, total: Tensor, h: Tensor) -> Tensor:
        """Return total + h Wᵀ in the place of the total."""
        shares = _weighed(torch.bmm(h, self.h.mT), self.of_weights)
        return self.base.add_to(total, h).baddbmm_(shares, self.d, alpha=self.scale)

    def back(self, delta: Tensor, total: Tensor | None = None) -> Tensor:
        """Return δ W, with a total if there is one."""
        shares = _weighed(torch.bmm(delta, self.d.mT), self.of_weights)
        return torch.baddbmm(self.base.back(delta, total), shares, self.h, alpha=self.scale)


class Sum:
    """A direction in a layer's weights: Σ_r d_r h_rᵀ for each task, and in its bias."""

    def __init__(self) -> None:
        self.d: list[Tensor] = []
        self.h: list[Tensor] = []
        self.bias: Tensor | None = None

    def add(self, d: Tensor, h: Tensor, *, of_bias: bool = True) -> None:
        """Add the rows of two factors, of shapes (task, row, out) and (task, row, in)."""
        self.d.append(d)
        self.h.append(h)
        if of_bias:
            own = d.sum(1, keepdim=True)
            self.bias = own if self.bias is None else self.bias + own

    def joined(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the factors as one each, and the bias."""
        if len(self.d) > 1:
            self.d, self.h = ([torch.cat(parts, dim=1)] for parts in (self.d, self.h))
        assert self.bias is not None
        return self.d[0], self.h[0], self.bias

    def summed(self) -> tuple[Tensor, Tensor]:
        """Return the direction summed over tasks, in weights and bias."""
        total: Tensor | None = None
        for d, h in zip(self.d, self.h, strict=True):
            d, h = d.flatten(0, 1), h.flatten(0, 1)
            total = torch.mm(d.mT, h) if total is None else total.addmm_(d.mT, h)
        assert total is not None
        assert self.bias is not None
        return total, self.bias.sum((0, 1))


class Scaled:
    """A sum over rows, times rates: a direction in a layer's weights.

    Parameters
    ----------
    direction : Sum
        The sum.
    scale : float
        What all is multiplied by.
    of_weights, of_bias : Tensor of shape () or None
        By what else weights and bias are; None is 1.
    factor : Tensor of shape (task, 1, 1) or None
        By what else each task is.
    """

    def __init__(
        self,
        direction: Sum,
        scale: float,
        of_weights: Tensor | None,
        of_bias: Tensor | None,
        factor: Tensor | None,
    ) -> None:
        self.d, self.h, self.bias = direction.joined()
        self.scale = scale
        self.of_weights, self.of_bias = (
            factor if rate is None else rate if factor is None else rate * factor
            for rate in (of_weights, of_bias)
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return h Wᵀ + b."""
        if self.of_weights is None or self.of_bias is None:
            shares = torch.bmm(h, self.h.mT)
            return torch.baddbmm(self.bias, shares, self.d, beta=self.scale, alpha=self.scale)
        bias = self.bias * (self.of_bias * self.scale)
        return torch.addcmul(bias, self.unscaled(h), self.of_weights, value=self.scale)

    def unscaled(self, h: Tensor) -> Tensor:
        """Return h Wᵀ before scale and rates."""
        return torch.bmm(torch.bmm(h, self.h.mT), self.d)

    def back(self, delta: Tensor, total: Tensor) -> Tensor:
        """Return total + δ W."""
        shares = _weighed(torch.bmm(delta, self.d.mT), self.of_weights)
        return torch.baddbmm(total, shares, self.h, alpha=self.scale)


def _weighed(shares: Tensor, weights: Tensor | None) -> Tensor:
    return shares if weights is None else shares * weights
