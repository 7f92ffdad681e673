"""Environments of gymnasium whose gravity, masses and lengths differ from task to task."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from metaskl.errors import ParameterError

Array = NDArray[np.float64]


class PhysicsTasks(abc.ABC):
    """A distribution over the physical constants of one environment of gymnasium.

    Parameters
    ----------
    ranges : dict of str to (float, float), optional
        From which each constant is drawn, uniformly; constants that are left out keep
        gymnasium's value. All are > 0.

    Attributes
    ----------
    constants : dict of str to (float, float)
        The default ranges.
    discrete : bool
        Whether there are two actions, 0 and 1, or an interval of one number.
    low, high : float
        The least and the largest action.

    Raises
    ------
    ParameterError
        If a constant is unknown or a range is empty or reaches 0.
    """

    constants: ClassVar[dict[str, tuple[float, float]]]
    discrete: bool
    low: float
    high: float

    def __init__(self, ranges: dict[str, tuple[float, float]] | None = None) -> None:
        self.ranges = dict(self.constants if ranges is None else ranges)
        if unknown := sorted(set(self.ranges) - set(self.constants)):
            raise ParameterError(f"ranges must be of {sorted(self.constants)}, got {unknown}.")
        for name, (low, high) in self.ranges.items():
            if not 0 < low <= high:
                raise ParameterError(f"ranges[{name!r}] must be 0 < low <= high, got {low, high}.")

    def sample(self, n_tasks: int, random_state: int = 0) -> list[dict[str, float]]:
        """Draw the constants of tasks.

        Parameters
        ----------
        n_tasks : int
            How many.
        random_state : int, default=0
            Seed.

        Returns
        -------
        list of dict of str to float
            The constants of each task by name.
        """
        rng = np.random.default_rng(random_state)
        return [
            {name: float(rng.uniform(*limits)) for name, limits in self.ranges.items()}
            for _ in range(n_tasks)
        ]

    @abc.abstractmethod
    def make(self, task: dict[str, float]) -> gymnasium.Env[Any, Any]:
        """Build the environment of a task."""

    @abc.abstractmethod
    def reward(self, observations: Array, actions: Array) -> Array:
        """Return what planning maximises: how good each row is, (row,)."""

    def tidied(self, observations: Array) -> Array:
        """Return predicted observations (row, number) put right where a law is known."""
        return observations


class PendulumTasks(PhysicsTasks):
    """gymnasium's ``Pendulum-v1`` with another gravity, mass and length in each task.

    An observation is (cos angle, sin angle, angular velocity), the action a torque in [−2, 2],
    the reward minus a cost of angle, velocity and torque.

    Parameters
    ----------
    ranges : dict of str to (float, float), optional
        Of ``"gravity"`` (5 to 15 m/s²), ``"mass"`` (0.6 to 1.4 kg) and ``"length"``
        (0.6 to 1.2 m).

    Examples
    --------
    >>> from metaskl_rl import PendulumTasks
    >>> family = PendulumTasks({"gravity": (5.0, 15.0)})
    >>> (task,) = family.sample(1)
    >>> family.make(task).unwrapped.g == task["gravity"]
    True
    """

    constants: ClassVar = {"gravity": (5.0, 15.0), "mass": (0.6, 1.4), "length": (0.6, 1.2)}
    discrete = False
    low, high = -2.0, 2.0

    def make(self, task: dict[str, float]) -> gymnasium.Env[Any, Any]:
        """Build the environment of a task."""
        env = gymnasium.make("Pendulum-v1", disable_env_checker=True)
        inner: Any = env.unwrapped
        inner.g = task.get("gravity", inner.g)
        inner.m = task.get("mass", inner.m)
        inner.l = task.get("length", inner.l)
        return env

    def reward(self, observations: Array, actions: Array) -> Array:
        """Return gymnasium's reward, of the state that is reached."""
        angle = np.arctan2(observations[:, 1], observations[:, 0])
        found: Array = -(angle**2 + 0.1 * observations[:, 2] ** 2 + 0.001 * actions**2)
        return found

    def tidied(self, observations: Array) -> Array:
        """Return to the unit circle, and keep gymnasium's limit of the velocity, 8."""
        circle, velocity = observations[:, :2], observations[:, 2:]
        radius = np.linalg.norm(circle, axis=1, keepdims=True)
        return np.hstack([circle / np.maximum(radius, 1e-6), velocity.clip(-8, 8)])


class CartPoleTasks(PhysicsTasks):
    """gymnasium's ``CartPole-v1`` with another gravity, mass, length and force in each task.

    An observation is (position, velocity, angle, angular velocity), the action a push to the
    left or right, the reward 1 until the pole falls or the cart leaves.

    Parameters
    ----------
    ranges : dict of str to (float, float), optional
        Of ``"gravity"`` (5 to 20 m/s²), ``"mass"`` of the pole (0.05 to 0.5 kg), ``"length"``
        of half the pole (0.2 to 1 m) and ``"force"`` (4 to 20 N).

    Examples
    --------
    >>> from metaskl_rl import CartPoleTasks
    >>> family = CartPoleTasks()
    >>> env = family.make({"mass": 0.5}).unwrapped
    >>> round(env.total_mass, 6)  # with the cart's, 1
    1.5
    """

    constants: ClassVar = {
        "gravity": (5.0, 20.0),
        "mass": (0.05, 0.5),
        "length": (0.2, 1.0),
        "force": (4.0, 20.0),
    }
    discrete = True
    low, high = 0.0, 1.0

    def make(self, task: dict[str, float]) -> gymnasium.Env[Any, Any]:
        """Build the environment of a task."""
        env = gymnasium.make("CartPole-v1", disable_env_checker=True)
        inner: Any = env.unwrapped
        inner.gravity = task.get("gravity", inner.gravity)
        inner.masspole = task.get("mass", inner.masspole)
        inner.length = task.get("length", inner.length)
        inner.force_mag = task.get("force", inner.force_mag)
        # What gymnasium derives from them once, when it is built.
        inner.total_mass = inner.masspole + inner.masscart
        inner.polemass_length = inner.masspole * inner.length
        return env

    def reward(self, observations: Array, actions: Array) -> Array:
        """Return 1 less the squared share of the angle and position that are allowed.

        A state in which the episode has ended is worth −10.
        """
        del actions
        position, angle = observations[:, 0] / 2.4, observations[:, 2] / 0.2095
        fallen = (np.abs(position) > 1) | (np.abs(angle) > 1)
        return np.where(fallen, -10.0, 1.0 - angle**2 - 0.5 * position**2)
