"""MAML in JAX: the plain loss, compiled as a whole and mapped over tasks."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from metaskl.tasks import Episode

# Read when JAX first computes: one thread, as for the others.
_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def jax_on_one_thread(*, double: bool) -> Any:
    """Import JAX, told to use one thread and to answer in the calling one."""
    os.environ.setdefault("XLA_FLAGS", _FLAGS)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_enable_x64", double)
    if hasattr(os, "sched_setaffinity"):  # it starts as many threads as it finds cores
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        jax.devices()
        os.sched_setaffinity(0, cores)
    return jax


class Jax:
    """The meta-gradient and the complete step, each one compiled function."""

    def __init__(self, weights: Sequence[torch.Tensor], problem: Any, outer_rate: float) -> None:
        jax = self.jax = jax_on_one_thread(double=weights[0].dtype == torch.float64)
        import optax

        self.weights = [jax.numpy.array(p.detach().numpy()) for p in weights]
        adam = optax.adam(outer_rate)
        self.state = adam.init(self.weights)
        self.found: Any = None

        def task(weights: Any, X: Any, y: Any, u: Any, v: Any) -> Any:
            for _ in range(problem.n_steps):
                steps = jax.grad(self.loss)(weights, X, y)
                weights = [w - problem.rate * g for w, g in zip(weights, steps, strict=True)]
            return self.loss(weights, u, v)

        def outer(weights: Any, *rows: Any) -> Any:
            return self.over_tasks(task, weights, rows).mean()

        def step(weights: Any, state: Any, *rows: Any) -> Any:
            loss, found = jax.value_and_grad(outer)(weights, *rows)
            updates, state = adam.update(found, state, weights)
            return optax.apply_updates(weights, updates), state, loss

        self._gradient = jax.jit(jax.value_and_grad(outer))
        self._step = jax.jit(step, donate_argnums=(0, 1))

    def over_tasks(self, task: Any, weights: Any, rows: Any) -> Any:
        """Return the loss of each task."""
        return self.jax.vmap(task, (None, 0, 0, 0, 0))(weights, *rows)

    def loss(self, weights: Any, X: Any, y: Any) -> Any:
        """Return the mean squared error of an MLP with ReLU."""
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            X = self.jax.nn.relu(X @ weight.T + bias)
        return ((X @ weights[-2].T + weights[-1] - y) ** 2).mean()

    def gradient(self, episode: Episode) -> None:
        rows = (episode[i].numpy() for i in (0, 1, 3, 4))
        _, self.found = self._gradient(self.weights, *rows)
        self.found[0].block_until_ready()

    def gradients(self) -> list[np.ndarray]:
        return [np.asarray(g, np.float64) for g in self.found]

    def step(self, *rows: np.ndarray) -> None:
        """Change the weights by Adam."""
        self.weights, self.state, _ = self._step(self.weights, self.state, *rows)

    def wait(self) -> None:
        self.jax.block_until_ready(self.weights)
