"""Inner problems: of a chain of linear layers, and of any network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metaskl.learners.engine.adjoint import Shared
from metaskl.learners.engine.dense import Dense
from metaskl.learners.engine.packing import Packing
from metaskl.learners.engine.trace import Rows, Trace

Losses = Callable[[dict[str, Tensor]], Tensor]


class DenseProblem:
    """An inner problem by hand-derived derivatives.

    Parameters
    ----------
    dense : Dense
        The network.
    support : Rows
        The rows of the inner loss.
    query : Rows
        The rows of the outer loss.
    of_features : bool, default=False
        Whether the features of support and query are shared: computed from other meta-parameters.
    """

    def __init__(
        self, dense: Dense, support: Rows, query: Rows, *, of_features: bool = False
    ) -> None:
        self.dense = dense
        self.support_rows = support
        self.query_rows = query
        self.of_features = of_features

    def support(self, point: Tensor) -> tuple[Tensor, Trace]:
        """Return the support's gradient and its trace."""
        gradient, _, trace = self.dense.gradient(point, self.support_rows)
        return gradient, trace

    def query(self, point: Tensor) -> tuple[Tensor, Tensor, Shared]:
        """Return the query's losses and their derivatives."""
        rows, of_features = self.query_rows, self.of_features
        gradient, of_X, trace = self.dense.gradient(point, rows, of_features=of_features)
        return self.dense.losses(trace, rows), gradient, [None, of_X] if of_features else []

    def curvature(
        self, point: Tensor, trace: Trace, direction: Tensor, *, summed: bool
    ) -> tuple[Tensor, Shared]:
        """Return the support's Hessian times a direction."""
        del point
        product, of_X = self.dense.hessian_product(
            trace, direction, self.support_rows, of_features=self.of_features, summed=summed
        )
        return product, [of_X, None] if self.of_features else []


class AutogradProblem:
    """An inner problem of any network: the graph of one inner step lives at a time.

    Parameters
    ----------
    packing : Packing
        The tensors that the inner steps change.
    support, query : callable
        Map these tensors, with a leading task axis, to each task's loss, shape (task,).
    shared : sequence of Tensor
        What else the losses depend on and is learned: leaves that require a gradient.
    statistics : sequence of Tensor, default=()
        What a forward pass changes; taking a gradient again leaves it alone.
    """

    def __init__(
        self,
        packing: Packing,
        support: Losses,
        query: Losses,
        shared: Sequence[Tensor],
        statistics: Sequence[Tensor] = (),
    ) -> None:
        self.packing = packing
        self.support_losses = support
        self.query_losses = query
        self.shared = list(shared)
        self.statistics = list(statistics)

    def support(self, point: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the support's gradient, and the random states before it, for nn.Dropout."""
        random = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, _cuda(point))]
        # One that is expanded could not be written to.
        return self._support_gradient(point)[1].contiguous(), random

    def query(self, point: Tensor) -> tuple[Tensor, Tensor, Shared]:
        """Return the query's losses and their derivatives."""
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            losses = self.query_losses(self.packing.unpacked(leaf))
            total = losses.sum()
        of_point, *of_shared = torch.autograd.grad(total, [leaf, *self.shared], allow_unused=True)
        of_point = torch.zeros_like(point) if of_point is None else of_point
        return losses.detach(), of_point, of_shared

    def curvature(
        self, point: Tensor, trace: list[Tensor], direction: Tensor, *, summed: bool
    ) -> tuple[Tensor, Shared]:
        """Return the support's Hessian times a direction, and the mixed derivatives."""
        before = [statistic.clone() for statistic in self.statistics]
        with torch.random.fork_rng(devices=_cuda(point)):
            torch.set_rng_state(trace[0])
            for device, state in zip(_cuda(point), trace[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            leaf, gradient = self._support_gradient(point, create_graph=True)
        product: Tensor | None = None
        mixed: Shared = [None] * len(self.shared)
        if gradient.requires_grad:  # not so for a loss that is linear in everything
            product, *mixed = torch.autograd.grad(
                gradient, [leaf, *self.shared], direction, allow_unused=True
            )
        for statistic, value in zip(self.statistics, before, strict=True):
            statistic.copy_(value)
        product = torch.zeros_like(direction) if product is None else product
        return product.sum(0) if summed else product, mixed

    def _support_gradient(
        self, point: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return a leaf at a point, and the gradient of the support's loss by it."""
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            total = self.support_losses(self.packing.unpacked(leaf)).sum()
            (gradient,) = torch.autograd.grad(
                total, leaf, create_graph=create_graph, materialize_grads=True
            )
        return leaf, gradient


def _cuda(tensor: Tensor) -> list[torch.device]:
    """Return the device that draws random numbers of its own beside the CPU, if that is one."""
    return [tensor.device] if tensor.device.type == "cuda" else []
