"""Adam with clipping, as a part of a compiled outer step; its state stays the optimiser's."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# Variants of Adam that must be off.
_PLAIN = ("amsgrad", "maximize", "capturable", "differentiable")


class Adam(NamedTuple):
    """What of Adam or AdamW is fixed when an outer step is compiled.

    Attributes
    ----------
    betas : tuple of float
        How long the means of the gradient and of its square remember.
    eps : float
        Added to the root of the latter.
    weight_decay : float
        Pull towards 0.
    decoupled : bool
        Whether the pull is on the weights themselves (AdamW), or a part of the gradient.
    clip : float or None
        Largest norm of the outer gradient.
    """

    betas: tuple[float, float]
    eps: float
    weight_decay: float
    decoupled: bool
    clip: float | None

    def update(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        state: State,
        rates: Tensor,
    ) -> None:
        """Change weights and state in place; `rates` are those of :func:`rates_of`."""
        if self.clip is not None:
            norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
            factor = (self.clip / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils has it
            gradients = [g * factor for g in gradients]
        lr, step, spread = rates.unbind()
        first, second = self.betas
        for w, g, mean, square in zip(weights, gradients, state.means, state.squares, strict=True):
            if self.weight_decay and self.decoupled:
                w.mul_(1 - lr * self.weight_decay)
            elif self.weight_decay:
                g = g + self.weight_decay * w
            mean.lerp_(g, 1 - first)
            square.mul_(second).addcmul_(g, g, value=1 - second)
            w.sub_(step * mean / (square.sqrt() / spread + self.eps))


class State(NamedTuple):
    """What an optimiser keeps of each weight.

    Attributes
    ----------
    means, squares : list of Tensor
        Running means of the gradient and of its square.
    steps : list of Tensor of shape ()
        How many steps were taken.
    """

    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]


# What of a group of weights says whether and how its steps can be compiled.
_OF_A_GROUP = ("betas", "eps", "weight_decay", "decoupled_weight_decay", *_PLAIN)


def settings_of(optimizer: torch.optim.Optimizer) -> Hashable:
    """Return what a compiled step takes from an optimiser as it is when it is compiled."""
    groups = optimizer.param_groups
    return type(optimizer), *(
        (len(group["params"]), type(group["lr"]), *(group.get(name) for name in _OF_A_GROUP))
        for group in groups
    )


def adam_of(
    optimizer: torch.optim.Optimizer, weights: Sequence[Tensor], clip: float | None
) -> Adam | None:
    """Return what an optimiser does, or None if it is no plain Adam of just these weights."""
    (group, *others) = optimizer.param_groups
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or others:
        return None
    if any(group[name] for name in _PLAIN):
        return None
    if isinstance(group["lr"], Tensor) or {*map(id, weights)} != {*map(id, group["params"])}:
        return None
    state = state_of(optimizer, weights)
    together = len({float(step) for step in state.steps}) == 1
    if not together or not all(t.is_contiguous() for t in (*weights, *state.means, *state.squares)):
        return None
    decoupled = bool(group.get("decoupled_weight_decay", False))
    return Adam(group["betas"], group["eps"], group["weight_decay"], decoupled, clip)


def state_of(optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> State:
    """Return the state of these weights, begun as the optimiser itself begins it."""
    for weight in weights:
        if not optimizer.state[weight]:
            optimizer.state[weight] = {
                "step": torch.zeros((), device=weight.device),
                "exp_avg": torch.zeros_like(weight, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(weight, requires_grad=False),
            }
    kept = [optimizer.state[weight] for weight in weights]
    names = ("exp_avg", "exp_avg_sq", "step")
    return State(*([state[name] for state in kept] for name in names))


def rates_of(optimizer: torch.optim.Optimizer, state: State) -> Tensor:
    """Return what of the next step changes with time.

    Returns
    -------
    Tensor of shape (3,)
        The learning rate; the same over the first mean's correction for its start at 0; the
        root of the second's.
    """
    group, n_taken = optimizer.param_groups[0], float(state.steps[0]) + 1
    first, second = group["betas"]
    step = group["lr"] / (1 - first**n_taken)
    return state.means[0].new_tensor([group["lr"], step, math.sqrt(1 - second**n_taken)])
