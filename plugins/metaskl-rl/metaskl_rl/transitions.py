"""Transitions of environments as tables: from them dynamics are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from metaskl_rl.families import at_least
from metaskl_rl.physics import Array, PhysicsTasks


def collect(
    env: gymnasium.Env[Any, Any], n_steps: int, *, restart_every: int = 10, random_state: int = 0
) -> tuple[Array, Array]:
    """Act at random, and write down what happens.

    Parameters
    ----------
    env : gymnasium.Env
        Observations and actions of numbers, or actions to choose from.
    n_steps : int
        Transitions, >= 1.
    restart_every : int, default=10
        Steps after which an episode is begun anew, >= 1, if it has not ended before.
    random_state : int, default=0
        Seed.

    Returns
    -------
    X : ndarray of shape (n_steps, n_observations + n_action_numbers)
        Observation and action.
    y : ndarray of shape (n_steps, n_observations)
        By how much the observation changed.

    Raises
    ------
    ParameterError
        If a number is below 1.

    Examples
    --------
    >>> import gymnasium
    >>> from metaskl_rl import collect
    >>> X, y = collect(gymnasium.make("Pendulum-v1"), 5)
    >>> X.shape, y.shape
    ((5, 4), (5, 3))
    """
    at_least(1, n_steps=n_steps, restart_every=restart_every)
    env.action_space.seed(random_state)
    observed, _ = env.reset(seed=random_state)
    X, y, age = [], [], 0
    for _ in range(n_steps):
        action = env.action_space.sample()
        reached, _, terminated, truncated, _ = env.step(action)
        X.append(np.concatenate([np.ravel(observed), np.ravel(action)]))
        y.append(np.ravel(reached) - np.ravel(observed))
        age += 1
        if terminated or truncated or age >= restart_every:
            (reached, _), age = env.reset(), 0
        observed = reached
    return np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)


def transition_table(
    family: PhysicsTasks,
    tasks: Sequence[dict[str, float]],
    n_steps: int,
    *,
    restart_every: int = 10,
    random_state: int = 0,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Collect transitions of several tasks.

    Parameters
    ----------
    family : PhysicsTasks
        What the tasks are of.
    tasks : sequence of dict
        Their constants.
    n_steps : int
        Transitions of each.
    restart_every : int, default=10
        See :func:`collect`.
    random_state : int, default=0
        Seed; each task is seeded by it and its number.

    Returns
    -------
    X, y : ndarray
        As of :func:`collect`, one task after the other.
    groups : ndarray of shape (n_tasks * n_steps,)
        Number of the task of each row.
    """
    seeds = np.random.default_rng(random_state).integers(2**31, size=len(tasks))
    parts = []
    for task, seed in zip(tasks, seeds, strict=True):
        with family.make(task) as env:
            parts.append(collect(env, n_steps, restart_every=restart_every, random_state=int(seed)))
    X, y = (np.concatenate(side) for side in zip(*parts, strict=True))
    return X, y, np.repeat(np.arange(len(tasks)), n_steps)
