"""Derivatives of a chain of linear layers, written out for a stack of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from metaskl.backbones.chain import Chain
from metaskl.learners.engine.activations import ACTIVATIONS
from metaskl.learners.engine.products import Direction, Layer, Matrices, of_layer
from metaskl.learners.engine.trace import Rows, Trace


@lru_cache(maxsize=64)
def dense_of(chain: Chain, n_outputs: int, kind: str) -> Dense:
    """Return the written-out derivatives of a chain with a linear head."""
    return Dense(chain, n_outputs, kind)


class Dense:
    """The loss of a chain with a linear head, by weights packed into one row a task.

    A row holds, layer by layer and the head last, a layer's weight matrix and its bias: the
    order of ``Network.named_parameters()``. With one tensor instead of one for each matrix, the
    arithmetic of the inner loop is a few operations whatever the depth.

    Parameters
    ----------
    chain : Chain
        The layers before the head.
    n_outputs : int
        Outputs of the head.
    kind : {"regression", "classification"}
        The mean over outputs of the squared error, or cross entropy.
    """

    def __init__(self, chain: Chain, n_outputs: int, kind: str) -> None:
        self.chain = chain
        self.kind = kind
        self.activation = ACTIVATIONS[chain.activation]
        width = chain.sizes[-1] + (chain.sizes[0] if chain.skip else 0)
        self.shapes = [*zip(chain.sizes[1:], chain.sizes[:-1], strict=True), (n_outputs, width)]
        self._sizes = [size for out, n_in in self.shapes for size in (out * n_in, out)]

    def rows(self, X: Tensor, y: Tensor, weight: Tensor) -> Rows:
        """Return rows ready for a loss that is their weighted mean in each task."""
        share = weight / weight.sum(-1, keepdim=True).clamp_min(1.0)
        if self.kind == "regression":
            share = share * (2 / y.shape[-1])
        return Rows(X, y, share.unsqueeze(-1).to(X.dtype))

    def values_a_row(self) -> int:
        """Return how many numbers a trace holds for each row of a task."""
        n_features, *sizes = self.chain.sizes
        a_unit = 2 + self.activation.by_sum + (self.activation.curvature is not None)
        units = sum((a_unit + own) * n for n, own in zip(sizes, self.chain.residual, strict=True))
        joined = sizes[-1] + n_features if self.chain.skip else 0
        return units + joined + self.shapes[-1][0] * 2

    def losses(self, trace: Trace, rows: Rows) -> Tensor:
        """Return each task's loss, shape (task,), where a pass of :meth:`gradient` was."""
        if self.kind == "regression":
            return (trace.result * trace.back_sums[-1]).sum((1, 2)) * 0.5
        return -(trace.result * rows.y * rows.share).sum((1, 2))

    def gradient(
        self, packed: Tensor, rows: Rows, *, of_features: bool = False
    ) -> tuple[Tensor, Tensor | None, Trace]:
        """Return the derivatives of each task's loss.

        Parameters
        ----------
        packed : Tensor of shape (task, parameter)
            The weights. One row that is expanded is known to be the same for all tasks, and
            takes less time.
        rows : Rows
            What the loss is of.
        of_features : bool, default=False
            Whether the derivative by the features is wanted.

        Returns
        -------
        gradient : Tensor of shape (task, parameter)
            By the weights.
        of_X : Tensor of shape (task, row, feature) or None
            By the features.
        trace : Trace
            For :meth:`losses` and :meth:`hessian_product`.
        """
        trace, of_X = self.traced(self._unpacked(packed), rows, of_features=of_features)
        both = zip(trace.back_sums, trace.inputs, strict=True)
        parts = [part for delta, h in both for part in of_layer(delta, h)]
        return torch.cat(parts, dim=1), of_X, trace

    def traced(
        self, layers: Sequence[Layer], rows: Rows, *, of_features: bool = False
    ) -> tuple[Trace, Tensor | None]:
        """Go forward and back: what :meth:`gradient` returns, but for the gradient."""
        inputs, sums, values = [], [], []
        h = rows.X
        for layer, residual in zip(layers[:-1], self.chain.residual, strict=True):
            z = layer.forward(h)
            value = self.activation.value(z)
            inputs.append(h)
            sums.append(z if self.activation.by_sum else value)
            values.append(value)
            h = h + value if residual else value
        if self.chain.skip:
            h = torch.cat([h, rows.X], dim=-1)
        inputs.append(h)
        delta, result = self._pull(layers[-1].forward(h), rows)
        back: list[Tensor] = []
        back_sums = [delta]
        d = layers[-1].back(delta) if sums or of_features else None
        d, direct = self._apart(d)
        for i in reversed(range(len(sums))):
            assert d is not None
            delta = self.activation.times_slope(d, sums[i], values[i])
            if self.activation.curvature is not None:
                back.append(d)
            back_sums.append(delta)
            d = self._below(i, d, delta, layers[i], of_features=of_features)
        trace = Trace(layers, inputs, sums, values, back[::-1], back_sums[::-1], result)
        return trace, _joined(d, direct) if of_features else None

    def hessian_product(
        self,
        trace: Trace,
        direction: Tensor,
        rows: Rows,
        *,
        of_features: bool = False,
        summed: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the derivative of the gradient along a direction in the weights [1]_.

        Parameters
        ----------
        trace : Trace
            Of the pass at the weights in question.
        direction : Tensor of shape (task, parameter)
            The direction.
        rows : Rows
            What the loss is of.
        of_features : bool, default=False
            Whether the derivative of the features' gradient is wanted, too.
        summed : bool, default=False
            Whether the product is wanted summed over tasks, which takes less time.

        Returns
        -------
        product : Tensor of shape (task, parameter) or (parameter,)
            The Hessian times the direction.
        of_X : Tensor of shape (task, row, feature) or None
            The mixed second derivative times the direction.

        References
        ----------
        .. [1] B. A. Pearlmutter. Fast Exact Multiplication by the Hessian. Neural
           Computation, 1994.
        """
        turns = self._unpacked(direction)
        moved, deltas, of_X = self.along(trace, turns, rows, of_features=of_features)
        parts = []
        for delta, h, own, move in zip(deltas, trace.inputs, trace.back_sums, moved, strict=True):
            parts += of_layer(delta, h, own, move, summed=summed)
        return torch.cat(parts, dim=-1), of_X

    def along(
        self,
        trace: Trace,
        turns: Sequence[Direction],
        rows: Rows,
        *,
        of_features: bool = False,
    ) -> tuple[list[Tensor | None], list[Tensor], Tensor | None]:
        """Return how each layer's input moves, and the derivative by what it gives.

        As the weights move by `turns`. None is no move. The last is that by the features.
        """
        moved, sum_moves = self._forward_along(trace, turns, rows)
        move = turns[-1].forward(trace.inputs[-1])
        if moved[-1] is not None:
            move = trace.layers[-1].add_to(move, moved[-1])
        deltas = [self._pull_along(move, rows, trace.result)]
        d = None
        if sum_moves or of_features:
            d = trace.layers[-1].back(deltas[0])
            d = turns[-1].back(trace.back_sums[-1], d)
        d, direct = self._apart(d)
        for i in reversed(range(len(sum_moves))):
            assert d is not None
            z, h = trace.sums[i], trace.values[i]
            delta = self.activation.times_slope(d, z, h)
            if self.activation.curvature is not None:
                bend = self.activation.curvature(z, h) * sum_moves[i]
                delta = torch.addcmul(delta, bend, trace.back[i])
            deltas.append(delta)
            d = self._below(i, d, delta, trace.layers[i], of_features=of_features)
            if d is not None:
                d = turns[i].back(trace.back_sums[i], d)
        return moved, deltas[::-1], _joined(d, direct) if of_features else None

    def _unpacked(self, packed: Tensor) -> list[Matrices]:
        """Return views of the weight matrices and biases, without tasks if these share them."""
        if packed.stride(0) == 0:
            parts = packed[0].split_with_sizes(self._sizes)
            weights = [parts[2 * i].view(s) for i, s in enumerate(self.shapes)]
            return [*map(Matrices, weights, parts[1::2])]
        parts = packed.split_with_sizes(self._sizes, dim=1)
        weights = [parts[2 * i].view(-1, *shape) for i, shape in enumerate(self.shapes)]
        return [*map(Matrices, weights, (bias.unsqueeze(1) for bias in parts[1::2]))]

    def _pull(self, output: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the derivative of the loss by the outputs, and the trace's result."""
        if self.kind == "regression":
            error = output - rows.y
            return error * rows.share, error
        log_p = F.log_softmax(output, dim=-1)
        return (log_p.exp() * rows.y.sum(-1, keepdim=True) - rows.y) * rows.share, log_p

    def _pull_along(self, move: Tensor, rows: Rows, result: Tensor) -> Tensor:
        """Return how the derivative by the outputs changes as these move."""
        if self.kind == "regression":
            return move * rows.share
        p, share = result.exp(), rows.share * rows.y.sum(-1, keepdim=True)
        return p * (move - (p * move).sum(-1, keepdim=True)) * share

    def _forward_along(
        self, trace: Trace, turns: Sequence[Direction], rows: Rows
    ) -> tuple[list[Tensor | None], list[Tensor]]:
        """Return how each layer's input and sum moves; None is no move."""
        move: Tensor | None = None
        moved: list[Tensor | None] = []
        sum_moves = []
        for i, residual in enumerate(self.chain.residual):
            moved.append(move)
            z_move = turns[i].forward(trace.inputs[i])
            if move is not None:
                z_move = trace.layers[i].add_to(z_move, move)
            sum_moves.append(z_move)
            bent = self.activation.times_slope(z_move, trace.sums[i], trace.values[i])
            move = bent if move is None or not residual else move + bent
        if self.chain.skip and move is not None:
            move = F.pad(move, (0, rows.X.shape[-1]))
        return [*moved, move], sum_moves

    def _apart(self, d: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return the derivative by what the last layer gives, and directly by the features."""
        if d is None or not self.chain.skip:
            return d, None
        width = self.chain.sizes[-1]
        return d[..., :width], d[..., width:]

    def _below(
        self, i: int, d: Tensor, delta: Tensor, layer: Layer, *, of_features: bool
    ) -> Tensor | None:
        """Return the derivative by a layer's input."""
        if i == 0 and not of_features:
            return None
        return layer.back(delta, d if self.chain.residual[i] else None)


def _joined(d: Tensor | None, direct: Tensor | None) -> Tensor | None:
    return d if direct is None or d is None else d + direct
