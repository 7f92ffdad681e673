"""A memory network's rows as a chain of compiled functions: each there, and each back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from metaskl.learners.engine.compiling import Compiling, Shapes
from metaskl.learners.engine.functions import kind_of
from metaskl.learners.presenting import Known, Row, Sizes, State, after_row

ENGINES = ("auto", "loop", "compiled")

# Compiling takes 35 s and saves about half a millisecond of each row and step.
_REPAID_FROM = 100_000


Tensors = Callable[[list[Tensor]], list[Tensor]]


class There(NamedTuple):
    """The compiled functions of a row, in which no output is missing."""

    forward: Tensors
    backward: Tensors


class RowCompiler(Compiling):
    """Compiles a row of a memory network and its derivative, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[Any, There | None] = {}
        self._shapes = Shapes()

    @staticmethod
    def repays(n_rows: float, device: torch.device) -> bool:
        """Say whether so many rows, over all outer steps, win back the time of compiling."""
        return n_rows >= (_REPAID_FROM if device.type == "cpu" else math.inf)

    def by_rows(
        self,
        n_planned: float,
        sizes: Sizes,
        state: State,
        known: Known,
        real: Tensor | None,
        copies: Tensor | None,
    ) -> list[Row] | None:
        """Do as :func:`metaskl.learners.presenting.by_rows`, or return None with nothing done.

        That is outside of training, under autocast, where compiling failed (with a note why)
        and where too few steps are planned; infinitely many where it was asked for.
        """
        device, n_rows = known.gates.device, n_planned * len(known.gates)
        in_training = torch.is_grad_enabled() and known.gates.requires_grad
        if torch.is_autocast_enabled(device.type) or not (
            in_training and self.repays(n_rows, device)
        ):
            return None
        now = known.gates.new_ones(*known.gates.shape[:2], 1) if real is None else real
        row = [*state, *(part[0] for part in known[:2]), *known[2:], now[0]]
        row = [t.detach().contiguous() for t in (*row, *([] if copies is None else [copies]))]
        key = (sizes, *map(kind_of, row))
        if key not in self._rows:
            if not self._shapes.pays(key, n_rows, _REPAID_FROM):
                return None
            self._rows[key] = self._compiled(sizes, row)
        there = self._rows[key]
        if there is None:
            return None
        passed: list[Row] = []
        fixed = [t.contiguous() for t in known]
        last = _Chain.apply(there, passed, now.contiguous(), copies, *fixed, *state)  # type: ignore[no-untyped-call]
        memory, cell, left, seen = last
        rows = [row._replace(seen=s) for row, s in zip(passed, seen.unbind(0), strict=True)]
        end = rows[-1].state._replace(memory=memory, cell=cell, left=left)
        return [*rows[:-1], rows[-1]._replace(state=end)]

    def _compiled(self, sizes: Sizes, row: list[Tensor]) -> There | None:
        if self.is_full(self._rows.values()):
            return None
        forward = self.compiled(lambda given: [*_forward(sizes, given)], row)
        if forward is None:
            return None
        end = _forward(sizes, row)
        kept = [*end[len(end) - _N_KEPT :], *(torch.ones_like(end[i]) for i in _BACK)]
        backward = self.compiled(lambda given: [*_backward(sizes, given)], [*row, *kept])
        return None if backward is None else There(cast(Tensors, forward), cast(Tensors, backward))


# Of what `_forward` returns, what has a gradient: memory, cell, what is left and what is seen.
_BACK = (0, 2, 3, 4)
# And how many products at its end, which are not taken again on the way back.
_N_KEPT = 2


def _forward(sizes: Sizes, given: Sequence[Tensor], *kept: Tensor) -> list[Tensor]:
    """Return what comes of a row: state, seen, write, erased and the two products."""
    state, (gates, described, of_left, of_hidden, now), copies = given[:4], given[4:9], given[9:]
    products: list[Tensor] = []

    def product(known: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
        if kept:
            outcome: Tensor = _Kept.apply(kept[len(products)], known, inputs, weight)  # type: ignore[no-untyped-call]
        else:
            outcome = torch.addmm(known, inputs, weight)
        products.append(outcome)
        return outcome

    row = after_row(
        sizes,
        State(*state),
        lambda left: product(gates, left, of_left),
        lambda hidden: product(described, hidden, of_hidden),
        now,
        copies[0] if copies else None,
    )
    return [*row.state, row.seen, row.write, row.erased, *products]


def _backward(sizes: Sizes, given: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient by memory, cell, what was left, and what was known of the row."""
    n_row = len(given) - _N_KEPT - len(_BACK)
    row, kept, outer = list(given[:n_row]), given[n_row : -len(_BACK)], given[-len(_BACK) :]
    which = (0, 2, 3, 4, 5)
    with torch.enable_grad():
        for i in which:
            row[i] = row[i].detach().requires_grad_()
        ends = _forward(sizes, row, *kept)
        return list(
            torch.autograd.grad([ends[i] for i in _BACK], [row[i] for i in which], list(outer))
        )


class _Kept(torch.autograd.Function):
    """A product that is known already, with its derivative."""

    @staticmethod
    def forward(ctx: Any, outcome: Tensor, known: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight
        return outcome.view_as(outcome)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return None, gradient, gradient @ ctx.weight.mT, None


class _Chain(torch.autograd.Function):
    """All rows there, and all rows back; what each begins with is kept in between."""

    @staticmethod
    def forward(
        ctx: Any,
        there: There,
        passed: list[Row],
        now: Tensor,
        copies: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        known, state = Known(*tensors[:4]), State(*tensors[4:])
        rest = [] if copies is None else [copies]
        ctx.starts, ctx.kept, ctx.backward_row, ctx.rest = [], [], there.backward, rest
        for row in range(len(known.gates)):
            ctx.starts.append(state)
            of_row = [known.gates[row], known.described[row], *known[2:], now[row], *rest]
            *end, seen, write, erased, by_left, by_hidden = there.forward([*state, *of_row])
            ctx.kept.append((by_left, by_hidden))
            state = State(*end)
            passed.append(Row(state, seen, write, erased))
        seen = torch.stack([row.seen for row in passed])
        ctx.save_for_backward(*known, now, seen)
        # Clones: what a function returns must not be what it keeps.
        return state.memory.clone(), state.cell.clone(), state.left.clone(), seen

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_memory: Tensor, of_cell: Tensor, of_left: Tensor, of_seen: Tensor
    ) -> tuple[Any, ...]:
        gates, described, by_left, by_hidden, now, seen = ctx.saved_tensors
        of_gates, of_described = torch.empty_like(gates), torch.empty_like(described)
        # What is compiled takes its inputs as they lie in memory.
        of_memory, of_cell, of_left = (t.contiguous() for t in (of_memory, of_cell, of_left))
        of_seen = of_seen.contiguous()
        for row in reversed(range(len(gates))):
            given = [*ctx.starts[row], gates[row], described[row], by_left, by_hidden, now[row]]
            outer = [of_memory, of_cell, of_left, of_seen[row]]
            of_memory, of_cell, of_left, of_gates[row], of_described[row] = ctx.backward_row(
                [*given, *ctx.rest, *ctx.kept[row], *outer]
            )
        lefts = torch.stack([start.left for start in ctx.starts])
        hidden = seen[..., -len(by_hidden) :]
        of_weights = [
            inputs.flatten(0, 1).mT @ gradient.flatten(0, 1)
            for inputs, gradient in ((lefts, of_gates), (hidden, of_described))
        ]
        of_state = of_memory, None, of_cell, of_left
        return None, None, None, None, of_gates, of_described, *of_weights, *of_state
