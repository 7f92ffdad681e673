"""A point that moves in the plane to a goal that it does not see."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metaskl_rl.families import TaskFamily, at_least

SPEED = 0.1  # the furthest that a step goes along each axis
_NEAR = 0.01  # an episode ends where both coordinates are nearer than that


class NavigationTasks(TaskFamily):
    """Two-dimensional navigation: a task is a goal, drawn from the square [−0.5, 0.5]² [1]_.

    The point is observed, the goal is not. An action is a velocity, in units of the largest, 0.1,
    to which it is cut. The reward is minus the distance to the goal, as in the
    published program; the published text has its square.

    Parameters
    ----------
    horizon : int, default=100
        Steps of an episode at most, >= 1; it ends early within 0.01 of the goal.
    squared : bool, default=False
        Whether the reward is minus the squared distance.

    Raises
    ------
    ParameterError
        If `horizon` is below 1.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation of
       Deep Networks. ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from metaskl_rl import NavigationTasks
    >>> family, chance = NavigationTasks(), torch.Generator()
    >>> goal = torch.tensor([[0.3, 0.4]])
    >>> state = family.reset(goal, 1, chance)
    >>> state, reward, done = family.step(goal, state, torch.tensor([[[0.0, 0.0]]]), chance)
    >>> reward.tolist(), done.tolist()
    ([[-0.5]], [[False]])
    """

    n_observations = 2
    n_actions = 2
    discrete = False

    def __init__(self, horizon: int = 100, *, squared: bool = False) -> None:
        at_least(1, horizon=horizon)
        self.horizon = horizon
        self.squared = squared

    def sample(self, n_tasks: int, generator: torch.Generator) -> Tensor:
        """Draw goals (task, 2)."""
        return torch.rand(n_tasks, 2, generator=generator) - 0.5

    def reset(self, tasks: Tensor, n_episodes: int, generator: torch.Generator) -> Tensor:
        """Begin at the origin."""
        del generator
        return torch.zeros(len(tasks), n_episodes, 2)

    def step(
        self, tasks: Tensor, state: Tensor, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Move, and measure the distance to the goal."""
        del generator
        state = state + SPEED * action.clamp(-1, 1)
        off = state - tasks[:, None]
        square = (off**2).sum(-1)
        reward = -square if self.squared else -square.sqrt()
        return state, reward, (off.abs() < _NEAR).all(-1)

    def observe(self, state: Tensor) -> Tensor:
        """Return where the point is."""
        return state

    def optimum(self, tasks: Tensor) -> Tensor:
        """Return the return (task,) of who knows the goal and moves to it along both axes."""
        steps = SPEED * torch.arange(1, self.horizon + 1)
        left = (tasks.abs()[:, :, None] - steps).clamp_min(0.0)
        square = (left**2).sum(1)
        return -(square if self.squared else square.sqrt()).sum(1)


class NavigationEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One task of :class:`NavigationTasks` as an environment of gymnasium.

    Parameters
    ----------
    goal : sequence of two floats
        In the plane.
    family : NavigationTasks, optional
        Horizon and reward; the published ones by default.

    Examples
    --------
    >>> from metaskl_rl import NavigationEnv
    >>> env = NavigationEnv((0.0, 0.1))
    >>> observation, _ = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, _ = env.step([0.0, 1.0])
    >>> terminated, truncated
    (True, False)
    """

    def __init__(self, goal: Any, family: NavigationTasks | None = None) -> None:
        self.family = family or NavigationTasks()
        self.goal = torch.as_tensor(goal, dtype=torch.float32).reshape(1, 2)
        furthest = SPEED * self.family.horizon
        self.observation_space = gymnasium.spaces.Box(-furthest, furthest, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._chance = torch.Generator()
        self._state = torch.zeros(1, 1, 2)
        self._n_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode at the origin."""
        super().reset(seed=seed, options=options)
        self._state, self._n_steps = self.family.reset(self.goal, 1, self._chance), 0
        return self._observed(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move once."""
        act = torch.as_tensor(action, dtype=torch.float32).reshape(1, 1, 2)
        self._state, reward, done = self.family.step(self.goal, self._state, act, self._chance)
        self._n_steps += 1
        late = self._n_steps >= self.family.horizon
        return self._observed(), float(reward), bool(done), late, {}

    def _observed(self) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.family.observe(self._state)[0, 0].numpy().copy()
        return found
