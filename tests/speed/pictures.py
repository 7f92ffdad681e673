"""Second-order MAML of a Conv4 on pictures, 5-way 1-shot, as on Omniglot.

The pictures are noise: the time does not depend on what they show. Batch normalisation is by
the rows in the call, as in the published experiments.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones import Conv4
from metaskl.learners.maml import MAML
from metaskl.tasks import ClassEpisodes, Episode, TaskSet
from speed import peers
from speed.arithmetic import show_limit
from speed.options import Options
from speed.problems import in_double, same_gradients, with_weights
from speed.timing import Row, clock_of, interleaved, show, table

SIDE, N_CLASSES, N_ROWS = 28, 50, 20


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
            classes(N_CLASSES, N_ROWS),
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
        """Return the same network as others write it, in torch's usual layout."""
        layers: list[nn.Module] = []
        for a, b in pairwise([1, *[self.n_channels] * 4]):
            norm = nn.BatchNorm2d(b, track_running_stats=False)
            layers += [nn.Conv2d(a, b, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2)]
        network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(self.n_channels, self.n_way))
        return with_weights(network, self.learner("loop").network)

    def one_by_one(self, draw: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Draw classes, and rows of each in turn."""
        pool = classes(N_CLASSES, N_ROWS).X.unflatten(0, (N_CLASSES, N_ROWS))
        labels = torch.eye(self.n_way)
        for _ in range(self.n_tasks):
            ways = draw.choice(N_CLASSES, self.n_way, replace=False)
            rows = [pool[way][torch.randperm(N_ROWS)] for way in ways]
            support = torch.cat([own[: self.n_shot] for own in rows])
            query = torch.cat([own[self.n_shot :][: self.n_query] for own in rows])
            y, v = (labels.repeat_interleave(n, 0) for n in (self.n_shot, self.n_query))
            yield support, y, query, v

    def stack(self, draw: np.random.Generator) -> Iterator[np.ndarray]:
        """Draw a stack of episodes."""
        for part in zip(*self.one_by_one(draw), strict=True):
            yield torch.stack(part).numpy()

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(output, y)


class CloneAndAdapt(peers.OneByOne):
    """The clone-and-adapt form of any network."""

    def run(self, weights: Sequence[Tensor], X: Tensor) -> Tensor:
        names = [name for name, _ in self.network.named_parameters()]
        return torch.func.functional_call(self.network, dict(zip(names, weights, strict=True)), X)


class JaxPictures(peers.JaxRow):
    """JAX in the form that was its fastest on a CPU: tasks in turn, unrolled, channels last.

    A loop over tasks inside the program (`lax.map`) took 12 times as long, mapping over them 5.
    """

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


class TorchOptInTurn(peers.TorchOpt):
    """torchopt's functional form, tasks in turn.

    Autograd over mapped gradients of batch normalisation is wrong, and silently so.
    """

    def __init__(self, problem: Pictures, dtype: torch.dtype) -> None:
        super().__init__(problem, dtype)
        self.losses = self.in_turn

    def in_turn(self, weights: dict[str, Tensor], *rows: Tensor) -> Tensor:
        return torch.stack([self.task(weights, *row) for row in zip(*rows, strict=True)])


WRONG = "torchopt with vmap, whose gradient is wrong"
JAX = "JAX, jit, tasks in turn, channels last"
ROWS = {
    peers.CLONE: CloneAndAdapt,
    "learn2learn": peers.Learn2Learn,
    "higher": peers.Higher,
    "torchopt, functional, tasks in turn": TorchOptInTurn,
    WRONG: peers.TorchOpt,
    JAX: JaxPictures,
    "metaskl, engine='loop'": lambda *a: peers.Metaskl(*a, "loop"),
    "metaskl, engine='vmap'": lambda *a: peers.Metaskl(*a, "vmap"),
    peers.AUTO: lambda *a: peers.Metaskl(*a, "auto"),
}


def agreeing(rows: dict[str, Any], episode: Episode) -> dict[str, Any]:
    """Return the rows without JAX's if its gradient is another.

    It is compared in single precision: in double, at full size, it was not a number.
    """
    if JAX in rows:
        try:
            same_gradients({name: rows[name] for name in (peers.CLONE, JAX)}, episode, rtol=1e-2)
        except AssertionError as error:
            show(f"Left out: {JAX}, whose gradient is another:\n{str(error)[:300]}")
            return {name: row for name, row in rows.items() if name != JAX}
    return rows


def pictures(options: Options) -> None:
    """Meta-gradient and complete step of a Conv4 on pictures, 5-way 1-shot."""
    device, cpu = torch.device(options.device), options.device == "cpu"
    problem = Pictures(n_channels=8, n_query=2) if options.quick else Pictures()
    problem = problem if cpu else dataclasses.replace(problem, n_tasks=32)
    episode = problem.sampler().sample()
    makers = dict(ROWS) if cpu else {name: row for name, row in ROWS.items() if name != JAX}
    checked = {name: row for name, row in makers.items() if name not in (WRONG, JAX)}
    same_gradients(peers.made(problem, torch.float64, checked), in_double(episode))
    rows = agreeing(peers.made(problem, torch.float32, makers), episode)
    title = (
        f"Conv4 of {problem.n_channels} channels, {SIDE} × {SIDE}, "
        f"{problem.n_tasks} tasks, 5-way 1-shot, {problem.n_query} queries a class, 1 inner step"
    )
    if not cpu:
        title += f", {torch.cuda.get_device_name(device)}"
        episode = Episode(*(part.to(device) for part in episode[:6]))
        for row in rows.values():
            row.to(device)
    kind, clock = "CPU ms" if cpu else "ms", clock_of(options.device)
    timed = [Row(name, lambda r=row: r.gradient(episode)) for name, row in rows.items()]
    times = interleaved(timed, options.rounds(5), clock)
    show(table(f"Meta-gradient: {title}", times, kind=kind))
    timed = [Row(name, lambda r=row: r.train(1)) for name, row in rows.items()]
    times = interleaved(timed, options.rounds(5), clock)
    show(table(f"Complete step: {title}", times, kind=kind))
    show('`engine="compiled"` is no row: chains of linear layers alone are compiled.')
    if cpu:
        show_limit(lambda: rows[peers.AUTO].gradient(episode), options.rounds(5))
