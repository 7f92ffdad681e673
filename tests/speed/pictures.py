"""Second-order MAML of a Conv4 on pictures, 5-way 1-shot, as on Omniglot.

The pictures are noise: the time does not depend on what they show. Batch normalisation is by
the rows in the call, as in the published experiments.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones import Conv4
from metaskl.learners.maml import MAML
from metaskl.tasks import ClassEpisodes, TaskSet
from speed import peers
from speed.jax_peer import Jax
from speed.options import Options
from speed.problems import in_double, same_gradients
from speed.timing import Row, interleaved, show, table

SIDE = 28


@functools.cache
def classes(n_classes: int, n_rows: int, *, flat: bool = False) -> TaskSet:
    """Return classes of noisy pictures."""
    draw = np.random.default_rng(0)
    shape = (SIDE * SIDE,) if flat else (1, SIDE, SIDE)
    X = draw.normal(size=(n_classes * n_rows, *shape)).astype(np.float32)
    return TaskSet.from_arrays(X, np.zeros(len(X)), np.repeat(np.arange(n_classes), n_rows))


@dataclass(frozen=True)
class Pictures:
    """A Conv4 with a linear head, its episodes and its inner loop."""

    n_channels: int = 64
    n_way: int = 5
    n_shot: int = 1
    n_query: int = 15
    n_tasks: int = 2
    n_steps: int = 1
    rate: float = 0.1

    def sampler(self) -> ClassEpisodes:
        return ClassEpisodes(
            classes(50, 20),
            n_way=self.n_way,
            n_shot=self.n_shot,
            n_query=self.n_query,
            meta_batch_size=self.n_tasks,
            random_state=0,
        )

    def learner(self, engine: str) -> MAML:
        torch.manual_seed(0)
        backbone = Conv4(self.n_channels, norm="batch_statistics").build((1, SIDE, SIDE))
        plain = {"inner_lr_mode": "fixed", "inner_clip": None, "inner_lr": self.rate}
        more = {"kind": "classification", "adaptation_steps": self.n_steps, "engine": engine}
        return MAML(backbone, self.n_way, private_labels=True, **plain, **more)

    def network(self) -> nn.Module:
        return self.learner("loop").network

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(output, y)


class CloneAndAdapt(peers.OneByOne):
    """The clone-and-adapt form of any network."""

    def run(self, weights: Sequence[Tensor], X: Tensor) -> Tensor:
        names = [name for name, _ in self.network.named_parameters()]
        return torch.func.functional_call(self.network, dict(zip(names, weights, strict=True)), X)


class JaxPictures(Jax):
    """JAX in the form that was its fastest on a CPU: tasks in turn, unrolled, channels last.

    A loop over tasks inside the program (`lax.map`) took 12 times as long, mapping over them 5.
    """

    def __init__(self, problem: Pictures, dtype: torch.dtype) -> None:
        weights = list(problem.network().to(dtype).parameters())
        super().__init__(weights, problem, peers.OUTER_RATE)

    def over_tasks(self, task: Any, weights: Any, rows: Any) -> Any:
        losses = [task(weights, *row) for row in zip(*rows, strict=True)]
        return self.jax.numpy.stack(losses)

    def loss(self, weights: Any, X: Any, y: Any) -> Any:
        lax, jnp = self.jax.lax, self.jax.numpy
        *blocks, head, bias = weights
        X = X.transpose(0, 2, 3, 1)
        for i in range(0, len(blocks), 4):
            kernel, shift, scale, offset = blocks[i : i + 4]
            layout = ("NHWC", "HWIO", "NHWC")
            kernel = kernel.transpose(2, 3, 1, 0)
            X = lax.conv_general_dilated(X, kernel, (1, 1), "SAME", dimension_numbers=layout)
            centred = X + shift - (X + shift).mean((0, 1, 2))
            variance = (centred**2).mean((0, 1, 2))
            X = self.jax.nn.relu(centred / jnp.sqrt(variance + 1e-5) * scale + offset)
            half, channels = X.shape[1] // 2, X.shape[3]
            X = X[:, : 2 * half, : 2 * half].reshape(len(X), half, 2, half, 2, channels).max((2, 4))
        logits = X.transpose(0, 3, 1, 2).reshape(len(X), -1) @ head.T + bias
        return -(self.jax.nn.log_softmax(logits) * y).sum(-1).mean()


ROWS = {
    peers.CLONE: CloneAndAdapt,
    "learn2learn": peers.Learn2Learn,
    "higher": peers.Higher,
    "JAX, jit, tasks in turn, channels last": JaxPictures,
    "metaskl, engine='loop'": lambda *a: peers.Metaskl(*a, "loop"),
    "metaskl, engine='vmap'": lambda *a: peers.Metaskl(*a, "vmap"),
    peers.AUTO: lambda *a: peers.Metaskl(*a, "auto"),
}


def pictures(options: Options) -> None:
    """Meta-gradient of a Conv4 on pictures, 5-way 1-shot."""
    problem = Pictures(n_channels=8, n_query=2) if options.quick else Pictures()
    episode = problem.sampler().sample()
    same_gradients(peers.made(problem, torch.float64, ROWS), in_double(episode))
    rows = peers.made(problem, torch.float32, ROWS)
    timed = [Row(name, lambda r=row: r.gradient(episode)) for name, row in rows.items()]
    title = (
        f"Meta-gradient: Conv4 of {problem.n_channels} channels, {SIDE} × {SIDE}, "
        f"{problem.n_tasks} tasks, 5-way 1-shot, {problem.n_query} queries a class, 1 inner step"
    )
    show(table(title, interleaved(timed, options.rounds(5))))
