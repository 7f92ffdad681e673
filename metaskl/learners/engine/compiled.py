"""The whole way there and back, or the whole outer step, as one function: compiled or recorded."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from metaskl._compat import compile_graph
from metaskl.learners.engine.dense import Rows, rows_of
from metaskl.learners.engine.outer import (
    Adam,
    State,
    adam_of,
    rates_of,
    settings_of,
    state_of,
)
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.engine.recorded import Function, recorded

_log = logging.getLogger("metaskl")

# Compiling takes 18 s (one inner step) to 28 s (ten) and saves 0.9 to 3 ms of an outer step.
_REPAID_FROM = 25_000
# Recording for a GPU takes some tens of steps.
_RECORDED_FROM = 200
# Each shape of the episodes needs a function of its own.
_MOST_SHAPES = 3

# The rows of the support and of the query, and how an outer step is taken.
Step = Callable[[Sequence[Tensor], torch.optim.Optimizer], Tensor]


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
        self._steps: dict[Any, Step | None] = {}

    def __reduce__(self) -> Any:
        return Compiler, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiler:
        return Compiler()

    @staticmethod
    def repays(n_steps: int, device: torch.device) -> bool:
        """Say whether so many outer steps win back the time of compiling, on a GPU of recording."""
        return n_steps >= {"cpu": _REPAID_FROM, "cuda": _RECORDED_FROM}.get(device.type, math.inf)

    def gradients(
        self,
        plan: Plan,
        weights: Sequence[float],
        *,
        second_order: bool,
        n_kept: int | None = None,
        translated: bool = True,
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return what :meth:`Plan.gradients` returns, by one function where that is possible.

        On a GPU its kernels are recorded as a CUDA graph, with `translated` those of Triton.
        """
        problem = plan.problem
        if not isinstance(problem, DenseProblem):
            self._say("only chains of linear layers (MLP without norm and dropout) are compiled")
            return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
        rows = (*problem.support_rows, *problem.query_rows)
        tensors = [t.detach().contiguous() for t in (*plan.start, *plan.rates.learned, *rows)]
        counts = tuple(weight != 0 for weight in weights)
        tensors += _annealed(tensors[0], weights)
        key = (_form(plan, problem), counts, second_order, n_kept, translated, *map(_kind, tensors))
        if key not in self._functions:
            plain = _gradient_function(plan, counts, second_order=second_order, n_kept=n_kept)
            compiled = self._compiled(plain, tensors, translated=translated)
            self._functions[key] = compiled or plain
        loss, *gradients = self._functions[key](tensors)
        assert loss is not None
        return loss, gradients

    def step(
        self,
        form: Hashable,
        plan_of: Callable[[], Plan | None],
        rows: Sequence[Tensor],
        weights: Sequence[float],
        optimizer: torch.optim.Optimizer,
        clip: float | None,
        *,
        second_order: bool,
    ) -> Tensor | None:
        """Take a whole outer step, the optimiser's update included, or return None.

        Parameters
        ----------
        form : hashable
            What the plan depends on beside its tensors.
        plan_of : callable
            Gives the plan of the rows if this form is new, or None if it is not to be compiled.
        rows : sequence of 6 Tensor
            Features, targets and weights of support and query.
        weights : sequence of float
            How much the query's loss after each step counts.
        optimizer : Optimizer
            Whose weights and state are changed in place.
        clip : float or None
            Largest norm of the outer gradient.
        second_order : bool
            Whether the inner gradients are differentiated, too.

        Returns
        -------
        Tensor of shape () or None
            The outer loss; None if such steps cannot be compiled, and nothing was done.
        """
        counts = tuple(weight != 0 for weight in weights)
        key = (form, counts, second_order, settings_of(optimizer), clip, *map(_kind, rows))
        if key not in self._steps:
            plan = plan_of()
            self._steps[key] = plan and self._step(
                plan, rows, counts, optimizer, clip, second_order=second_order
            )
        step = self._steps[key]
        return None if step is None else step([*rows, *_annealed(rows[0], weights)], optimizer)

    def _step(
        self,
        plan: Plan,
        rows: Sequence[Tensor],
        counts: Sequence[bool],
        optimizer: torch.optim.Optimizer,
        clip: float | None,
        *,
        second_order: bool,
    ) -> Step | None:
        """Return a compiled function that takes outer steps, or None with a note why."""
        given = [*plan.start, *plan.rates.learned]
        learned = [tensor for tensor in given if tensor.requires_grad]
        adam = adam_of(optimizer, learned, clip)
        if adam is None:
            self._say("the optimiser runs apart: it is no plain Adam of all that is learned")
            return None

        def tensors(rows: Sequence[Tensor], state: State, rates: Tensor) -> list[Tensor]:
            own = (*given, *state.means, *state.squares)  # which are written to: no copies
            return [*(t.detach() for t in own), rates, *(t.contiguous() for t in rows)]

        state = state_of(optimizer, learned)
        plain = _outer_function(plan, counts, adam, second_order=second_order)
        example = [*rows, *_annealed(rows[0], list(map(float, counts)))]
        compiled = self._compiled(plain, tensors(example, state, rates_of(optimizer, state)))
        if compiled is None:
            return None

        def step(rows: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> Tensor:
            state = state_of(optimizer, learned)
            (loss,) = compiled(tensors(rows, state, rates_of(optimizer, state)))
            torch._foreach_add_(state.steps, 1)
            assert loss is not None
            return loss

        return step

    def _compiled(
        self, plain: Function, tensors: list[Tensor], *, translated: bool = True
    ) -> Function | None:
        """Return a function compiled or recorded for such tensors, or None with a note why."""
        n_steps = sum(step is not None for step in self._steps.values())
        if len(self._functions) + n_steps >= _MOST_SHAPES:
            self._say(f"the episodes have more than {_MOST_SHAPES} shapes, the rest run uncompiled")
            return None
        function = None
        if translated:
            _log.info(
                "engine='compiled': compiling for a shape of the episodes, which takes a while"
            )
            failed = "compiling failed, so it runs uncompiled"
            function = self._tried(compile_graph, plain, tensors, failed)
        if tensors[0].device.type == "cuda":
            failed = "recording a CUDA graph failed, so kernels are launched one by one"
            function = self._tried(recorded, function or plain, tensors, failed) or function
        return function

    def _tried(
        self,
        change: Callable[[Function, list[Tensor]], Function],
        function: Function,
        tensors: list[Tensor],
        failed: str,
    ) -> Function | None:
        """Return a changed function, or None with a note why."""
        try:
            return change(function, tensors)
        except Exception as error:  # noqa: BLE001 - whatever a machine lacks, training goes on
            first = str(error).strip().partition("\n")[0]
            self._say(f"{failed}: {type(error).__name__}: {first}")
            return None

    def _say(self, note: str) -> None:
        """Keep a note, and log it once."""
        if note != self.note:
            _log.info("engine='compiled': %s", note)
        self.note = note


def _gradient_function(
    plan: Plan, counts: Sequence[bool], *, second_order: bool, n_kept: int | None
) -> Function:
    """Return a function of the tensors of a plan, to its summed loss and the gradients."""

    def function(given: list[Tensor]) -> list[Tensor | None]:
        given, weights = _weights(given, counts)
        loss, gradients = _with(plan, given).gradients(
            weights, second_order=second_order, n_kept=n_kept
        )
        return [loss, *gradients]

    return function


def _outer_function(
    plan: Plan, counts: Sequence[bool], adam: Adam, *, second_order: bool
) -> Function:
    """Return a function of a plan's tensors, the optimiser's and rows, that takes a step."""
    inputs = [*plan.start, *plan.rates.learned]
    which = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
    ends = [len(inputs), len(inputs) + len(which), len(inputs) + 2 * len(which)]

    def function(given: list[Tensor]) -> list[Tensor | None]:
        given, weights = _weights(given, counts)
        own, means, squares = (given[a:b] for a, b in zip([0, *ends], ends, strict=False))
        rates, *rows = given[ends[-1] :]
        sides = (*rows_of(*rows[:3]), *rows_of(*rows[3:]))
        loss, found = _with(plan, [*own, *sides]).gradients(weights, second_order=second_order)
        learned = [own[i] for i in which]
        gradients = [torch.zeros_like(own[i]) if (g := found[i]) is None else g for i in which]
        gradients = [g / plan.n_tasks for g in gradients]
        adam.update(learned, gradients, State(means, squares, []), rates)
        return [loss / plan.n_tasks]

    return function


def _annealed(like: Tensor, weights: Sequence[float]) -> list[Tensor]:
    """Return the weights of the inner steps as a tensor if they may change with the epochs."""
    return [like.new_tensor(weights)] if any(weights[:-1]) else []


def _weights(
    given: list[Tensor], counts: Sequence[bool]
) -> tuple[list[Tensor], list[float | Tensor]]:
    """Take the weights of the inner steps from the end of the tensors, if they are there."""
    if not any(counts[:-1]):
        return given, list(map(float, counts))
    *given, of_steps = given
    return given, [w if c else 0.0 for w, c in zip(of_steps, counts, strict=True)]


def _with(plan: Plan, tensors: list[Tensor]) -> Plan:
    """Return a plan of dense networks with other tensors in it."""
    problem = plan.problem
    assert isinstance(problem, DenseProblem)
    n_start, n_learned = len(plan.start), len(plan.rates.names)
    start, learned = tensors[:n_start], tensors[n_start : n_start + n_learned]
    rows = tensors[n_start + n_learned :]
    other = DenseProblem(
        problem.dense, Rows(*rows[:3]), Rows(*rows[3:]), of_features=problem.of_features
    )
    return plan._replace(problem=other, start=start, rates=plan.rates.replaced(learned))


def _form(plan: Plan, problem: DenseProblem) -> Any:
    """Return what a compiled function depends on beside its tensors."""
    inner = plan.rates.inner
    fixed = (frozenset(inner.adapted), inner.lr, inner.by_step, inner.n_steps, inner.clip)
    network = (problem.dense.chain, problem.dense.kind, tuple(plan.packing.shapes.items()))
    return (*network, problem.of_features, *fixed)


def _kind(tensor: Tensor) -> Any:
    return tensor.shape, tensor.dtype, tensor.device
