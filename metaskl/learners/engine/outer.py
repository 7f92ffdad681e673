"""Adam as a part of an outer step, whose state stays the optimiser's: compiled, or at once."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metaskl._compat import fused_adam, hooked

_KINDS = (torch.optim.Adam, torch.optim.AdamW)
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
    weight_decay : tuple of float
        Pull of each weight towards 0.
    decoupled : bool
        Whether the pull is on the weights themselves (AdamW), or a part of the gradient.
    clip : float or None
        Largest norm of the outer gradient.
    """

    betas: tuple[float, float]
    eps: float
    weight_decay: tuple[float, ...]
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
        kept = (state.means, state.squares, self.weight_decay)
        for w, g, mean, square, decay in zip(weights, gradients, *kept, strict=True):
            if decay and self.decoupled:
                w.mul_(1 - lr * decay)
            elif decay:
                g = g + decay * w
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


# What of a group of weights is compiled in.
_OF_A_GROUP = ("betas", "eps", "weight_decay", "decoupled_weight_decay")


def settings_of(optimizer: torch.optim.Optimizer) -> Hashable:
    """Return what a compiled step takes from an optimiser, and which weights it writes to."""
    kept: list[Any] = [type(optimizer)]
    for group in optimizer.param_groups:
        kept += [group.get(name) for name in _OF_A_GROUP]
        kept += [(id(p), p.requires_grad, p.dtype, p.shape) for p in group["params"]]
    return tuple(kept)


def why_apart(optimizer: torch.optim.Optimizer) -> str:
    """Return why a step cannot be taken in an optimiser's stead now; empty if it can."""
    groups = optimizer.param_groups
    if type(optimizer) not in _KINDS or not all(map(_plain, groups)) or not _alike(groups):
        return "it is no plain Adam of all that is learned"
    if hooked(optimizer):
        return "hooks of the gradients or of its steps want to be called"
    weights = [weight for group in groups for weight in group["params"]]
    states = [optimizer.state.get(weight, {}) for weight in weights]
    if len({float(state.get("step", 0)) for state in states}) > 1:
        return "not all that is learned has taken as many steps"
    kept = [state[name] for state in states if state for name in ("exp_avg", "exp_avg_sq")]
    return "" if all(t.is_contiguous() for t in (*weights, *kept)) else "it is strided"


def taken_at_once(optimizer: torch.optim.Optimizer) -> bool:
    """Take a step of a fused Adam by its function alone, if that is all it would do.

    What an optimiser does around it takes twice as long for a small network.
    """
    groups = optimizer.param_groups
    if not all(group.get("fused") for group in groups) or why_apart(optimizer):
        return False
    weights = [weight for group in groups for weight in group["params"]]
    if len(optimizer.state) < len(weights) or any(weight.grad is None for weight in weights):
        return False
    for group in groups:
        state = state_of(optimizer, group["params"])
        n_taken = float(state.steps[0]) + 1
        for count in state.steps:  # a third of the time of adding to each
            count.fill_(n_taken)
        decoupled = _decouples(optimizer, group)
        fused_adam(optimizer, group, state.means, state.squares, state.steps, decoupled=decoupled)
    return True


def _decouples(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    """Say whether weight decay is on the weights themselves."""
    # Before torch 2.7 AdamW is no Adam, and its groups do not say that they decouple.
    return bool(group.get("decoupled_weight_decay", type(optimizer) is torch.optim.AdamW))


def _plain(group: dict[str, Any]) -> bool:
    """Say whether a group is of no variant of Adam, nor of rates that are tensors."""
    tensors = any(isinstance(t, Tensor) for t in (group["lr"], *group["betas"]))
    return not tensors and not any(map(group.get, _PLAIN))


def _alike(groups: list[dict[str, Any]]) -> bool:
    """Say whether groups differ in their weight decay alone."""
    own = ("params", "weight_decay")
    first = {name: value for name, value in groups[0].items() if name not in own}
    return all(first.items() <= group.items() for group in groups[1:])


def adam_of(
    optimizer: torch.optim.Optimizer, weights: Sequence[Tensor], clip: float | None
) -> Adam | None:
    """Return what an optimiser of the right kind does, or None if other weights are its own."""
    group = optimizer.param_groups[0]
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    if {*map(id, weights)} != {*decays}:
        return None
    decay = tuple(decays[id(weight)] for weight in weights)
    return Adam(group["betas"], group["eps"], decay, _decouples(optimizer, group), clip)


def state_of(optimizer: torch.optim.Optimizer, weights: Sequence[Tensor]) -> State:
    """Return the state of these weights, begun as the optimiser itself begins it."""
    fused = optimizer.param_groups[0].get("fused")
    wide = not fused and torch.get_default_dtype() == torch.float64
    found = []
    for weight in weights:
        own = optimizer.state[weight]
        if not own:
            step = torch.zeros((), dtype=torch.float64 if wide else torch.float32)
            own["step"] = step.to(weight.device) if fused else step
            own["exp_avg"] = torch.zeros_like(weight, requires_grad=False)
            own["exp_avg_sq"] = torch.zeros_like(weight, requires_grad=False)
        found.append(own)
    names = ("exp_avg", "exp_avg_sq", "step")
    return State(*([state[name] for state in found] for name in names))


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
