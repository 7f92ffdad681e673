"""How much memory a meta-gradient takes, and how to take it in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.engine.trace import Rows

# Beside what each step leaves: gradients, directions and products that live at once.
_LIVE_ROWS = 4
# On a CPU a stack is taken in parts of about so many bytes: more at once is slower, up to twice,
# by caches and by memory asked for anew. Large tasks go by a few, up to the second bound.
_OF_A_CPU, _FEW, _OF_FEW = 2**23, 3, 2**25
Gradients = tuple[Tensor, list[Tensor | None]]
Find = Callable[[Plan], Gradients]


def bytes_of(budget: Any) -> int:
    """Return a memory budget as a whole number; ``1e9`` is one as well.

    Raises
    ------
    ParameterError
        If it is none, or not above 0.
    """
    whole = isinstance(budget, Integral) and not isinstance(budget, bool)
    if not (whole or (isinstance(budget, float) and budget.is_integer())) or budget < 1:
        raise ParameterError(
            f"memory_budget must be a whole number of bytes above 0, got {budget!r}. 2**30 is "
            "1 GiB."
        )
    return int(budget)


class Need(NamedTuple):
    """What a meta-gradient takes, in bytes of one task.

    Attributes
    ----------
    once : int
        However many steps there are.
    a_step : int
        What a step leaves.
    a_point : int
        A point held while the later half of the steps is gone back through.
    n_steps, n_tasks : int
        Inner steps, and tasks in the stack.
    """

    once: int
    a_step: int
    a_point: int
    n_steps: int
    n_tasks: int

    def bytes_a_task(self, n_kept: int) -> int:
        """Return the memory of one task if what so many steps leave is kept at once."""
        n, n_points = self.n_steps, 0
        while n > n_kept:
            n, n_points = n - n // 2, n_points + 1
        return self.once + min(n_kept, self.n_steps) * self.a_step + n_points * self.a_point

    def fits(self, limit: int) -> bool:
        """Say whether all tasks at once, and all that their steps leave, need no more bytes."""
        return self.n_tasks * self.bytes_a_task(self.n_steps) <= limit

    def said(self, n_at_once: int) -> str:
        """Return the prediction in words, and how many tasks are taken at once."""
        a_task = self.bytes_a_task(self.n_steps)
        return prediction(a_task, self.n_tasks, n_at_once)

    def fitted(self, budget: int, device: torch.device) -> tuple[int, int]:
        """Return how many tasks to take at once, and of how many steps to keep what they leave.

        Fewer tasks cost no further work, fewer steps do: they are for a single task that does
        not fit.
        """
        a_task = self.bytes_a_task(self.n_steps)
        n_tasks, n_kept = at_once(a_task, self.n_tasks, budget, device), self.n_steps
        while n_kept > 1 and n_tasks * self.bytes_a_task(n_kept) > budget:
            n_kept = (n_kept + 1) // 2
        return n_tasks, n_kept


def need_of(plan: Plan, weights: Sequence[float], *, second_order: bool) -> Need:
    """Return what the meta-gradient of a plan of dense networks takes. No graph is kept."""
    problem, learned = plan.problem, bool(plan.rates.names)
    assert isinstance(problem, DenseProblem)
    n_parameters, values = sum(plan.packing.sizes), problem.dense.values_a_row()
    n_support, n_query = problem.support_rows.X.shape[1], problem.query_rows.X.shape[1]
    once = _LIVE_ROWS * n_parameters + values * max(n_support, n_query)
    n_steps = plan.rates.inner.n_steps
    if problem.of_features:  # the sum over steps, if there are several, and what goes into it
        n_rows = (3 + (n_steps > 1)) * n_support + n_query
        once += n_rows * problem.support_rows.X.shape[2]
    n_rows = (second_order or any(weights[:-1])) + learned  # of points and gradients
    a_step = n_rows * n_parameters + values * n_support * second_order
    size = plan.start[0].element_size()
    if plan.factored:
        a_row = sum(map(sum, problem.dense.shapes))
        n_counted = sum(w != 0 for w in weights)
        # Where the query is gone through again, the sums so far and those joined live at once.
        n_queries = 1.0 if n_counted == 1 else 1.5 * n_counted + 1
        in_sums = n_query * n_queries + n_steps * n_support * second_order
        once = values * max(n_support, n_query) + int(a_row * in_sums)
        a_step = n_support * (values * second_order + 2 * a_row)
    return Need(size * once, size * a_step, size * n_parameters, n_steps, plan.n_tasks)


def fitting(
    plan: Plan, weights: Sequence[float], budget: int, *, second_order: bool
) -> tuple[Plan, Need]:
    """Return a plan, without factors if those of one task do not fit, and what it takes.

    Of the weights of each task's own the inner steps can be taken in parts, of factors not.
    """
    need = need_of(plan, weights, second_order=second_order)
    if plan.factored and need.bytes_a_task(need.n_steps) > budget:
        plan = plan._replace(factored=False)
        need = need_of(plan, weights, second_order=second_order)
    return plan, need


def at_once(a_task: int, n_tasks: int, budget: int, device: torch.device) -> int:
    """Return how many tasks of so many bytes to take at once, in parts of about one size."""
    limit = budget
    if device.type == "cpu":
        limit = min(budget, max(_OF_A_CPU, min(_FEW * a_task, _OF_FEW)))
    n_parts = -(-n_tasks // max(1, min(n_tasks, limit // a_task)))
    return -(-n_tasks // n_parts)


def prediction(a_task: int, n_tasks: int, n_at_once: int) -> str:
    """Say what a meta-gradient takes, and how many of its tasks are taken at once."""
    unit, name = (2**30, "GiB") if a_task * n_tasks >= 2**30 else (2**20, "MiB")
    some = f"chunks of {n_at_once} tasks" if n_at_once > 1 else "one task at a time"
    how = "all at once" if n_at_once >= n_tasks else some
    size = f"{a_task * n_tasks / unit:.1f} {name}"
    return f"a meta-gradient of {n_tasks} tasks takes about {size}: {how}"


def by_parts(plan: Plan, size: int, find: Find) -> Gradients:
    """Return the gradients that `find` gives of a plan of dense networks, part by part.

    Parameters
    ----------
    plan : Plan
        The whole stack of tasks.
    size : int
        Tasks of a part.
    find : callable
        Plan to summed loss and gradients, as :meth:`Plan.gradients`.

    Returns
    -------
    tuple
        The loss and its gradients, summed over tasks.
    """
    if size >= plan.n_tasks:
        return find(plan)
    assert isinstance(plan.problem, DenseProblem)
    starts = range(0, plan.n_tasks, size)
    found = [find(_part(plan, plan.problem, slice(a, a + size))) for a in starts]
    loss = torch.stack([part for part, _ in found]).sum()
    by_place = list(zip(*(gradients for _, gradients in found), strict=True))
    n_summed = len(plan.start) + len(plan.rates.names)
    summed = [_added(parts) for parts in by_place[:n_summed]]
    # What is shared are features of a task's own rows.
    return loss, [*summed, *(_joined(parts) for parts in by_place[n_summed:])]


def _part(plan: Plan, problem: DenseProblem, tasks: slice) -> Plan:
    """Return the plan of some of the tasks."""
    sides = [Rows(*(t[tasks] for t in rows)) for rows in (problem.support_rows, problem.query_rows)]
    other = DenseProblem(problem.dense, *sides, of_features=problem.of_features)
    return plan._replace(problem=other, n_tasks=len(sides[0].X))


def _added(parts: Sequence[Tensor | None]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    return torch.stack(given).sum(0) if given else None


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    return torch.cat(given) if given else None
