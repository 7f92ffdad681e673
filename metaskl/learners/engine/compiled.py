"""The whole way there and back, or the whole outer step, as one function: compiled or recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from metaskl.learners.engine.compiling import Compiling, Shapes
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
from metaskl.learners.engine.recorded import Function

# Compiling takes 18 s (one inner step) to 28 s (ten) and saves 0.9 to 3 ms of an outer step.
_REPAID_FROM = 25_000
# Recording for a GPU takes some tens of steps.
_RECORDED_FROM = 200

# Takes an outer step by the rows of support and query, and returns its loss.
Step = Callable[[Sequence[Tensor], torch.optim.Optimizer], Tensor]


class Compiler(Compiling):
    """Compiles the gradients of plans, and keeps what it compiled."""

    def __init__(self) -> None:
        super().__init__()
        self._functions: dict[Any, Function | None] = {}
        self._steps: dict[Any, Step | None] = {}
        self._of_gradients, self._of_steps = Shapes(), Shapes()

    @staticmethod
    def repays(n_steps: float, device: torch.device) -> bool:
        """Say whether so many outer steps win back the time of compiling, on a GPU of recording."""
        return n_steps >= _least(device)

    def gradients(
        self,
        plan: Plan,
        weights: Sequence[float],
        *,
        second_order: bool,
        n_kept: int | None = None,
        n_planned: float = math.inf,
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return what :meth:`Plan.gradients` returns, by one function where that is possible.

        On a GPU its kernels are recorded as a CUDA graph: those of Triton where compiling was
        asked for (`n_planned` is infinite), otherwise as they are.
        """
        problem = plan.problem
        if not isinstance(problem, DenseProblem):
            self.say("only chains of linear layers (MLP without norm and dropout) are compiled")
            return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
        rows = (*problem.support_rows, *problem.query_rows)
        tensors = [t.detach().contiguous() for t in (*plan.start, *plan.rates.learned, *rows)]
        counts = tuple(weight != 0 for weight in weights)
        tensors += annealed(tensors[0], weights)
        key = (form_of(plan, problem), counts, second_order, n_kept, *map(kind_of, tensors))
        if key not in self._functions:
            device = tensors[0].device
            if not self._of_gradients.pays(key, n_planned, _least(device)):
                return plan.gradients(weights, second_order=second_order, n_kept=n_kept)
            translated = device.type == "cpu" or math.isinf(n_planned)
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
        n_planned: float = math.inf,
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
        n_planned : float
            Outer steps in all, of which enough must be of this shape; infinite where compiling
            was asked for.

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
            if not self._of_steps.pays(key, n_planned, _least(rows[0].device)):
                return None
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


def _least(device: torch.device) -> float:
    """Return how many steps of a shape win back the time of compiling or recording."""
    return {"cpu": _REPAID_FROM, "cuda": _RECORDED_FROM}.get(device.type, math.inf)
