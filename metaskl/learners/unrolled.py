"""Inner steps one after the other, each with its place in the graph of the outer loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.engine.gradients import gradient_by_task, leaves
from metaskl.learners.engine.plan import RowTensors
from metaskl.tasks import Episode


def unrolled(
    learner: Any, support: RowTensors, *, head_alone: bool, second_order: bool
) -> list[Adapted]:
    """Return the weights after each inner step of MAML.

    Parameters
    ----------
    learner : MAML
        Has `rates`, and what every inner loop has.
    support : tuple of Tensor
        Features, targets and weights of a stack of tasks.
    head_alone : bool
        Whether the body runs once, and the inner steps see its features only.
    second_order : bool
        Whether the inner gradients are differentiated, too, where there is an outer gradient.

    Returns
    -------
    list of dict
        Name to tensor with a leading task axis, one dict a step.
    """
    X, y, weight = support
    outer = torch.is_grad_enabled()
    second_order = outer and second_order
    parameters = learner.start(len(X), detach=not outer)
    path = []
    run: Callable[[Adapted, Tensor], Tensor] = learner.predict_tasks
    if head_alone:
        run, X = learner.network.head_tasks, embed_tasks(learner.network.body, X)
        X = X if second_order else X.detach()
    for step in range(learner.n_steps()):
        with torch.enable_grad():
            point = parameters if second_order else leaves(parameters)
            losses = learner.task_loss(run(point, X), y, weight)
            gradients = gradient_by_task(losses, point, create_graph=second_order)
        clipped = learner.clipped(gradients)
        parameters = {
            name: p - learner.rates.at(name, step) * clipped[name] for name, p in parameters.items()
        }
        path.append(parameters)
    return path


def unrolled_loss(learner: Any, episode: Episode, weights: Sequence[float], **how: bool) -> Tensor:
    """Return the query loss after each inner step, averaged over tasks and weighted over steps.

    Parameters
    ----------
    learner : MAML
        As for :func:`unrolled`.
    episode : Episode
        A stack of tasks.
    weights : sequence of float
        How much each step counts.
    **how
        `head_alone` and `second_order`, as for :func:`unrolled`.

    Returns
    -------
    Tensor of shape ()
        The outer loss.
    """
    path = unrolled(learner, episode[:3], **how)
    X, y, weight = episode[3:6]
    losses = [learner.task_loss(learner.predict_tasks(end, X), y, weight).mean() for end in path]
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()
