"""Memory-augmented neural networks: rows and labels are stored in an external memory."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.addressing import (
    copies_of,
    expanded,
    is_all_rows,
    read_weights,
    rows_of_slots,
)
from metaskl.learners.base import Adapted, embed_tasks, stack_of_one
from metaskl.learners.chained import ENGINES, RowCompiler
from metaskl.learners.presenting import Sizes, State, by_rows, known_of, labels_before
from metaskl.learners.space import Dimension, Integer, Real
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

# Blank slots hold this, so that no gradient is lost in an exact zero.
_INITIAL = 1e-6


class MANN(StackedLearner):
    """Memory-augmented neural network with least-recently-used access [1]_.

    A task is a sequence. At each row an LSTM controller gets the row's features, the label of
    the row before and what was read there; it reads the memory by content with several heads
    (see ``read_weights`` of ``metaskl.learners.addressing``) and predicts the row from its state
    and what it read. Only then is the row's label presented, and both are
    written to the memory: with the weights σ(α) w_read + (1 − σ(α)) w_least_used, after the
    least used slot was erased. Usage fades at each row and grows by what is read and written.

    Adapting presents the support; a query is then the sequence's next row, each by itself and
    nothing of it is written. The loss is over the whole sequence: each row of the support
    as it was predicted before its label was presented, and the query.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes; private classes of a support may be fewer, not more.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    n_slots : int, default=128
        Slots of the memory, >= 1. A support of more rows overwrites what is least used.
    slot_size : int, default=40
        Numbers that a slot holds, >= 1.
    n_reads : int, default=4
        Read heads, >= 1.
    controller_size : int, default=128
        Units of the LSTM, >= 1.
    usage_decay : float, default=0.99
        Factor of a slot's usage at each row, in [0, 1]: how slowly it is forgotten.
    engine : {"auto", "loop", "compiled"}, default="auto"
        How sequences are run in training; see ``metaskl.learners.chained``.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a size is below 1, the decay is not in [0, 1] or there is no such engine.

    Notes
    -----
    The paper writes a row with the controller's output of the row after, when its label is
    known. Here a row is written from the controller's state at that row and its label, so that
    the last row of a support is written too before any query, and each slot holds what is known
    of certain rows. Keys and what is written are made from the row's features beside the
    controller's state, which by itself mixes a row with those before it: the reads are sharper,
    and much sooner. As in the memory's ancestor, the neural Turing machine, the strength β of a
    read is the controller's choice, and blank slots are not read; in the paper's softmax over
    128 cosines they would drown the others, the more the shorter the support.

    References
    ----------
    .. [1] A. Santoro, S. Bartunov, M. Botvinick, D. Wierstra, T. Lillicrap. Meta-Learning with
       Memory-Augmented Neural Networks. ICML 2016.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.mann import MANN
    >>> learner = MANN(MLP(()).build((2,)), 3, kind="classification", n_slots=8)
    >>> adapted = learner.adapt(torch.zeros(5, 2), torch.eye(3)[[0, 1, 2, 0, 1]])
    >>> adapted["memory"].shape, learner.predict(adapted, torch.zeros(4, 2)).shape
    (torch.Size([8, 40]), torch.Size([4, 3]))
    """

    support_order_matters: ClassVar[str | None] = (
        "the support is presented as a sequence, whose last rows the controller remembers best"
    )
    fixed_ways: bool = True

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        n_slots: int = 128,
        slot_size: int = 40,
        n_reads: int = 4,
        controller_size: int = 128,
        usage_decay: float = 0.99,
        engine: str = "auto",
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        sizes = (n_slots, slot_size, n_reads, controller_size)
        if min(sizes) < 1 or not 0 <= usage_decay <= 1:
            raise ParameterError(
                "n_slots, slot_size, n_reads and controller_size must be at least 1 and "
                f"usage_decay in [0, 1], got {sizes} and {usage_decay}. The defaults suit most "
                "tasks."
            )
        if engine not in ENGINES:
            raise ParameterError(f"engine must be one of {ENGINES}, got {engine!r}.")
        self.engine, self.compiler, self.planned_steps = engine, RowCompiler(), 0
        self.backbone = backbone
        self.n_slots, self.slot_size, self.n_reads = n_slots, slot_size, n_reads
        self.usage_decay = usage_decay
        n_read = n_reads * slot_size
        self.controller = nn.LSTMCell(self.n_features_out + n_outputs + n_read, controller_size)
        described = controller_size + self.n_features_out
        self.key = nn.Linear(described, n_read)
        self.strength = nn.Linear(controller_size, n_reads)
        self.content = nn.Linear(described + n_outputs, slot_size)
        self.gate = nn.Linear(controller_size, 1)
        self.head = nn.Linear(controller_size + n_read, n_outputs)
        with torch.no_grad():
            self.strength.bias.fill_(5.0)  # reads that tell slots apart from the start
            self.gate.bias.fill_(-2.0)  # a row to a slot, until it is learned when to renew one

    def begin_training(self, n_steps: int) -> None:
        """Take note of how many outer steps are planned: compiling must repay itself."""
        self.planned_steps = n_steps

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Present the supports of a stack of tasks."""
        return self._present(X_support, y_support, weight)[0]

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Predict each row of a stack of tasks as the next of its sequence."""
        return self._look(adapted, embed_tasks(self.backbone, X_query))["output"]

    def predict_sequence(self, X: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Predict each row of a stack of sequences before its label is presented.

        Parameters
        ----------
        X : Tensor of shape (task, row, ...)
            Features.
        y : Tensor of shape (task, row, output)
            Targets, or one-hot classes, each presented after its row was predicted.
        weight : Tensor of shape (task, row), optional
            1 for a row, 0 for padding.

        Returns
        -------
        Tensor of shape (task, row, output)
            Targets or logits.
        """
        return self._present(X, y, weight)[1]

    def read_rows(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return how much of what one task's support rows wrote each query row reads.

        Parameters
        ----------
        adapted : dict of Tensor
            What :meth:`adapt` returned.
        X_query : Tensor of shape (query, ...)
            Features.

        Returns
        -------
        Tensor of shape (query, support)
            Averages over the read heads, >= 0. What a row lacks to a sum of 1 is read from
            blank slots; a row written to several slots may have more than 1.
        """
        stack = stack_of_one(adapted)
        read = self._look(stack, embed_tasks(self.backbone, X_query[None]))["read"]
        return read.mean(2)[0] @ adapted["written"].to(read.dtype)

    def initial(self) -> Adapted | None:
        """Return the blank memory (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        return {name: value[0].detach() for name, value in self._blank(1, 0, self.n_slots).items()}

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the mean loss of the whole sequence, each row before its label is presented."""
        adapted, during = self._present(*episode[:3])
        output = torch.cat([during, self.predict_tasks(adapted, episode.X_query)], dim=1)
        y = torch.cat([episode.y_support, episode.y_query], dim=1)
        weight = torch.cat([episode.weight_support, episode.weight_query], dim=1)
        return self.task_loss(output, y, weight).mean()

    def _present(self, X: Tensor, y: Tensor, weight: Tensor | None) -> tuple[Adapted, Tensor]:
        """Return the state after the rows, and what was predicted for each before its label."""
        real = None if weight is None or is_all_rows(weight) else weight
        features = embed_tasks(self.backbone, X)
        copies = copies_of(self.n_slots, X.shape[1], features)
        n_slots = self.n_slots if copies is None else len(copies)
        blank = self._blank(len(X), X.shape[1], n_slots)
        left = torch.cat([blank["vectors"], blank["hidden"]], dim=-1)
        start = State(blank["memory"], blank["usage"], blank["cell"], left)
        before = labels_before(y, real)
        known = known_of(self, features, y, before[:, :-1])
        sizes = Sizes(self.n_reads, self.slot_size, self.n_slots, self.usage_decay)
        given = (sizes, start, known, None if real is None else real.mT[..., None], copies)
        planned = {"loop": 0.0, "compiled": math.inf}.get(self.engine, self.planned_steps)
        rows = self.compiler.by_rows(planned, *given)
        rows = by_rows(*given) if rows is None else rows
        memory, usage, cell, left = rows[-1].state
        vectors, hidden = left.tensor_split([blank["vectors"].shape[-1]], dim=-1)
        written = rows_of_slots([row.write for row in rows], [row.erased for row in rows])
        slots = {"memory": memory, "usage": usage, "written": written}
        state = {name: expanded(value, copies) for name, value in slots.items()}
        state |= {"hidden": hidden, "cell": cell, "vectors": vectors, "label": before[:, -1]}
        state["presented"] = X.new_ones(X.shape[:2]) if weight is None else weight
        seen = torch.stack([row.seen for row in rows], dim=1)
        vectors, hidden = seen.tensor_split([blank["vectors"].shape[-1]], dim=-1)
        return state, self.head(torch.cat([hidden, vectors], dim=-1))

    def _blank(self, n_tasks: int, n_rows: int, n_slots: int) -> Adapted:
        """Return the state before a sequence."""
        shapes = {
            "memory": (n_slots, self.slot_size),
            "usage": (n_slots,),
            **dict.fromkeys(("hidden", "cell"), (self.controller.hidden_size,)),
            "vectors": (self.n_reads * self.slot_size,),
            "label": (self.n_outputs,),
            "written": (n_slots, n_rows),
            "presented": (n_rows,),
        }
        own = self.head.weight
        state = {name: own.new_zeros(n_tasks, *shape) for name, shape in shapes.items()}
        return {**state, "memory": state["memory"] + _INITIAL}

    def _look(self, state: Adapted, features: Tensor) -> Adapted:
        """Run the controller on (task, row, embedding) and read, each row for itself."""
        n_tasks, n_rows = features.shape[:2]

        def for_each_row(name: str) -> Tensor:
            value = state[name]
            return value[:, None].expand(n_tasks, n_rows, value.shape[-1]).flatten(0, 1)

        inputs = [features.flatten(0, 1), for_each_row("label"), for_each_row("vectors")]
        before = for_each_row("hidden"), for_each_row("cell")
        hidden, _ = self.controller(torch.cat(inputs, dim=-1), before)
        described = torch.cat([hidden, inputs[0]], dim=-1)
        keys = torch.tanh(self.key(described)).view(n_tasks, n_rows, self.n_reads, self.slot_size)
        strength = 1 + F.softplus(self.strength(hidden)).view(n_tasks, n_rows, self.n_reads)
        read = read_weights(state["memory"], keys, strength)
        vectors = (read.flatten(1, 2) @ state["memory"]).view(n_tasks, n_rows, -1)
        hidden = hidden.unflatten(0, (n_tasks, n_rows))
        return {"read": read, "output": self.head(torch.cat([hidden, vectors], dim=-1))}

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "slot_size": Integer(16, 64, log=True),
            "controller_size": Integer(32, 256, log=True),
            "usage_decay": Real(0.9, 0.999),
        }
