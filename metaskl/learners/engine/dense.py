"""Derivatives of a chain of linear layers, written out for a stack of tasks."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metaskl.backbones.chain import Chain
from metaskl.learners.engine.activations import ACTIVATIONS
from metaskl.learners.engine.products import layer, of_layer, plus_product, product


class Rows(NamedTuple):
    """Rows of a stack of tasks, ready for a loss that is a weighted sum over them.

    Attributes
    ----------
    X : Tensor of shape (task, row, feature)
        Features.
    y : Tensor of shape (task, row, output)
        Targets, or one-hot classes.
    share : Tensor of shape (task, row, 1)
        How much each row counts in its task's loss, 0 for padding: they sum to 1, or where errors
        are squared to the factor that the derivative has beside the error.
    """

    X: Tensor
    y: Tensor
    share: Tensor


@lru_cache(maxsize=64)
def dense_of(chain: Chain, n_outputs: int, kind: str) -> Dense:
    """Return the written-out derivatives of a chain with a linear head."""
    return Dense(chain, n_outputs, kind)


class Trace(NamedTuple):
    """What a pass forward and back leaves behind for the pass with the Hessian.

    Attributes
    ----------
    weights : list of Tensor of shape (task, out, in) or (out, in)
        Of each layer, the head last; without a task axis where all tasks share them.
    inputs : list of Tensor of shape (task, row, in)
        What each layer was given.
    sums : list of Tensor
        What each activation was given; what it gave where its derivatives need no more.
    values : list of Tensor
        What each activation gave.
    back : list of Tensor
        The derivative of the loss by what each activation gave; empty where the activation
        has no curvature.
    back_sums : list of Tensor of shape (task, row, out)
        The derivative by what each layer gave, the head's last.
    result : Tensor of shape (task, row, output)
        The errors, or the logarithms of the classes' probabilities.
    """

    weights: list[Tensor]
    inputs: list[Tensor]
    sums: list[Tensor]
    values: list[Tensor]
    back: list[Tensor]
    back_sums: list[Tensor]
    result: Tensor


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
        weights, biases = self._unpacked(packed)
        inputs, sums, values = [], [], []
        h = rows.X
        for i, residual in enumerate(self.chain.residual):
            z = layer(h, weights[i], biases[i])
            value = self.activation.value(z)
            inputs.append(h)
            sums.append(z if self.activation.by_sum else value)
            values.append(value)
            h = h + value if residual else value
        if self.chain.skip:
            h = torch.cat([h, rows.X], dim=-1)
        inputs.append(h)
        delta, result = self._pull(layer(h, weights[-1], biases[-1]), rows)
        back: list[Tensor] = []
        back_sums = [delta]
        parts = of_layer(delta, h)
        d, direct = self._into_body(delta, weights, of_features=of_features)
        for i in reversed(range(len(sums))):
            assert d is not None
            delta = self.activation.times_slope(d, sums[i], values[i])
            if self.activation.curvature is not None:
                back.append(d)
            back_sums.append(delta)
            parts += of_layer(delta, inputs[i])
            d = self._below(i, d, delta, weights[i], of_features=of_features)
        trace = Trace(weights, inputs, sums, values, back[::-1], back_sums[::-1], result)
        of_X = d if direct is None or d is None else d + direct
        return torch.cat(parts[::-1], dim=1), of_X if of_features else None, trace

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
        turns, shifts = self._unpacked(direction)
        moved, sum_moves = self._forward_along(trace, turns, shifts, rows)
        move = layer(trace.inputs[-1], turns[-1], shifts[-1])
        if moved[-1] is not None:
            move = plus_product(move, moved[-1], trace.weights[-1].mT)
        delta = self._pull_along(move, rows, trace.result)
        own = trace.back_sums[-1]
        parts = of_layer(delta, trace.inputs[-1], own, moved[-1], summed=summed)
        d, direct = self._into_body(delta, trace.weights, of_features=of_features)
        too, too_direct = self._into_body(own, turns, of_features=of_features)
        d = too if d is None or too is None else d + too
        if direct is not None and too_direct is not None:
            direct = direct + too_direct
        for i in reversed(range(len(sum_moves))):
            assert d is not None
            z, h = trace.sums[i], trace.values[i]
            delta = self.activation.times_slope(d, z, h)
            if self.activation.curvature is not None:
                bend = self.activation.curvature(z, h) * sum_moves[i]
                delta = torch.addcmul(delta, bend, trace.back[i])
            own = trace.back_sums[i]
            parts += of_layer(delta, trace.inputs[i], own, moved[i], summed=summed)
            d = self._below(i, d, delta, trace.weights[i], of_features=of_features)
            if d is not None:
                d = torch.baddbmm(d, own, turns[i])
        of_X = d if direct is None or d is None else d + direct
        return torch.cat(parts[::-1], dim=-1), of_X if of_features else None

    def _unpacked(self, packed: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return views of the weight matrices and biases, without tasks if these share them."""
        if packed.stride(0) == 0:
            parts = packed[0].split_with_sizes(self._sizes)
            return [parts[2 * i].view(s) for i, s in enumerate(self.shapes)], [*parts[1::2]]
        parts = packed.split_with_sizes(self._sizes, dim=1)
        weights = [parts[2 * i].view(-1, *shape) for i, shape in enumerate(self.shapes)]
        return weights, [bias.unsqueeze(1) for bias in parts[1::2]]

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
        self, trace: Trace, turns: list[Tensor], shifts: list[Tensor], rows: Rows
    ) -> tuple[list[Tensor | None], list[Tensor]]:
        """Return how each layer's input and sum moves; None is no move."""
        move: Tensor | None = None
        moved: list[Tensor | None] = []
        sum_moves = []
        for i, residual in enumerate(self.chain.residual):
            moved.append(move)
            z_move = layer(trace.inputs[i], turns[i], shifts[i])
            if move is not None:
                z_move = plus_product(z_move, move, trace.weights[i].mT)
            sum_moves.append(z_move)
            bent = self.activation.times_slope(z_move, trace.sums[i], trace.values[i])
            move = bent if move is None or not residual else move + bent
        if self.chain.skip and move is not None:
            move = F.pad(move, (0, rows.X.shape[-1]))
        return [*moved, move], sum_moves

    def _into_body(
        self, delta: Tensor, weights: list[Tensor], *, of_features: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the derivative by what the last layer gives, and directly by the features."""
        if not self.chain.residual and not of_features:
            return None, None
        d = product(delta, weights[-1])
        if not self.chain.skip:
            return d, None
        width = self.chain.sizes[-1]
        return d[..., :width], d[..., width:]

    def _below(
        self, i: int, d: Tensor, delta: Tensor, weight: Tensor, *, of_features: bool
    ) -> Tensor | None:
        """Return the derivative by a layer's input."""
        if i == 0 and not of_features:
            return None
        if self.chain.residual[i]:
            return plus_product(d, delta, weight)
        return product(delta, weight)
