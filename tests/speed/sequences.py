"""Memory-augmented networks on sequences, against the same network written step by step."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones import MLP
from metaskl.learners.mann import MANN
from speed.options import Options
from speed.timing import Row, interleaved, show, table

N_WAY, LENGTH, N_TASKS = 5, 50, 16


class StepByStep(nn.Module):
    """The network of :class:`MANN` as its docstring has it: one pass of the cell a row.

    It is without padding, and without account of which row is written where.
    """

    def __init__(self, learner: MANN) -> None:
        super().__init__()
        own = ("controller", "key", "strength", "content", "gate", "head")
        for name in own:
            setattr(self, name, getattr(learner, name))
        self.shape = learner.n_reads, learner.n_slots, learner.slot_size
        self.decay = learner.usage_decay

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        n_reads, n_slots, width = self.shape
        n_tasks, n_rows = X.shape[:2]
        memory = X.new_full((n_tasks, n_slots, width), 1e-6)
        usage = X.new_zeros(n_tasks, n_slots)
        hidden = cell = X.new_zeros(n_tasks, self.controller.hidden_size)
        seen, label = X.new_zeros(n_tasks, n_reads * width), torch.zeros_like(y[:, 0])
        outputs = []
        for row in range(n_rows):
            inputs = torch.cat([X[:, row], label, seen], dim=1)
            hidden, cell = self.controller(inputs, (hidden, cell))
            described = torch.cat([hidden, X[:, row]], dim=1)
            read = self.attention(memory, hidden, described)
            seen = torch.bmm(read, memory).flatten(1)
            outputs.append(self.head(torch.cat([hidden, seen], dim=1)))
            label, read = y[:, row], read.mean(1)
            usage = self.decay * usage + read
            oldest = F.one_hot(usage.argmin(1), n_slots).to(usage.dtype)
            gate = torch.sigmoid(self.gate(hidden))
            write = (gate * read + (1 - gate) * oldest).unsqueeze(2)
            content = torch.tanh(self.content(torch.cat([described, label], dim=1)))
            memory = memory * (1 - oldest).unsqueeze(2) + write * content.unsqueeze(1)
            usage = (usage + write.squeeze(2)).detach()
        return torch.stack(outputs, dim=1)

    def attention(self, memory: Tensor, hidden: Tensor, described: Tensor) -> Tensor:
        """Return how much each head reads of each slot."""
        n_reads, _, width = self.shape
        keys = torch.tanh(self.key(described)).view(-1, n_reads, width)
        strength = 1 + F.softplus(self.strength(hidden))
        square = memory.square().sum(2)
        full = square + 0.01
        slots = memory / full.sqrt().unsqueeze(2)
        similarity = torch.bmm(F.normalize(keys, dim=2), slots.transpose(1, 2))
        fullness = torch.log((square + 1e-12) / full).unsqueeze(1)
        return torch.softmax(strength.unsqueeze(2) * similarity + fullness, dim=2)


def learner_of(n_features: int, dtype: torch.dtype, engine: str = "loop") -> MANN:
    """Return metaskl's learner on rows as they are."""
    torch.manual_seed(0)
    body = MLP(()).build((n_features,))
    learner = MANN(body, N_WAY, kind="classification", private_labels=True, engine=engine)
    return learner.to(dtype)


def rows_of(n_features: int, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return random sequences and labels."""
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(N_TASKS, length, n_features, generator=draw)
    y = F.one_hot(torch.randint(N_WAY, (N_TASKS, length), generator=draw), N_WAY)
    return X.to(dtype), y.to(dtype)


def gradient(learner: MANN, outputs: Tensor, y: Tensor) -> list[Tensor]:
    """Leave the gradient of the sequences' loss in the learner, and return it."""
    learner.zero_grad()
    F.cross_entropy(outputs.flatten(0, 1), y.flatten(0, 1)).backward()
    return [p.grad.clone() for p in learner.parameters() if p.grad is not None]


def step(
    learner: MANN, run: Callable[[Tensor, Tensor], Tensor], X: Tensor, y: Tensor
) -> list[Tensor]:
    """Run the sequences, and take the gradient."""
    return gradient(learner, run(X, y), y)


def check(n_features: int, length: int, *, compiled: bool) -> None:
    """Raise unless outputs and gradients are the same in double precision."""
    X, y = rows_of(n_features, length, torch.float64)
    for engine in ("loop", "compiled") if compiled else ("loop",):
        learner = learner_of(n_features, torch.float64, engine)
        own, other = learner.predict_sequence(X, y), StepByStep(learner)(X, y)
        torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-9)
        for a, b in zip(gradient(learner, own, y), gradient(learner, other, y), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def sequences(options: Options) -> None:
    """Loss and gradient of a memory-augmented network on sequences."""
    length = 5 if options.quick else LENGTH
    for n_features in (64,) if options.quick else (64, 784):
        check(n_features, length, compiled=options.compiled)
        learner = learner_of(n_features, torch.float32)
        X, y = rows_of(n_features, length, torch.float32)
        timed = [
            Row("step by step", partial(step, learner, StepByStep(learner), X, y)),
            Row("metaskl, engine='loop'", partial(step, learner, learner.predict_sequence, X, y)),
        ]
        if options.compiled:
            other = learner_of(n_features, torch.float32, "compiled")
            run = partial(step, other, other.predict_sequence, X, y)
            timed.append(Row("metaskl, engine='compiled'", run))
        title = f"{N_TASKS} sequences of {length} rows of {n_features} features, 128 slots, 4 heads"
        show(table(title, interleaved(timed, options.rounds(20))))
