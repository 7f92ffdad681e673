"""The whole way there and back, or the whole outer step, as one function: compiled or recorded."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from metaskl._compat import compile_graph
from metaskl.learners.engine.functions import (
    annealed,
    form_of,
    gradient_function,
    kind_of,
    outer_function,
)
from metaskl.learners.engine.outer import (
    State,
    adam_of,
    rates_of,
    settings_of,
    state_of,
    why_apart,
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

# Takes an outer step by the rows of support and query, and returns its loss.
Step = Callable[[Sequence[Tensor], torch.optim.Optimizer], Tensor]


class Compiling:
    """Compiles functions, and says why where it does not.

    Nothing of it is stored or copied with a learner: a copy compiles again, from torch's cache
    on the disk.

    Attributes
    ----------
    note : str
        Why something was not compiled; empty if all was.
    """

    def __init__(self) -> None:
        self.note = ""
        self._said: set[str] = set()

    def __reduce__(self) -> Any:
        return type(self), ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def is_full(self, made: Iterable[object]) -> bool:
        """Say whether as many shapes are compiled as may be, and note it."""
        full = sum(function is not None for function in made) >= _MOST_SHAPES
        if full:
            self.say(f"the episodes have more than {_MOST_SHAPES} shapes, the rest run uncompiled")
        return full

    def compiled(
        self, plain: Function, tensors: list[Tensor], *, translated: bool = True
    ) -> Function | None:
        """Return a function compiled or recorded for such tensors, or None with a note why."""
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
            self.say(f"{failed}: {type(error).__name__}: {first}")
            return None

    def say(self, note: str) -> None:
        """Keep a note, and log it once."""
        if note not in self._said:
            _log.info("engine='compiled': %s", note)
        self._said.add(note)
        self.note = note


class Compiler(Compiling):
    """Compiles the gradients of plans, and keeps what it compiled."""

    def __init__(self) -> None:
        super().__init__()
        self._functions: dict[Any, Function | None] = {}
        self._steps: dict[Any, Step | None] = {}

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
            self.say("only chains of linear layers (MLP without norm and dropout) are compiled")
            return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
        rows = (*problem.support_rows, *problem.query_rows)
        tensors = [t.detach().contiguous() for t in (*plan.start, *plan.rates.learned, *rows)]
        counts = tuple(weight != 0 for weight in weights)
        tensors += annealed(tensors[0], weights)
        key = (
            form_of(plan, problem),
            counts,
            second_order,
            n_kept,
            translated,
            *map(kind_of, tensors),
        )
        if key not in self._functions:
            plain = gradient_function(plan, counts, second_order=second_order, n_kept=n_kept)
            self._functions[key] = self._compiled(plain, tensors, translated=translated)
        compiled = self._functions[key]
        if compiled is None:  # by the plan at hand: one that is kept would hold on to its rows
            return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
        loss, *gradients = compiled(tensors)
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
        reason = why_apart(optimizer)
        if reason:
            self.say(f"the optimiser runs apart: {reason}")
            return None
        counts = tuple(weight != 0 for weight in weights)
        key = (form, counts, second_order, settings_of(optimizer), clip, *map(kind_of, rows))
        if key not in self._steps:
            how = {"second_order": second_order}
            plan = plan_of()
            made = None if plan is None else self._step(plan, rows, counts, optimizer, clip, **how)
            self._steps[key] = made
        step = self._steps[key]
        return None if step is None else step([*rows, *annealed(rows[0], weights)], optimizer)

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
            self.say("the optimiser runs apart: it is no plain Adam of all that is learned")
            return None

        def tensors(rows: Sequence[Tensor], state: State, rates: Tensor) -> list[Tensor]:
            own = (*given, *state.means, *state.squares)  # which are written to: no copies
            return [*(t.detach() for t in own), rates, *(t.contiguous() for t in rows)]

        state = state_of(optimizer, learned)
        plain = outer_function(plan, counts, adam, second_order=second_order)
        example = [*rows, *annealed(rows[0], list(map(float, counts)))]
        compiled = self._compiled(plain, tensors(example, state, rates_of(optimizer, state)))
        if compiled is None:
            return None

        def step(rows: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> Tensor:
            state = state_of(optimizer, learned)
            (loss,) = compiled(tensors(rows, state, rates_of(optimizer, state)))
            assert loss is not None
            if math.isfinite(float(loss)):
                n_taken = float(state.steps[0]) + 1
                for count in state.steps:  # all the same; a third of the time of adding to each
                    count.fill_(n_taken)
            return loss

        return step

    def _compiled(
        self, plain: Function, tensors: list[Tensor], *, translated: bool = True
    ) -> Function | None:
        if self.is_full([*self._functions.values(), *self._steps.values()]):
            return None
        return self.compiled(plain, tensors, translated=translated)
