"""What is meta-trained: an MLP with ReLU for squared error, by plain second-order MAML.

Plain: a fixed inner rate and no clipping of inner gradients, so that all implementations can
do the same.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from metaskl.backbones import MLP
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode, LinearTasks, SinusoidTasks, TaskEpisodes, TaskSet

N_TASKS = 1000


@dataclass(frozen=True)
class Problem:
    """A network, its episodes and its inner loop."""

    n_features: int = 1
    hidden: tuple[int, ...] = (40, 40)
    n_tasks: int = 25
    n_shot: int = 10
    n_query: int = 10
    n_steps: int = 1
    rate: float = 0.01

    def sampler(self) -> TaskEpisodes:
        """Return metaskl's episodes of the problem."""
        return TaskEpisodes(
            task_set(self.n_features, self.n_rows()),
            n_shot=self.n_shot,
            n_query=self.n_query,
            meta_batch_size=self.n_tasks,
            random_state=0,
        )

    def n_rows(self) -> int:
        """Return the rows of a task: the same for most problems, to share the data."""
        return max(40, self.n_shot + self.n_query)

    @functools.cache  # noqa: B019 - there are few problems
    def arrays(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all tasks' features and targets as (task, row, ...)."""
        tasks = task_set(self.n_features, self.n_rows())
        return tasks.X.unflatten(0, (N_TASKS, -1)), tasks.y.unflatten(0, (N_TASKS, -1))

    def one_by_one(self, draw: np.random.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
        """Draw tasks and their rows in turn, as learn2learn does."""
        every_X, every_y = self.arrays()
        for task in draw.choice(len(every_X), self.n_tasks, replace=False):
            X, y = every_X[task], every_y[task]
            rows = torch.randperm(len(X))
            support, query = rows[: self.n_shot], rows[self.n_shot :][: self.n_query]
            yield X[support], y[support], X[query], y[query]

    def stack(self, draw: np.random.Generator) -> Iterator[np.ndarray]:
        """Draw a stack of episodes by one index operation each."""
        X, y = (array.numpy() for array in self.arrays())
        tasks = draw.choice(len(X), self.n_tasks, replace=False)[:, None]
        rows = draw.permuted(np.tile(np.arange(X.shape[1]), (self.n_tasks, 1)), axis=1)
        support, query = rows[:, : self.n_shot], rows[:, self.n_shot :][:, : self.n_query]
        for part in (support, query):
            yield X[tasks, part]
            yield y[tasks, part]

    def loss(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error."""
        return F.mse_loss(output, y)

    def learner(self, engine: str) -> MAML:
        """Return metaskl's learner."""
        torch.manual_seed(0)
        plain = {"inner_lr_mode": "fixed", "inner_clip": None, "inner_lr": self.rate}
        backbone = MLP(self.hidden).build((self.n_features,))
        return MAML(backbone, 1, adaptation_steps=self.n_steps, engine=engine, **plain)

    def network(self) -> nn.Sequential:
        """Return the same network, with the same weights, of torch's own modules."""
        sizes = [self.n_features, *self.hidden, 1]
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return with_weights(nn.Sequential(*layers[:-1]), self.learner("loop").network)


def with_weights(network: nn.Sequential, other: nn.Module) -> nn.Sequential:
    """Return a network that has taken over the weights of another, in its own layout."""
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)
    return network


@functools.cache
def task_set(n_features: int, n_rows: int) -> TaskSet:
    """Return the tasks: sinusoids (Finn et al. 2017), of several features linear functions."""
    family = SinusoidTasks() if n_features == 1 else LinearTasks(n_features=n_features)
    return family.sample(N_TASKS, n_rows, random_state=0).task_set()


def in_double(episode: Episode) -> Episode:
    """Return an episode in double precision."""
    return Episode(*(part.double() for part in episode[:6]))


def same_gradients(rows: dict, episode: Episode, rtol: float = 1e-6) -> None:
    """Raise unless all rows give the same meta-gradient of an episode."""
    reference = None
    for name, row in rows.items():
        row.gradient(episode)
        found = row.gradients()
        reference = found if reference is None else reference
        largest = max(np.abs(expected).max() for expected in reference)
        for own, expected in zip(found, reference, strict=True):
            np.testing.assert_allclose(own, expected, rtol, atol=rtol * largest, err_msg=name)
