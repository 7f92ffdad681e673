"""Bandits: the smallest control tasks, whose optimum is known."""

from __future__ import annotations

import torch
from torch import Tensor

from metaskl_rl.families import TaskFamily, at_least
from metaskl_rl.policies import Parameters, Policy


class BanditTasks(TaskFamily):
    """Bernoulli bandits: a task is the chance of a reward of each arm, uniform in [0, 1].

    An episode is one pull; there is nothing to see (the observation is 1).

    Parameters
    ----------
    n_arms : int, default=5
        Arms, >= 2.

    Raises
    ------
    ParameterError
        If there are fewer.

    Examples
    --------
    >>> import torch
    >>> from metaskl_rl import BanditTasks
    >>> family = BanditTasks(2)
    >>> family.optimum(torch.tensor([[0.2, 0.7]])).tolist()
    [0.699999988079071]
    """

    n_observations = 1
    discrete = True
    horizon = 1

    def __init__(self, n_arms: int = 5) -> None:
        at_least(2, n_arms=n_arms)
        self.n_actions = n_arms

    def sample(self, n_tasks: int, generator: torch.Generator) -> Tensor:
        """Draw chances (task, arm)."""
        return torch.rand(n_tasks, self.n_actions, generator=generator)

    def reset(self, tasks: Tensor, n_episodes: int, generator: torch.Generator) -> Tensor:
        """Begin; there is but one state."""
        del generator
        return torch.ones(len(tasks), n_episodes, 1)

    def step(
        self, tasks: Tensor, state: Tensor, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pull an arm."""
        chance = tasks.gather(1, action)
        reward = (torch.rand(chance.shape, generator=generator) < chance).to(state)
        return state, reward, torch.ones_like(action, dtype=torch.bool)

    def observe(self, state: Tensor) -> Tensor:
        """Return 1."""
        return state

    def optimum(self, tasks: Tensor) -> Tensor:
        """Return the largest expected reward of each task (task,)."""
        return tasks.max(1).values

    def expected_return(self, tasks: Tensor, policy: Policy, parameters: Parameters) -> Tensor:
        """Return the expected reward of a policy in each task (task,), exactly."""
        seen = torch.ones(len(tasks), 1, 1).to(tasks)
        shares = torch.softmax(policy.outputs(parameters, seen)[:, 0], -1)
        return (shares * tasks).sum(-1)
