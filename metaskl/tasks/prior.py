"""Synthetic tasks over rows that exist: what a learner can be trained on before its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from metaskl.errors import TaskError
from metaskl.tasks.episodes import Episode, EpisodeSampler
from metaskl.tasks.sending import sent
from metaskl.tasks.taskset import TaskSet

Array = npt.NDArray[np.float64]
_WAVES, _UNITS = 64, 16


class PriorEpisodes(EpisodeSampler):
    """Episodes of random functions of the rows of a table: a prior to learn from [1]_.

    Rows are drawn from all tasks together, so that the columns look as they do in use; their
    targets are not used. Each episode's targets come from random functions of a random choice
    of the columns: linear ones, draws of a Gaussian process, small random networks. Numbers get
    a scale, a level and a noise of each task's own; the class of a row is the highest of one
    noisy function a class.

    Parameters
    ----------
    tasks : TaskSet
        The rows, of features ``(n_rows, n_features)``.
    kind : {"regression", "classification"}
        What the targets are.
    n_outputs : int
        Targets, or classes of an episode.
    private_labels : bool, default=False
        Whether `n_shot` and `n_query` count the rows of each class, as in class episodes.
    **draw
        `n_shot`, `n_query`, `meta_batch_size`, `random_state`.

    Raises
    ------
    TaskError
        If the rows are no table.

    References
    ----------
    .. [1] N. Hollmann, S. Müller, K. Eggensperger, F. Hutter. TabPFN: A Transformer That
       Solves Small Tabular Classification Problems in a Second. ICLR 2023.

    Examples
    --------
    >>> from metaskl.tasks import LinearTasks, PriorEpisodes
    >>> rows = LinearTasks().sample(10, 20, random_state=0).task_set()
    >>> prior = PriorEpisodes(rows, kind="regression", n_outputs=1, meta_batch_size=4)
    >>> tuple(prior.sample().y_query.shape)
    (4, 10, 1)
    """

    def __init__(
        self,
        tasks: TaskSet,
        *,
        kind: str,
        n_outputs: int,
        private_labels: bool = False,
        **draw: Any,
    ) -> None:
        super().__init__(tasks, **draw)
        if tasks.X.ndim != 2:
            raise TaskError(
                "prior_tasks must be 0 unless the rows are a table (prior tasks are functions of "
                f"its columns), got rows of shape {tuple(tasks.X.shape[1:])}. Leave it out."
            )
        self.kind = kind
        self.n_outputs = n_outputs
        self.private_labels = private_labels

    def sample(self) -> Episode:
        """Draw the next stack of episodes."""
        rng, n_tasks = self._generator, self.meta_batch_size
        per_class = self.n_outputs if self.private_labels else 1
        low, high = self.n_shot
        n_support = per_class * int(rng.integers(low, high + 1))
        n_rows = n_support + per_class * self.n_query
        chosen = rng.integers(len(self.tasks.X), size=(n_tasks, n_rows))
        X = self.tasks.X[sent(chosen, self.tasks.X.device)]
        values = random_functions(X.cpu().double().numpy(), self.n_outputs, rng)
        targets = self._numbers(values) if self.kind == "regression" else self._classes(values)
        y = sent(targets, X.device).to(X.dtype)
        weight = torch.ones_like(y[..., 0])
        if self.private_labels:  # nothing can be known of a class that the support lacks
            seen = y[:, :n_support].amax(1, keepdim=True)
            weight = (y * seen).sum(-1)
        return Episode(
            X[:, :n_support],
            y[:, :n_support],
            torch.ones_like(weight[:, :n_support]),
            X[:, n_support:],
            y[:, n_support:],
            weight[:, n_support:],
        )

    def _numbers(self, values: Array) -> Array:
        """Give each task a scale, a level and a noise of its own."""
        rng, shape = self._generator, (len(values), 1, values.shape[-1])
        scale, level = rng.uniform(0.2, 1.2, shape), rng.normal(0, 0.5, shape)
        noise = np.exp(rng.uniform(np.log(0.02), np.log(1.0), shape))
        return scale * values + level + noise * rng.standard_normal(values.shape)

    def _classes(self, values: Array) -> Array:
        """Take the highest of one function a class, with noise and levels of each task's own."""
        rng, shape = self._generator, (len(values), 1, values.shape[-1])
        noise = np.exp(rng.uniform(np.log(0.02), np.log(1.0), (len(values), 1, 1)))
        level = 0.0 if self.private_labels else rng.normal(0, 0.5, shape)
        best = (values + level + noise * rng.standard_normal(values.shape)).argmax(-1)
        one_hot: Array = np.eye(values.shape[-1])[best]
        return one_hot


def random_functions(X: Array, n_functions: int, rng: np.random.Generator) -> Array:
    """Return random functions of rows (task, row, feature), as (task, row, function).

    Each task's functions are of one kind: linear, draws of a Gaussian process (by random
    Fourier features), or small random networks; of a random choice of the features; and with
    mean 0 and variance 1 over the task's rows.
    """
    n_tasks, _, n_features = X.shape
    n_used = rng.integers(1, n_features + 1, size=n_tasks)
    used = np.argsort(rng.random((n_tasks, n_features)), axis=1) < n_used[:, None]
    X = X * used[:, None] / np.sqrt(n_used)[:, None, None]

    def normal(*shape: int) -> Array:
        return rng.standard_normal((n_tasks, *shape))

    linear = X @ normal(n_features, n_functions)
    length = np.exp(rng.uniform(np.log(0.3), np.log(3.0), (n_tasks, 1, 1)))
    phase = rng.uniform(0, 2 * np.pi, (n_tasks, 1, _WAVES))
    process = np.cos(X @ normal(n_features, _WAVES) / length + phase) @ normal(_WAVES, n_functions)
    hidden = np.tanh(2 * X @ normal(n_features, _UNITS) + normal(1, _UNITS))
    network = hidden @ normal(_UNITS, n_functions)
    kind = rng.integers(3, size=(n_tasks, 1, 1))
    values = np.choose(kind, [linear, process, network])
    values = values - values.mean(axis=1, keepdims=True)
    scaled: Array = values / np.maximum(values.std(axis=1, keepdims=True), 1e-6)
    return scaled
