"""Synthetic task families whose truth is known in closed form."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.tasks.taskset import TaskSet

Array = npt.NDArray[np.float64]
Seed = int | np.random.Generator | None


@dataclass(frozen=True)
class TaskSample:
    """Tasks drawn from a family, in the form of a table.

    Attributes
    ----------
    X : ndarray of shape (n_tasks * n_rows, n_features)
        Features.
    y : ndarray of shape (n_tasks * n_rows,)
        Targets (numbers) or classes (integers).
    groups : ndarray of shape (n_tasks * n_rows,)
        Task numbers from 0.
    parameters : dict of ndarray
        What defines each task; each array has the tasks along its first axis.
    truth : callable
        ``truth(task, X)`` is the noise-free target (regression), or the probabilities of
        the classes (classification), at the rows `X` of task number `task`.
    """

    X: Array
    y: npt.NDArray[Any]
    groups: npt.NDArray[np.int64]
    parameters: dict[str, Array]
    truth: Callable[[int, Array], Array]

    def task_set(self) -> TaskSet:
        """Return the sample as a task set."""
        return TaskSet.from_arrays(self.X, self.y, self.groups)


class TaskFamily(abc.ABC):
    """A distribution over tasks."""

    @abc.abstractmethod
    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw `n_tasks` tasks of `n_rows` rows each."""


def _groups(n_tasks: int, n_rows: int) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(n_tasks), n_rows)


class SinusoidTasks(TaskFamily):
    """Sine waves: y = a sin(f x − φ) + noise, x uniform in [−5, 5].

    Family A (the default) has the fixed frequency 1, an amplitude a uniform in [0.1, 5] and
    a phase φ uniform in [0, π] [1]_. Family B draws the frequency too, uniform in
    [0.8, 1.2] [2]_: ``SinusoidTasks(frequency=(0.8, 1.2))``. Figures of the two must not
    be mixed.

    Parameters
    ----------
    amplitude, phase, frequency : tuple of two float
        Ranges of the uniform draws.
    noise : float, default=0.0
        Standard deviation of Gaussian noise on the targets.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation
       of Deep Networks. ICML 2017.
    .. [2] Z. Li, F. Zhou, F. Chen, H. Li. Meta-SGD: Learning to Learn Quickly for Few-Shot
       Learning. arXiv 2017.

    Examples
    --------
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(2, 5, random_state=0)
    >>> waves.X.shape, bool(abs(waves.truth(1, waves.X[5:]) - waves.y[5:]).max() < 1e-12)
    ((10, 1), True)
    """

    def __init__(
        self,
        *,
        amplitude: tuple[float, float] = (0.1, 5.0),
        phase: tuple[float, float] = (0.0, np.pi),
        frequency: tuple[float, float] = (1.0, 1.0),
        noise: float = 0.0,
    ) -> None:
        self.amplitude = amplitude
        self.phase = phase
        self.frequency = frequency
        self.noise = noise

    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw sine waves."""
        rng = np.random.default_rng(random_state)
        ranges = {
            "amplitude": self.amplitude,
            "phase": self.phase,
            "frequency": self.frequency,
        }
        drawn = {name: rng.uniform(low, high, n_tasks) for name, (low, high) in ranges.items()}

        def truth(task: int, X: Array) -> Array:
            angle = drawn["frequency"][task] * X[:, 0] - drawn["phase"][task]
            value: Array = drawn["amplitude"][task] * np.sin(angle)
            return value

        X = rng.uniform(-5, 5, size=(n_tasks, n_rows, 1))
        angle = drawn["frequency"][:, None] * X[..., 0] - drawn["phase"][:, None]
        y = drawn["amplitude"][:, None] * np.sin(angle)
        y = y + self.noise * rng.standard_normal(y.shape)
        return TaskSample(X.reshape(-1, 1), y.ravel(), _groups(n_tasks, n_rows), drawn, truth)


class LinearTasks(TaskFamily):
    """Lines around a common one: y = x'(w₀ + τ w_t) + b_t + noise, everything standard normal.

    Parameters
    ----------
    n_features : int, default=3
        Features.
    spread : float, default=1.0
        τ, the standard deviation of the tasks' coefficients around the common ones.
    noise : float, default=0.1
        Standard deviation of the noise.

    Examples
    --------
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks(n_features=2, noise=0.0).sample(3, 4, random_state=0)
    >>> lines.parameters["coef"].shape
    (3, 2)
    """

    def __init__(self, *, n_features: int = 3, spread: float = 1.0, noise: float = 0.1) -> None:
        self.n_features = n_features
        self.spread = spread
        self.noise = noise

    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw lines."""
        rng = np.random.default_rng(random_state)
        common = rng.standard_normal(self.n_features)
        coef = common + self.spread * rng.standard_normal((n_tasks, self.n_features))
        intercept = self.spread * rng.standard_normal(n_tasks)

        def truth(task: int, X: Array) -> Array:
            value: Array = X @ coef[task] + intercept[task]
            return value

        X = rng.standard_normal((n_tasks, n_rows, self.n_features))
        y = np.einsum("trf,tf->tr", X, coef) + intercept[:, None]
        y = y + self.noise * rng.standard_normal(y.shape)
        drawn = {"coef": coef, "intercept": intercept, "common": np.tile(common, (n_tasks, 1))}
        X = X.reshape(-1, self.n_features)
        return TaskSample(X, y.ravel(), _groups(n_tasks, n_rows), drawn, truth)


