"""Small Markov decision processes that are solved exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from metaskl_rl.families import TaskFamily, at_least
from metaskl_rl.policies import Parameters, Policy


class TabularTasks(TaskFamily):
    """Random Markov decision processes: a task is its rewards and its chances [1]_.

    From each state and action the chances of the next state are drawn from a flat Dirichlet
    distribution, and the mean reward from N(1, 1); a reward has unit variance. All episodes
    begin in state 0. The state is seen.

    Parameters
    ----------
    n_states, n_actions : int, default=10, 5
        How many, >= 2.
    horizon : int, default=10
        Steps of an episode, >= 1.

    Raises
    ------
    ParameterError
        If a number is too small.

    References
    ----------
    .. [1] Y. Duan, J. Schulman, X. Chen, P. L. Bartlett, I. Sutskever, P. Abbeel. RL²: Fast
       Reinforcement Learning via Slow Reinforcement Learning. arXiv 1611.02779, 2016.

    Examples
    --------
    >>> import torch
    >>> from metaskl_rl import TabularTasks
    >>> family = TabularTasks(n_states=2, n_actions=2, horizon=3)
    >>> stay = torch.eye(2)[:, None].expand(2, 2, 2)  # no action moves; they bring 1 or 2
    >>> task = torch.cat([stay, torch.tensor([[1.0, 2.0]] * 2)[..., None]], -1)
    >>> family.optimum(task[None]).tolist()
    [6.0]
    """

    discrete = True

    def __init__(self, n_states: int = 10, n_actions: int = 5, horizon: int = 10) -> None:
        at_least(2, n_states=n_states, n_actions=n_actions)
        at_least(1, horizon=horizon)
        self.n_observations = n_states
        self.n_actions = n_actions
        self.horizon = horizon

    def sample(self, n_tasks: int, generator: torch.Generator) -> Tensor:
        """Draw chances and mean rewards, side by side: (task, state, action, state + 1)."""
        shape = n_tasks, self.n_observations, self.n_actions, self.n_observations
        # A flat Dirichlet draw is a row of exponential ones over their sum.
        draws = -torch.log(torch.rand(shape, generator=generator).clamp_min(1e-30))
        rewards = 1 + torch.randn(*shape[:3], 1, generator=generator)
        return torch.cat([draws / draws.sum(-1, keepdim=True), rewards], -1)

    def reset(self, tasks: Tensor, n_episodes: int, generator: torch.Generator) -> Tensor:
        """Begin in state 0."""
        del generator
        return torch.zeros(len(tasks), n_episodes, dtype=torch.long)

    def step(
        self, tasks: Tensor, state: Tensor, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the next state and the reward."""
        which = torch.arange(len(tasks))[:, None]
        rows = tasks[which, state, action]
        chances, mean = rows[..., :-1], rows[..., -1]
        reached = torch.multinomial(chances.flatten(0, 1), 1, generator=generator)
        reward = mean + torch.randn(mean.shape, generator=generator)
        return reached.reshape(state.shape), reward, torch.zeros_like(state, dtype=torch.bool)

    def observe(self, state: Tensor) -> Tensor:
        """Return the state, one-hot."""
        return torch.eye(self.n_observations)[state]

    def optimum(self, tasks: Tensor) -> Tensor:
        """Return the largest expected return of each task (task,): backward induction."""
        return self._value(tasks, None)

    def expected_return(self, tasks: Tensor, policy: Policy, parameters: Parameters) -> Tensor:
        """Return the expected return of a policy in each task (task,), exactly."""
        states = torch.eye(self.n_observations).to(tasks).expand(len(tasks), -1, -1)
        return self._value(tasks, torch.softmax(policy.outputs(parameters, states), -1))

    def _value(self, tasks: Tensor, shares: Tensor | None) -> Tensor:
        """Return the value of state 0 under these shares of actions, or the best ones."""
        chances, rewards = tasks[..., :-1], tasks[..., -1]
        value = torch.zeros_like(rewards[..., 0])
        for _ in range(self.horizon):
            worth = rewards + (chances @ value[:, None, :, None])[..., 0]
            value = worth.max(-1).values if shares is None else (shares * worth).sum(-1)
        return value[:, 0]
