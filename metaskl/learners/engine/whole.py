"""A learner's whole outer step at once: compiled, or without autograd around the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metaskl._compat import hooked
from metaskl.learners.engine.dense import Dense
from metaskl.learners.engine.memory import Gradients, need_of
from metaskl.learners.engine.outer import taken_at_once
from metaskl.learners.engine.plan import Plan
from metaskl.tasks import Episode

# What is compiled asks for less memory anew than what is not: up to so many bytes at once, parts
# gain nothing.
_AT_ONCE = 2**25
# Optimisers that ask for no loss.
_PLAIN = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop)


def compiled_step(
    learner: Any,
    dense: Dense | None,
    plan_of: Callable[[], Plan],
    episode: Episode,
    weights: Sequence[float],
    optimizer: torch.optim.Optimizer,
    clip: float | None,
    second_order: bool,
) -> Tensor | None:
    """Take an outer step, the optimiser's update included, or return None with nothing done.

    Parameters
    ----------
    learner : InnerLoop
        Compiles, or not.
    dense : Dense or None
        The network's derivatives, if they are written out.
    plan_of : callable
        Gives the episode's inner loop; not called for a form that was compiled before.
    episode : Episode
        A stack of tasks.
    weights : sequence of float
        How much the query's loss after each inner step counts.
    optimizer : Optimizer
        Whose weights and state are changed in place.
    clip : float or None
        Largest norm of the outer gradient.
    second_order : bool
        Whether the inner gradients are differentiated, too.

    Returns
    -------
    Tensor of shape () or None
        The outer loss.
    """
    device = episode.X_support.device
    # What a GPU records writes to copies of the weights: there only gradients are recorded.
    if dense is None or device.type != "cpu" or not learner.compiles(device):
        return None

    def plan_of_all() -> Plan | None:
        """Return the plan if its tasks and steps are taken at once."""
        plan = plan_of().formed(weights)
        if plan.shared or not learner.compiles(device, plan):
            return None
        need = need_of(plan, weights, second_order=second_order)
        fits = need.fits(min(learner.memory_budget, _AT_ONCE))
        if fits:
            learner.note_memory(need.said(need.n_tasks))
        return plan if fits else None

    form = (dense, learner.n_steps(), learner.inner_lr, learner.inner_clip, learner.memory_budget)
    step: Tensor | None = learner.compiler.step(
        form,
        plan_of_all,
        episode[:6],
        weights,
        optimizer,
        clip,
        second_order=second_order,
        n_planned=learner.n_planned(),
    )
    return step


def direct_step(
    learner: Any,
    plan_of: Callable[[], Plan],
    weights: Sequence[float],
    optimizer: torch.optim.Optimizer,
    clip: float | None,
    second_order: bool,
) -> Tensor | None:
    """Take an outer step, whose gradient goes straight to the optimiser, or return None.

    What autograd and the training loop do around a gradient takes as long as a small one. The
    parameters are as in :func:`compiled_step`; derivatives must be written out for all weights,
    on a CPU.

    Returns
    -------
    Tensor of shape () or None
        The outer loss; None, with nothing done, if something else wants to see the gradient.
    """
    if type(optimizer) not in _PLAIN or hooked(optimizer):
        return None
    plan = plan_of()
    found: Gradients = learner.gradients_of(plan, weights, second_order=second_order)
    loss = found[0] / plan.n_tasks
    if not math.isfinite(float(loss)):  # training ends, by the weights that led there
        return loss
    inputs = zip([*plan.start, *plan.rates.learned], found[1], strict=True)
    learned = [(p, g) for p, g in inputs if p.requires_grad and g is not None]
    shown = torch._foreach_mul([g for _, g in learned], 1 / plan.n_tasks)
    given = {id(p): gradient for (p, _), gradient in zip(learned, shown, strict=True)}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = given.get(id(parameter))
    if clip is not None:
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(shown))))
        if not norm <= clip:
            torch._foreach_mul_(shown, clip / (norm + 1e-6))  # as torch.nn.utils has it
    if not taken_at_once(optimizer):
        optimizer.step()
    return loss
