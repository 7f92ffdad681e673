"""What a policy would have gained on episodes that were played, and a step up it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaskl_rl.policies import Parameters, Policy
from metaskl_rl.rollouts import Rollouts, advantages


@dataclass(frozen=True)
class Collected:
    """Episodes as rows, with what a surrogate of their value needs.

    Attributes
    ----------
    observations, actions : Tensor of shape (task, row, ...)
        What was seen and done.
    weight : Tensor of shape (task, row)
        0 after the end of an episode.
    advantage : Tensor of shape (task, row)
        How much better than expected it went.
    log_old : Tensor of shape (task, row)
        log π(a | s) of the policy that acted.
    """

    observations: Tensor
    actions: Tensor
    weight: Tensor
    advantage: Tensor
    log_old: Tensor


def collected(
    policy: Policy, parameters: Parameters, rollouts: Rollouts, discount: float
) -> Collected:
    """Prepare episodes that were played with these parameters."""
    observations, actions, weight = rollouts.rows()
    value = advantages(rollouts, discount).flatten(1, 2)
    with torch.no_grad():
        log_old = policy.log_probability(parameters, observations, actions)
    return Collected(observations, actions, weight, value, log_old)


def surrogate(policy: Policy, parameters: Parameters, rows: Collected) -> Tensor:
    """Return the mean advantage of each task (task,), weighted by likelihood ratios.

    At the policy that acted its slope is, in expectation and but for the scale of the advantages,
    that of the mean reward. Its second derivatives leave out the products of different
    steps' scores: of episodes of one step they are exact, of longer ones the estimate of low
    variance of Rothfuss et al. (ProMP, ICLR 2019), exact only where the return is at its best.
    """
    logs = policy.log_probability(parameters, rows.observations, rows.actions)
    gained = torch.exp(logs - rows.log_old) * rows.advantage * rows.weight
    return gained.sum(-1) / rows.weight.sum(-1).clamp_min(1.0)


def ascended(
    policy: Policy,
    current: Parameters,
    rates: Parameters,
    rows: Collected,
    *,
    second_order: bool = True,
) -> Parameters:
    """Return the parameters one step further up, as a differentiable function of them.

    Parameters
    ----------
    policy : Policy
        What the parameters are of.
    current : dict of Tensor
        Parameters with a task axis that require gradients.
    rates : dict of Tensor
        Step sizes, without a task axis.
    rows : Collected
        What was played.
    second_order : bool, default=True
        Whether the step's own slope depends on the parameters.

    Returns
    -------
    dict of Tensor
        With a task axis.
    """
    with torch.enable_grad():
        value = surrogate(policy, current, rows).sum()
        slopes = torch.autograd.grad(value, list(current.values()), create_graph=second_order)
        moved = zip(current.items(), slopes, strict=True)
        return {name: value + rates[name] * slope for (name, value), slope in moved}


def adapted(policy: Policy, current: Parameters, rates: Parameters, rows: Collected) -> Parameters:
    """Return the parameters one step further up, cut off from where they come from."""
    free = {name: value.detach().requires_grad_() for name, value in current.items()}
    further = ascended(policy, free, rates, rows, second_order=False)
    return {name: value.detach() for name, value in further.items()}
