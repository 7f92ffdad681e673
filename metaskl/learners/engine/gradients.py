"""Gradients of a stack of tasks by autograd, and losses whose gradient is known."""

from __future__ import annotations

import torch
from torch import Tensor

from metaskl.learners.base import Adapted


def leaves(parameters: Adapted) -> Adapted:
    """Return copies to differentiate at, so that no graph is kept."""
    return {name: p.detach().requires_grad_() for name, p in parameters.items()}


def gradient_by_task(losses: Tensor, point: Adapted, *, create_graph: bool = False) -> Adapted:
    """Return each task's gradient of its loss.

    The losses of all tasks are summed and differentiated together: task t's parameters only
    enter task t's loss, so the gradient holds every task's own.
    """
    gradients = torch.autograd.grad(
        losses.sum(), list(point.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(point, gradients, strict=True))


def with_gradient(value: Tensor, parameters: Adapted, gradients: Adapted) -> Tensor:
    """Return `value` as a loss whose gradient at the parameters is the one given.

    Parameters
    ----------
    value : Tensor of shape ()
        What the loss is.
    parameters : dict of Tensor
        Meta-parameters.
    gradients : dict of Tensor
        The mean gradient over tasks of each, by name.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    product = torch.stack([(p * gradients[n].detach()).sum() for n, p in parameters.items()]).sum()
    return value.detach() + (product - product.detach())
