"""Episodes of many tasks at once, and how much better than expected each action was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaskl_rl.families import TaskFamily
from metaskl_rl.policies import Parameters, Policy

# Of the ridge regression that predicts returns, relative to the mean square of a feature.
_RIDGE = 1e-5


@dataclass(frozen=True)
class Rollouts:
    """Episodes, cut off where they ended.

    Attributes
    ----------
    observations : Tensor of shape (task, episode, step, number)
        What was seen before each step.
    actions : Tensor of shape (task, episode, step, ...)
        What was done.
    rewards : Tensor of shape (task, episode, step)
        What it brought; 0 after the end.
    alive : Tensor of shape (task, episode, step)
        1 up to the end of the episode, then 0.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    alive: Tensor

    def returns(self) -> Tensor:
        """Return the undiscounted sum of rewards of each episode, (task, episode)."""
        return self.rewards.sum(-1)

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return observations, actions and `alive` as rows of a task, (task, row, ...)."""
        return (
            self.observations.flatten(1, 2),
            self.actions.flatten(1, 2),
            self.alive.flatten(1, 2),
        )

    def first(self, n_episodes: int) -> Rollouts:
        """Keep the first episodes of each task."""
        kept = slice(None), slice(n_episodes)
        return Rollouts(
            self.observations[kept], self.actions[kept], self.rewards[kept], self.alive[kept]
        )


@torch.no_grad()
def roll_out(
    family: TaskFamily,
    tasks: Tensor,
    policy: Policy,
    parameters: Parameters,
    n_episodes: int,
    generator: torch.Generator,
) -> Rollouts:
    """Act in all tasks, each with its own parameters of the policy.

    Parameters
    ----------
    family : TaskFamily
        What is acted in.
    tasks : Tensor of shape (task, ...)
        Parameters of the tasks.
    policy : Policy
        How to act.
    parameters : dict of Tensor
        With a leading task axis.
    n_episodes : int
        For each task.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Rollouts
        The episodes.
    """
    state = family.reset(tasks, n_episodes, generator)
    alive = torch.ones(state.shape[:2])
    steps = []
    for _ in range(family.horizon):
        observed = family.observe(state)
        action = policy.draw(parameters, observed, generator)
        state, reward, done = family.step(tasks, state, action, generator)
        steps.append((observed, action, reward * alive, alive))
        alive = alive * (~done).to(alive)
    return Rollouts(*(torch.stack(parts, dim=2) for parts in zip(*steps, strict=True)))


def advantages(rollouts: Rollouts, discount: float = 0.99) -> Tensor:
    """Return how much better than expected each step was, standardised within its task.

    What is expected is a linear function of the observation, its square and the time, fitted
    to the returns of the task's own episodes [1]_.

    Parameters
    ----------
    rollouts : Rollouts
        Episodes.
    discount : float, default=0.99
        What a reward one step later is worth, in (0, 1].

    Returns
    -------
    Tensor of shape (task, episode, step)
        0 after the end of an episode.

    References
    ----------
    .. [1] Y. Duan, X. Chen, R. Houthooft, J. Schulman, P. Abbeel. Benchmarking Deep
       Reinforcement Learning for Continuous Control. ICML 2016.
    """
    to_come = torch.zeros_like(rollouts.rewards)
    later = torch.zeros_like(rollouts.rewards[..., 0])
    for t in reversed(range(rollouts.rewards.shape[-1])):
        later = rollouts.rewards[..., t] + discount * later
        to_come[..., t] = later
    better = to_come - _expected(rollouts, to_come)
    alive = rollouts.alive
    count = alive.sum((1, 2), keepdim=True).clamp_min(1.0)
    centred = (better - (better * alive).sum((1, 2), keepdim=True) / count) * alive
    spread = (centred**2).sum((1, 2), keepdim=True) / count
    return centred / (spread.sqrt() + 1e-8)


def _expected(rollouts: Rollouts, to_come: Tensor) -> Tensor:
    """Predict returns by ridge regression in each task."""
    seen = rollouts.observations.clamp(-10, 10)
    n_steps = seen.shape[2]
    time = (torch.arange(n_steps) / 100.0).to(seen).expand(*seen.shape[:3])[..., None]
    parts = [seen, seen**2, time, time**2, time**3, torch.ones_like(time)]
    features = torch.cat(parts, -1) * rollouts.alive[..., None]
    rows = features.flatten(1, 2).double()
    target = (to_come * rollouts.alive).flatten(1, 2).double()
    products = rows.mT @ rows
    size = products.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-12)
    held = _RIDGE * size[:, None, None] * torch.eye(rows.shape[-1], dtype=rows.dtype)
    weights = torch.linalg.solve(products + held, (rows.mT @ target[..., None]))
    found: Tensor = (rows @ weights)[..., 0].to(to_come)
    return found.reshape(to_come.shape)