class GaussianProcessTasks(TaskFamily):
    """Functions drawn from a Gaussian process with a squared-exponential kernel.

    ``k(x, x') = s² exp(−|x − x'|² / (2 l²))``, x uniform in [−2, 2]. The truth at new rows is
    the function's own value: drawn jointly with the rows, it is interpolated by the exact
    noise-free posterior mean given the task's rows. :meth:`posterior_mean` is the best any
    learner can do from a support.

    Parameters
    ----------
    n_features : int, default=1
        Features.
    length_scale, scale : float, default=0.5, 1.0
        l and s of the kernel.
    noise : float, default=0.05
        Standard deviation of the noise on the targets.

    Examples
    --------
    >>> from metaskl.tasks import GaussianProcessTasks
    >>> family = GaussianProcessTasks()
    >>> draw = family.sample(2, 8, random_state=0)
    >>> family.posterior_mean(draw.X[:4], draw.y[:4], draw.X[4:8]).shape
    (4,)
    """

    def __init__(
        self,
        *,
        n_features: int = 1,
        length_scale: float = 0.5,
        scale: float = 1.0,
        noise: float = 0.05,
    ) -> None:
        self.n_features = n_features
        self.length_scale = length_scale
        self.scale = scale
        self.noise = noise

    def kernel(self, A: Array, B: Array) -> Array:
        """Return the prior covariance between the rows of `A` and of `B`."""
        distance = ((A[..., :, None, :] - B[..., None, :, :]) ** 2).sum(-1)
        covariance: Array = self.scale**2 * np.exp(-distance / (2 * self.length_scale**2))
        return covariance

    def posterior_mean(self, X_support: Array, y_support: Array, X_query: Array) -> Array:
        """Return the exact posterior mean at `X_query` given a support."""
        K = self.kernel(X_support, X_support) + self.noise**2 * np.eye(len(X_support))
        return self.kernel(X_query, X_support) @ np.linalg.solve(K, y_support)

    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw functions at random rows."""
        rng = np.random.default_rng(random_state)
        X = rng.uniform(-2, 2, size=(n_tasks, n_rows, self.n_features))
        K = self.kernel(X, X) + 1e-8 * self.scale**2 * np.eye(n_rows)
        values = (np.linalg.cholesky(K) @ rng.standard_normal((n_tasks, n_rows, 1)))[..., 0]
        y = values + self.noise * rng.standard_normal(values.shape)

        def truth(task: int, X_new: Array) -> Array:
            return self.kernel(X_new, X[task]) @ np.linalg.solve(K[task], values[task])

        flat = X.reshape(-1, self.n_features)
        return TaskSample(flat, y.ravel(), _groups(n_tasks, n_rows), {"values": values}, truth)


class BlobTasks(TaskFamily):
    """Gaussian blobs: a class is a centre, a row is its centre plus unit noise.

    Parameters
    ----------
    n_features, n_way : int, default=2, 3
        Features; classes of each task.
    spread : float, default=3.0
        Standard deviation of the centres, in units of the noise.

    Examples
    --------
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(4, 10, random_state=0)
    >>> blobs.truth(0, blobs.X[:2]).sum(axis=1).round(6).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *, n_features: int = 2, n_way: int = 3, spread: float = 3.0) -> None:
        self.n_features = n_features
        self.n_way = n_way
        self.spread = spread

    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw tasks of `n_way` blobs; classes are balanced up to one row."""
        rng = np.random.default_rng(random_state)
        centres = self.spread * rng.standard_normal((n_tasks, self.n_way, self.n_features))
        y = np.tile(np.arange(n_rows) % self.n_way, (n_tasks, 1))
        X = np.take_along_axis(centres, y[..., None], axis=1)
        X = X + rng.standard_normal(X.shape)

        def truth(task: int, X_new: Array) -> Array:
            distance = ((X_new[:, None] - centres[task][None]) ** 2).sum(-1)
            odds = np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True)))
            probabilities: Array = odds / odds.sum(axis=1, keepdims=True)
            return probabilities

        flat = X.reshape(-1, self.n_features)
        return TaskSample(flat, y.ravel(), _groups(n_tasks, n_rows), {"centres": centres}, truth)

    def sample_classes(self, n_classes: int, n_rows: int, *, random_state: Seed = None) -> TaskSet:
        """Draw one pool of classes, one task of the set each, for n-way class episodes."""
        rng = np.random.default_rng(random_state)
        centres = self.spread * rng.standard_normal((n_classes, self.n_features))
        number = _groups(n_classes, n_rows)
        X = centres[number] + rng.standard_normal((len(number), self.n_features))
        return TaskSet.from_arrays(X, number, number)
