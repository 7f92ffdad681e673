"""How much memory a meta-gradient takes, and how to take it in parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metaskl.learners.engine.dense import Rows
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import DenseProblem

# Beside what each step leaves: gradients, directions and products that live at once.
_LIVE_ROWS = 4
Gradients = tuple[Tensor, list[Tensor | None]]
Find = Callable[[Plan], Gradients]


class Need(NamedTuple):
    """What a meta-gradient takes.

    Attributes
    ----------
    bytes_a_task : int
        Predicted memory of one task.
    n_tasks : int
        Tasks in the stack.
    """

    bytes_a_task: int
    n_tasks: int

    def n_in_a_part(self, budget: int) -> int:
        """Return how many tasks fit into so many bytes, at least one."""
        return max(1, min(self.n_tasks, budget // self.bytes_a_task))

    def said(self, budget: int) -> str:
        """Return the prediction in words."""
        whole, size = self.bytes_a_task * self.n_tasks, self.n_in_a_part(budget)
        how = "at once" if size == self.n_tasks else f"in parts of {size} tasks"
        return f"a meta-gradient takes about {whole / 2**30:.1f} GiB, {how}"


def need_of(plan: Plan) -> Need:
    """Return what the meta-gradient of a plan of dense networks takes.

    Each inner step keeps its weights and gradient, and what a pass forward and back leaves: four
    values for each unit and row. No graph is kept.
    """
    problem = plan.problem
    assert isinstance(problem, DenseProblem)
    units = 4 * sum(problem.dense.chain.sizes[1:]) + 2 * problem.dense.shapes[-1][0]
    n_parameters = sum(plan.packing.sizes)
    n_support, n_query = problem.support_rows.X.shape[1], problem.query_rows.X.shape[1]
    steps = plan.rates.inner.n_steps * (2 * n_parameters + units * n_support)
    once = _LIVE_ROWS * n_parameters + units * n_query
    return Need((steps + once) * plan.start[0].element_size(), plan.n_tasks)


def within(plan: Plan, budget: int, find: Find) -> Gradients:
    """Return the gradients that `find` gives of a plan, by parts that fit into a budget.

    Parameters
    ----------
    plan : Plan
        The whole stack of tasks.
    budget : int
        Bytes, > 0. A single task may take more.
    find : callable
        Plan to summed loss and gradients, as :meth:`Plan.gradients`.

    Returns
    -------
    tuple
        The loss and its gradients, summed over tasks.
    """
    if not isinstance(plan.problem, DenseProblem):
        return find(plan)
    need = need_of(plan)
    size = need.n_in_a_part(budget)
    if size == plan.n_tasks:
        return find(plan)
    logging.getLogger("metaskl").debug(need.said(budget))
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
