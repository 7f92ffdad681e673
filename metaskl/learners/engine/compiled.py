"""The whole way there and back as one compiled function."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metaskl._compat import compile_graph
from metaskl.learners.engine.dense import Rows
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.engine.rates import Rates

# Compiling takes 10 s (one inner step) to 35 s (five) and saves 0.4 to 1 ms of an outer step.
_REPAID_FROM = 50_000
# Each shape of the episodes needs a function of its own.
_MOST_SHAPES = 3

Function = Callable[[list[Tensor]], list[Tensor | None]]


class Compiler:
    """Compiles the gradients of plans, and keeps what it compiled.

    Nothing of it is stored or copied with a learner: a copy compiles again, from torch's cache
    on the disk.

    Attributes
    ----------
    note : str
        Why something was not compiled; empty if all was.
    """

    def __init__(self) -> None:
        self.note = ""
        self._functions: dict[Any, Function] = {}

    def __reduce__(self) -> Any:
        return Compiler, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiler:
        return Compiler()

    @staticmethod
    def repays(n_steps: int, device: torch.device) -> bool:
        """Say whether so many outer steps are likely to win back the time of compiling."""
        return n_steps >= _REPAID_FROM and device.type == "cpu"

    def gradients(
        self, plan: Plan, weights: Sequence[float], *, second_order: bool, n_kept: int | None = None
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return what :meth:`Plan.gradients` returns, compiled where that is possible."""
        problem = plan.problem
        if not isinstance(problem, DenseProblem):
            self._say("only chains of linear layers (MLP without norm and dropout) are compiled")
            return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
        rows = (*problem.support_rows, *problem.query_rows)
        tensors = [t.detach().contiguous() for t in (*plan.start, *plan.rates.learned, *rows)]
        counts = tuple(weight != 0 for weight in weights)
        if any(counts[:-1]):  # they change with the epochs
            tensors.append(tensors[0].new_tensor(weights))
        key = (_form(plan, problem), counts, second_order, n_kept, *map(_kind, tensors))
        if key not in self._functions:
            self._functions[key] = self._compiled(plan, counts, second_order, n_kept, tensors)
        loss, *gradients = self._functions[key](tensors)
        assert loss is not None
        return loss, gradients

    def _compiled(
        self,
        plan: Plan,
        counts: Sequence[bool],
        second_order: bool,
        n_kept: int | None,
        tensors: list[Tensor],
    ) -> Function:
        """Return a compiled function of these tensors, or the plain one with a note why."""

        def plain(given: list[Tensor]) -> list[Tensor | None]:
            weights: list[float | Tensor] = list(map(float, counts))
            if any(counts[:-1]):
                *given, of_steps = given
                weights = [w if c else 0.0 for w, c in zip(of_steps, counts, strict=True)]
            loss, gradients = _with(plan, given).gradients(
                weights, second_order=second_order, n_kept=n_kept
            )
            return [loss, *gradients]

        if len(self._functions) >= _MOST_SHAPES:
            self._say(f"the episodes have more than {_MOST_SHAPES} shapes, the rest run uncompiled")
            return plain
        try:
            return compile_graph(plain, tensors)
        except Exception as error:  # noqa: BLE001 - whatever a compiler lacks, training goes on
            first = str(error).strip().partition("\n")[0]
            self._say(f"compiling failed, so it runs uncompiled: {type(error).__name__}: {first}")
            return plain

    def _say(self, note: str) -> None:
        """Keep a note, and log it once."""
        if note != self.note:
            logging.getLogger("metaskl").info("engine='compiled': %s", note)
        self.note = note


def _with(plan: Plan, tensors: list[Tensor]) -> Plan:
    """Return a plan of dense networks with other tensors in it."""
    problem = plan.problem
    assert isinstance(problem, DenseProblem)
    n_start, n_learned = len(plan.start), len(plan.rates.names)
    start, learned = tensors[:n_start], tensors[n_start : n_start + n_learned]
    rows = tensors[n_start + n_learned :]
    inner = plan.rates.inner._replace(learned=dict(zip(plan.rates.names, learned, strict=True)))
    other = DenseProblem(
        problem.dense, Rows(*rows[:3]), Rows(*rows[3:]), of_features=problem.of_features
    )
    rates = Rates(plan.packing, inner, start[0])
    return plan._replace(problem=other, start=start, rates=rates)


def _form(plan: Plan, problem: DenseProblem) -> Any:
    """Return what a compiled function depends on beside its tensors."""
    inner = plan.rates.inner
    fixed = (frozenset(inner.adapted), inner.lr, inner.by_step, inner.n_steps, inner.clip)
    network = (problem.dense.chain, problem.dense.kind, tuple(plan.packing.shapes.items()))
    return (*network, problem.of_features, *fixed)


def _kind(tensor: Tensor) -> Any:
    return tensor.shape, tensor.dtype, tensor.device
