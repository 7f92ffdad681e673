"""Model-predictive control: plan a few steps ahead with a model, act once, plan again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from metaskl.errors import ParameterError
from metaskl_rl.physics import Array, PhysicsTasks

_METHODS = ("cem", "shooting")
# The most that a model may change a number in one step.
_FURTHEST = 1e3


class ModelPredictiveControl:
    """Choose actions by trying sequences of them on a model of the dynamics [1]_.

    Parameters
    ----------
    family : PhysicsTasks
        Which actions there are, and how good a state is.
    model : object with ``predict``
        Any regressor from (observation, action) to the change of the observation, such as an
        adapted ``MetaRegressor``; the true one makes an upper bound.
    horizon : int, default=15
        Steps ahead, >= 1.
    method : {"cem", "shooting"}, default="cem"
        Draw sequences at random and take the best (shooting), or draw again around the best of
        them, `n_iterations` times (the cross-entropy method [2]_).
    n_candidates : int, default=64
        Sequences of each draw.
    n_elite : int, default=8
        The best ones around which the next are drawn.
    n_iterations : int, default=3
        Draws of the cross-entropy method.
    random_state : int, default=0
        Seed.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] A. Nagabandi, G. Kahn, R. S. Fearing, S. Levine. Neural Network Dynamics for
       Model-Based Deep Reinforcement Learning with Model-Free Fine-Tuning. ICRA 2018.
    .. [2] Z. I. Botev, D. P. Kroese, R. Y. Rubinstein, P. L'Ecuyer. The Cross-Entropy Method
       for Optimization. Handbook of Statistics 31, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_rl import ModelPredictiveControl, PendulumTasks, TrueDynamics
    >>> family = PendulumTasks()
    >>> control = ModelPredictiveControl(family, TrueDynamics(family, {"mass": 0.8}), horizon=5)
    >>> action = control.act(np.array([[1.0, 0.0, 2.0]]))  # upright, and turning
    >>> bool(action[0] < 0)
    True
    """

    def __init__(
        self,
        family: PhysicsTasks,
        model: Any,
        *,
        horizon: int = 15,
        method: str = "cem",
        n_candidates: int = 64,
        n_elite: int = 8,
        n_iterations: int = 3,
        random_state: int = 0,
    ) -> None:
        if method not in _METHODS:
            raise ParameterError(f"method must be one of {_METHODS}, got {method!r}.")
        if min(horizon, n_iterations, n_elite) < 1 or n_candidates < n_elite:
            raise ParameterError(
                "horizon, n_iterations and n_elite must be at least 1 and n_candidates at least "
                f"n_elite, got {horizon}, {n_iterations}, {n_elite} and {n_candidates}."
            )
        self.family = family
        self.model = model
        self.horizon = horizon
        self.method = method
        self.n_candidates = n_candidates
        self.n_elite = n_elite
        self.n_iterations = n_iterations if method == "cem" else 1
        self._rng = np.random.default_rng(random_state)
        self._plan: Array | None = None

    def forget(self) -> None:
        """Forget the last plan, since other episodes begin."""
        self._plan = None

    def act(self, observations: Array) -> Array:
        """Choose the next action of several episodes, each where its last plan left off.

        Parameters
        ----------
        observations : ndarray of shape (episode, number)
            Where they are.

        Returns
        -------
        ndarray of shape (episode,)
            What to do.

        Raises
        ------
        ValueError
            If there are more or fewer episodes than the plan is of.
        """
        if self._plan is not None and len(self._plan) != len(observations):
            raise ValueError(
                f"The plan is of {len(self._plan)} episodes, got observations of "
                f"{len(observations)}; call forget() before other episodes begin."
            )
        n, family = len(observations), self.family
        middle, width = (family.low + family.high) / 2, (family.high - family.low) / 2
        mean = np.full((n, self.horizon), middle) if self._plan is None else self._plan
        spread = np.full((n, self.horizon), width)
        best, best_value = mean, np.full(n, -np.inf)
        for _ in range(self.n_iterations):
            drawn = self._draw(mean, spread)
            values = self._values(observations, drawn)
            order = np.argsort(-values, axis=1)[:, : self.n_elite, None]
            elite = np.take_along_axis(drawn, order, axis=1)
            top = np.take_along_axis(values, order[:, :1, 0], axis=1)[:, 0]
            better = top > best_value
            best = np.where(better[:, None], elite[:, 0], best)
            best_value = np.maximum(top, best_value)
            mean, spread = elite.mean(1), elite.std(1) + 0.05 * width
        later = np.full((n, 1), middle)
        self._plan = np.hstack([(mean if self.method == "cem" else later + 0 * mean)[:, 1:], later])
        chosen: Array = best[:, 0]
        return chosen

    def _draw(self, mean: Array, spread: Array) -> Array:
        """Draw sequences (episode, candidate, step)."""
        shape = len(mean), self.n_candidates, self.horizon
        low, high = self.family.low, self.family.high
        if self.family.discrete:  # the mean is the chance of action 1
            chance = mean.clip(0.05, 0.95)[:, None]
            return (self._rng.random(shape) < chance).astype(np.float64)
        if self.method == "shooting":
            return self._rng.uniform(low, high, shape)
        noise = self._rng.standard_normal(shape)
        return (mean[:, None] + spread[:, None] * noise).clip(low, high)

    def _values(self, observations: Array, sequences: Array) -> Array:
        """Return the sum of rewards along each sequence, by the model, (episode, candidate)."""
        n, n_candidates, horizon = sequences.shape
        at = np.repeat(observations, n_candidates, axis=0)
        rows, total = sequences.reshape(-1, horizon), np.zeros(n * n_candidates)
        for t in range(horizon):
            change = self.model.predict(np.hstack([at, rows[:, t : t + 1]]))
            # A poor model may run away; it must not overflow.
            at = self.family.tidied(at + np.nan_to_num(change).clip(-_FURTHEST, _FURTHEST))
            total += self.family.reward(at, rows[:, t])
        return total.reshape(n, n_candidates)


class TrueDynamics:
    """The environment itself as a model: what planning reaches with perfect knowledge.

    Parameters
    ----------
    family : PhysicsTasks
        Pendulum or cart and pole.
    task : dict of str to float
        Its constants.
    """

    def __init__(self, family: PhysicsTasks, task: dict[str, float]) -> None:
        with family.make(task) as env:  # of which the constants are wanted
            self._env: Any = env.unwrapped
        self._cart = family.discrete

    def predict(self, X: Array) -> Array:
        """Return the changes (row, number) for observations and actions (row, number)."""
        return (self._cart_pole if self._cart else self._pendulum)(X)

    def _pendulum(self, X: Array) -> Array:
        env, (cosine, sine, velocity, torque) = self._env, X.T
        push = 3 * env.g / (2 * env.l) * sine + 3 / (env.m * env.l**2) * torque
        new = (velocity + env.dt * push).clip(-8, 8)
        angle = np.arctan2(sine, cosine) + env.dt * new
        reached = np.column_stack([np.cos(angle), np.sin(angle), new])
        return reached - X[:, :3]

    def _cart_pole(self, X: Array) -> Array:
        env, (_, velocity, angle, turning, action) = self._env, X.T
        sine, cosine = np.sin(angle), np.cos(angle)
        force = env.force_mag * (2 * action - 1)
        push = (force + env.polemass_length * turning**2 * sine) / env.total_mass
        inertia = env.length * (4 / 3 - env.masspole * cosine**2 / env.total_mass)
        turn = (env.gravity * sine - cosine * push) / inertia
        move = push - env.polemass_length * turn * cosine / env.total_mass
        change: Array = env.tau * np.column_stack([velocity, move, turning, turn])
        return change


def control_returns(
    family: PhysicsTasks,
    task: dict[str, float],
    control: ModelPredictiveControl,
    *,
    n_episodes: int = 4,
    n_steps: int = 200,
    random_state: int = 0,
) -> Array:
    """Control the environment of a task, and add up what it rewards.

    Parameters
    ----------
    family : PhysicsTasks
        What the task is of.
    task : dict of str to float
        Its constants.
    control : ModelPredictiveControl
        How to act; it begins without a plan.
    n_episodes : int, default=4
        Episodes, played side by side.
    n_steps : int, default=200
        Steps of each at most.
    random_state : int, default=0
        Seed of where they begin.

    Returns
    -------
    ndarray of shape (n_episodes,)
        Undiscounted returns.
    """
    control.forget()
    total, alive = np.zeros(n_episodes), np.ones(n_episodes, dtype=bool)
    with ExitStack() as opened:
        envs = [opened.enter_context(family.make(task)) for _ in range(n_episodes)]
        at = [env.reset(seed=random_state + i)[0] for i, env in enumerate(envs)]
        for _ in range(n_steps):
            if not alive.any():
                break
            actions = control.act(np.asarray(at, dtype=np.float64))
            for i in np.flatnonzero(alive):
                act = int(actions[i]) if family.discrete else np.array([actions[i]], np.float32)
                at[i], reward, terminated, truncated, _ = envs[i].step(act)
                total[i] += float(reward)
                alive[i] = not (terminated or truncated)
    return total
