"""Implementations of second-order MAML that are timed: metaskl's engines and others.

Each has `gradient(episode)`, `gradients()` (what that found), and `train(n)`, complete steps: draw
episodes, take the meta-gradient, change the weights by Adam.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.tasks import Episode
from metaskl.training import TrainingPlan, meta_train
from speed.jax_peer import Jax
from speed.problems import Problem

Rows = tuple[Any, Any, Any, Any]
OUTER_RATE = 1e-3


class Metaskl:
    """metaskl itself; complete steps are those of its training loop."""

    def __init__(self, problem: Problem, dtype: torch.dtype, engine: str) -> None:
        self.module = problem.learner(engine).to(dtype)
        self.sampler = problem.sampler()

    def gradient(self, episode: Episode) -> None:
        self.module.zero_grad()
        self.module.episode_loss(episode).backward()

    def gradients(self) -> list[np.ndarray]:
        return found_in(self.module.network)

    def to(self, device: torch.device) -> None:
        """Go to a device, to which complete steps send what they draw."""
        self.module.to(device)

    def train(self, n_steps: int) -> None:
        device = str(next(self.module.parameters()).device)
        plan = TrainingPlan(
            max_epochs=1, steps_per_epoch=n_steps, outer_lr=OUTER_RATE, device=device
        )
        meta_train(self.module, self.sampler, plan)


class OneByOne:
    """The form of learn2learn: tasks in turn, weights cloned, steps taken with a graph."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        self.problem = problem
        self.network = problem.network().to(dtype)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=OUTER_RATE)
        self.draw = np.random.default_rng(0)

    def gradient(self, episode: Episode) -> None:
        self.backward(zip(*(episode[i] for i in (0, 1, 3, 4)), strict=True))

    def backward(self, tasks: Iterator[Rows]) -> None:
        """Leave the meta-gradient in the network."""
        self.optimizer.zero_grad()
        losses = [self.task_loss(*rows) for rows in tasks]
        (sum(losses) / len(losses)).backward()

    def task_loss(self, X: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
        weights = [p.clone() for p in self.network.parameters()]
        for _ in range(self.problem.n_steps):
            loss = self.problem.loss(self.run(weights, X), y)
            steps = torch.autograd.grad(loss, weights, create_graph=True)
            rate = self.problem.rate
            weights = [w - rate * g for w, g in zip(weights, steps, strict=True)]
        return self.problem.loss(self.run(weights, u), v)

    def run(self, weights: Sequence[Tensor], X: Tensor) -> Tensor:
        """Run the network, an MLP with ReLU, by its weights."""
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            X = torch.relu(F.linear(X, weight, bias))
        return F.linear(X, weights[-2], weights[-1])

    def to(self, device: torch.device) -> None:
        """Go to a device, to which complete steps send what they draw."""
        self.network.to(device)  # in place: what refers to its parameters still does

    def sent(self, rows: Iterable[Tensor]) -> Iterator[Tensor]:
        """Send what was drawn to where the network is."""
        device = next(self.network.parameters()).device
        return (part.to(device) for part in rows)

    def sample(self) -> Iterator[Rows]:
        """Draw tasks and their rows in turn."""
        return (tuple(self.sent(rows)) for rows in self.problem.one_by_one(self.draw))

    def train(self, n_steps: int) -> None:
        for _ in range(n_steps):
            self.backward(self.sample())
            self.optimizer.step()

    def gradients(self) -> list[np.ndarray]:
        return found_in(self.network)


class Learn2Learn(OneByOne):
    """learn2learn's own classes."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        from learn2learn.algorithms.maml import MAML

        super().__init__(problem, dtype)
        self.maml = MAML(self.network, lr=problem.rate, first_order=False)

    def task_loss(self, X: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
        learner = self.maml.clone()
        for _ in range(self.problem.n_steps):
            learner.adapt(self.problem.loss(learner(X), y))
        return self.problem.loss(learner(u), v)


class Higher(OneByOne):
    """The package higher: a functional copy of the network and its optimiser."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        import higher

        self.higher = higher
        super().__init__(problem, dtype)
        self.inner = torch.optim.SGD(self.network.parameters(), lr=problem.rate)

    def backward(self, tasks: Iterator[Rows]) -> None:
        self.optimizer.zero_grad()
        for X, y, u, v in tasks:
            context = self.higher.innerloop_ctx(
                self.network, self.inner, copy_initial_weights=False
            )
            with context as (network, steps):
                for _ in range(self.problem.n_steps):
                    steps.step(self.problem.loss(network(X), y))
                (self.problem.loss(network(u), v) / self.problem.n_tasks).backward()


class TorchOpt(OneByOne):
    """The package torchopt with torch.func: one task as a function, mapped over tasks."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        import torchopt

        super().__init__(problem, dtype)
        inner = torchopt.sgd(lr=problem.rate)

        def loss(weights: dict[str, Tensor], X: Tensor, y: Tensor) -> Tensor:
            return problem.loss(torch.func.functional_call(self.network, weights, (X,)), y)

        def task(weights: dict[str, Tensor], X: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
            state = inner.init(weights)
            for _ in range(problem.n_steps):
                found = torch.func.grad(loss)(weights, X, y)
                steps, state = inner.update(found, state, inplace=False)
                weights = torchopt.apply_updates(weights, steps, inplace=False)
            return loss(weights, u, v)

        self.task = task
        self.losses: Callable[..., Tensor] = torch.func.vmap(task, (None, 0, 0, 0, 0))

    def gradient(self, episode: Episode) -> None:
        self.backward_stack(*(episode[i] for i in (0, 1, 3, 4)))

    def backward_stack(self, *rows: Tensor) -> None:
        self.optimizer.zero_grad()
        weights = dict(self.network.named_parameters())
        self.losses(weights, *rows).mean().backward()

    def train(self, n_steps: int) -> None:
        for _ in range(n_steps):
            rows = (torch.from_numpy(part) for part in self.problem.stack(self.draw))
            self.backward_stack(*self.sent(rows))
            self.optimizer.step()


def found_in(network: nn.Module) -> list[np.ndarray]:
    return [p.grad.detach().double().cpu().numpy() for p in network.parameters()]


class JaxRow(Jax):
    """JAX, with the data of a problem."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        super().__init__(list(problem.network().to(dtype).parameters()), problem, OUTER_RATE)
        self.problem = problem
        self.draw = np.random.default_rng(0)

    def train(self, n_steps: int) -> None:
        for _ in range(n_steps):
            self.step(*self.problem.stack(self.draw))
        self.wait()


AUTO, COMPILED = "metaskl, engine='auto'", "metaskl, engine='compiled'"
CLONE, JAX = "clone and adapt, written out", "JAX, jit and vmap"
ROWS: dict[str, Callable[[Problem, torch.dtype], Any]] = {
    CLONE: OneByOne,
    "learn2learn": Learn2Learn,
    "higher": Higher,
    "torchopt, functional with vmap": TorchOpt,
    JAX: JaxRow,
    "metaskl, engine='loop'": lambda *a: Metaskl(*a, "loop"),
    "metaskl, engine='vmap'": lambda *a: Metaskl(*a, "vmap"),
    AUTO: lambda *a: Metaskl(*a, "auto"),
    COMPILED: lambda *a: Metaskl(*a, "compiled"),
}
_told: set[str] = set()


def made(
    problem: Any, dtype: torch.dtype, rows: Mapping[str, Callable[[Any, torch.dtype], Any]]
) -> dict[str, Any]:
    """Return the rows that can be made here, and say once which cannot."""
    found = {}
    for name, make in rows.items():
        try:
            found[name] = make(problem, dtype)
        except ImportError as error:
            if name not in _told:
                print(f"\nLeft out: {name} ({error}).", flush=True)
            _told.add(name)
    return found
