"""The exact gradient through an inner loop whose steps are sums over the support's rows.

The gradient of a layer's weights is Σ_r δ_r h_rᵀ over a task's rows, with h what the layer was
given and δ the derivative by what it gave. After K steps from five rows a task's weights
therefore differ from those that all tasks share by a matrix of rank 5 K at most. Where that is
small beside the layer's width, the two factors stand for the weights of each task's own, which
are never formed: most of the arithmetic is then products with the shared weights, of all tasks'
rows at once. So it is on the way back: the outer gradient V is a sum over rows as well, to which
the product with a Hessian adds Σ δ̇ hᵀ + δ ḣᵀ.

Products of rows with each other are large where features lie far from 0, and then round worse than
matrices do; the estimators standardise them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metaskl.learners.engine.dense import Dense
from metaskl.learners.engine.factors import Factors, Scaled, Sum
from metaskl.learners.engine.products import Layer, Matrices
from metaskl.learners.engine.trace import Rows, Trace

# See `factors_pay`: tasks times width, and rows by width where the former is large.
_LEAST, _MUCH, _MORE = 400, 1000, 1.6


class FactoredGradient(NamedTuple):
    """The outer loss and its derivatives.

    Attributes
    ----------
    loss : Tensor of shape ()
        Outer loss.
    of_start : list of Tensor
        By each weight matrix and bias.
    of_rates : list of Tensor of shape (tensor,)
        By the rates of each step; empty if there is one for all.
    """

    loss: Tensor
    of_start: list[Tensor]
    of_rates: list[Tensor]


def factored_gradient(
    dense: Dense,
    start: Sequence[Tensor],
    rates: float | Tensor,
    clip: float | None,
    support: Rows,
    query: Rows,
    *,
    weights: Sequence[float | Tensor],
    second_order: bool,
) -> FactoredGradient:
    """Return the outer loss, summed over tasks, and its exact gradient.

    Parameters
    ----------
    dense : Dense
        The network.
    start : sequence of Tensor
        Each layer's weights and bias, in turn, the head's last.
    rates : float or Tensor of shape (step, tensor)
        The step size: one for all, or one for each step and each of `start`.
    clip : float or None
        Largest norm of a task's gradient.
    support, query : Rows
        Rows of the inner and of the outer loss.
    weights : sequence of (float or Tensor of shape ())
        How much the query's loss after each step counts; a tensor is not 0.
    second_order : bool
        Whether the inner gradients are differentiated, too, or taken as constants.

    Returns
    -------
    FactoredGradient
        The loss and its derivatives.
    """
    base = [Matrices(*pair) for pair in zip(start[::2], start[1::2], strict=True)]
    way = _Way(dense, base, rates, clip, support, len(weights))
    path = [way.step(k, kept=second_order) for k in range(len(weights))]
    V = [Sum() for _ in base]
    loss: Tensor | float = 0.0
    of_rates: list[Tensor] = []
    for k in reversed(range(len(path))):
        weight = weights[k]
        if isinstance(weight, Tensor) or weight != 0:
            trace, _ = dense.traced(way.layers(k + 1), query)
            loss = loss + weight * dense.losses(trace, query).sum()
            for v, delta, h in zip(V, trace.back_sums, trace.inputs, strict=True):
                v.add(delta if isinstance(weight, float) and weight == 1 else delta * weight, h)
        kept, inputs, factor = path.pop()
        if not (second_order or isinstance(rates, Tensor)):
            continue
        turns = [Scaled(v, *way.rates_of(k, i), factor) for i, v in enumerate(V)]
        if isinstance(rates, Tensor):
            of_rates.append(_by_rates(turns, way.taken(k), inputs))
        if kept is not None:
            trace = kept._replace(layers=way.layers(k))
            moved, deltas, _ = dense.along(trace, turns, support)
            for v, move, delta, h, own in zip(
                V, moved, deltas, inputs, trace.back_sums, strict=True
            ):
                v.add(delta, h)
                if move is not None:
                    v.add(own, move, of_bias=False)
    of_start = [part for v in V for part in v.summed()]
    return FactoredGradient(torch.as_tensor(loss), of_start, of_rates[::-1])


class _Way:
    """The inner steps, as factors; the parameters are as above."""

    def __init__(
        self,
        dense: Dense,
        base: Sequence[Matrices],
        rates: float | Tensor,
        clip: float | None,
        support: Rows,
        n_steps: int,
    ) -> None:
        self.dense = dense
        self.base = base
        self.rates = rates
        self.clip = clip
        self.support = support
        self.n_rows = support.X.shape[1]
        self.one = support.X.new_ones(1)
        self.d: list[Tensor] = []
        self.h: list[Tensor] = []
        if isinstance(rates, Tensor):  # once for each row: (tensor, row)
            each = rates.mT.unsqueeze(-1).expand(-1, -1, self.n_rows)
            self.by_row = each.reshape(len(each), n_steps * self.n_rows).unbind(0)

    def step(self, k: int, *, kept: bool) -> tuple[Trace | None, Sequence[Tensor], Tensor | None]:
        """Take a step; return its trace but the layers if kept, its inputs, what shortened it."""
        trace, _ = self.dense.traced(self.layers(k), self.support)
        d, factor = trace.back_sums, self._factor(trace)
        if factor is not None:
            d = [delta * factor for delta in d]
        both = (self.d, d), (self.h, trace.inputs)
        self.d, self.h = (
            [torch.cat(pair, dim=1) for pair in zip(old, new, strict=True)] if k else list(new)
            for old, new in both
        )
        inputs = trace.inputs if kept or isinstance(self.rates, Tensor) else []
        return trace._replace(layers=()) if kept else None, inputs, factor

    def layers(self, k: int) -> Sequence[Layer]:
        """Return the layers after so many of the steps that were taken."""
        if k == 0:
            return self.base
        n, found = k * self.n_rows, []
        for i, (base, d, h) in enumerate(zip(self.base, self.d, self.h, strict=True)):
            if d.shape[1] > n:
                d, h = d[:, :n], h[:, :n]
            if isinstance(self.rates, Tensor):
                w, e = (self.by_row[j][:n] for j in (2 * i, 2 * i + 1))
                found.append(Factors(base, d, h, w, e, -1.0))
            else:
                found.append(Factors(base, d, h, None, self.one, -self.rates))
        return found

    def rates_of(self, k: int, i: int) -> tuple[float, Tensor | None, Tensor | None]:
        """Return a scale and the rates of a layer's weights and bias in a step; None is 1."""
        if isinstance(self.rates, Tensor):
            return -1.0, self.rates[k, 2 * i], self.rates[k, 2 * i + 1]
        return -self.rates, None, None

    def taken(self, k: int) -> list[Tensor]:
        """Return each layer's derivatives in a step, as they were taken."""
        return [d[:, k * self.n_rows : (k + 1) * self.n_rows] for d in self.d]

    def _factor(self, trace: Trace) -> Tensor | None:
        """Return the factors, (task, 1, 1), by which the gradients of a step are shortened."""
        if self.clip is None:
            return None
        squares: Tensor | None = None
        for d, h in zip(trace.back_sums, trace.inputs, strict=True):
            # In double precision: squares of what cancels are left with half of the digits.
            d, h = d.double(), h.double()
            among = torch.bmm(d, d.mT).mul_(torch.bmm(h, h.mT).add_(1))
            own = among.sum((1, 2), keepdim=True)
            squares = own if squares is None else squares + own
        assert squares is not None
        norm = squares.clamp_min(self.clip**2).sqrt()
        return (torch.reciprocal(norm) * self.clip).to(self.one.dtype)


def _by_rates(turns: Sequence[Scaled], taken: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Return the derivatives by the rates of each layer's weights and bias in a step."""
    found = []
    for turn, d, h in zip(turns, taken, inputs, strict=True):
        found += [(d * turn.unscaled(h)).sum(), (d * turn.bias).sum()]
    return torch.stack(found).neg_()


def factors_pay(
    shapes: Sequence[tuple[int, int]],
    n_tasks: int,
    n_steps: int,
    n_support: int,
    n_query: int,
    *,
    bare: bool,
) -> bool:
    """Say whether factors are likely to take less time than weights of each task's own.

    By what was measured on a CPU: with so many rows for a layer's width that their products are
    fewer, and so much arithmetic that these are what takes the time. Rates for each tensor and
    limits of the gradient's norm, without which a loop is `bare`, take operations of their own.
    The query counts as often as its loss does.
    """
    width = 2 * sum(out * n_in for out, n_in in shapes) / sum(map(sum, shapes))
    n_rows = n_query + 2 * n_steps * n_support
    if n_tasks * width < _LEAST:
        return False
    return n_rows <= (_MORE if bare or n_tasks * width >= _MUCH else 1.0) * width
