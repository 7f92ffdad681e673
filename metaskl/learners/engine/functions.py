"""Functions of a plan's tensors, to be compiled or recorded: they depend on nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from metaskl.learners.engine.outer import Adam, State
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.engine.recorded import Function
from metaskl.learners.engine.trace import Rows


def gradient_function(
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


def outer_function(
    plan: Plan, counts: Sequence[bool], adam: Adam, *, second_order: bool
) -> Function:
    """Return a function of a plan's tensors, the optimiser's and rows, that takes a step."""
    assert isinstance(plan.problem, DenseProblem)
    inputs, dense = [*plan.start, *plan.rates.learned], plan.problem.dense
    which = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
    ends = [len(inputs), len(inputs) + len(which), len(inputs) + 2 * len(which)]

    def function(given: list[Tensor]) -> list[Tensor | None]:
        given, weights = _weights(given, counts)
        own, means, squares = (given[a:b] for a, b in zip([0, *ends], ends, strict=False))
        rates, *rows = given[ends[-1] :]
        sides = (*dense.rows(*rows[:3]), *dense.rows(*rows[3:]))
        loss, found = _with(plan, [*own, *sides]).gradients(weights, second_order=second_order)
        learned = [own[i] for i in which]
        gradients = [g / plan.n_tasks for i in which if (g := found[i]) is not None]
        # Training ends where the loss is no number: then all is left as it was.
        changed = [*learned, *means, *squares]
        before = [tensor.clone() for tensor in changed]
        adam.update(learned, gradients, State(means, squares, []), rates)
        for tensor, was in zip(changed, before, strict=True):
            tensor.copy_(torch.where(loss.isfinite(), tensor, was))
        return [loss / plan.n_tasks]

    return function


def annealed(like: Tensor, weights: Sequence[float]) -> list[Tensor]:
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


def form_of(plan: Plan, problem: DenseProblem) -> Hashable:
    """Return what a compiled function depends on beside its tensors."""
    inner = plan.rates.inner
    fixed = (frozenset(inner.adapted), inner.lr, inner.by_step, inner.n_steps, inner.clip)
    network = (problem.dense.chain, problem.dense.kind, tuple(plan.packing.shapes.items()))
    return (*network, problem.of_features, *fixed)


def kind_of(tensor: Tensor) -> Hashable:
    """Return what of a tensor a compiled function depends on."""
    return tensor.shape, tensor.dtype, tensor.device
