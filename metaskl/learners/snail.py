"""SNAIL: temporal convolutions and causal attention over a task's rows."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones.layout import side_by_side
from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, one_task
from metaskl.learners.space import Dimension, Integer
from metaskl.learners.stacked import StackedLearner


class SNAIL(StackedLearner):
    """Simple neural attentive learner [1]_: a sequence model whose sequence is the task.

    The rows of the support, each with its label, and then one query row without: the model
    predicts the label of the last. Blocks of dilated causal convolutions gather what lies near
    in the sequence, causal attention in between finds what lies anywhere: attention,
    convolutions, attention, convolutions, attention, and a linear head. Each block appends its
    output to what it was given.

    Adapting runs the support and keeps what later rows look back at (keys and values, and the
    inputs of the convolutions); each query row then runs by itself.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes; private classes of a support may be fewer, not more.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    n_filters : int, default=32
        Channels that each convolution appends, >= 1.
    n_dilations : int, default=4
        Convolutions of a block, >= 1, with dilations 1, 2, 4, ...: they look back over
        2 to the power of `n_dilations` rows. Attention looks back over all.
    key_size : int, default=32
        Size of the keys of each attention, >= 1.
    value_size : int, default=32
        Size of the values, which each attention appends, >= 1.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a size is below 1.

    References
    ----------
    .. [1] N. Mishra, M. Rohaninejad, X. Chen, P. Abbeel. A Simple Neural Attentive
       Meta-Learner. ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.snail import SNAIL
    >>> learner = SNAIL(MLP(()).build((2,)), 1)
    >>> adapted = learner.adapt(torch.zeros(5, 2), torch.zeros(5, 1))
    >>> learner.predict(adapted, torch.zeros(4, 2)).shape
    torch.Size([4, 1])
    """

    support_order_matters: ClassVar[str | None] = (
        "the support is a sequence, and convolutions see which row came before which"
    )
    fixed_ways: bool = True

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        n_filters: int = 32,
        n_dilations: int = 4,
        key_size: int = 32,
        value_size: int = 32,
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
        sizes = (n_filters, n_dilations, key_size, value_size)
        if min(sizes) < 1:
            raise ParameterError(
                "n_filters, n_dilations, key_size and value_size must be at least 1, got "
                f"{sizes}. The defaults suit most tasks."
            )
        self.backbone = backbone
        width = self.n_features_out + n_outputs + 1
        blocks: list[_Attention | _Convolution] = []
        for part in ("attention", "convolutions", "attention", "convolutions", "attention"):
            dilations = [2**i for i in range(n_dilations)] if part == "convolutions" else [0]
            for dilation in dilations:
                blocks.append(
                    _Convolution(width, n_filters, dilation)
                    if dilation
                    else _Attention(width, key_size, value_size)
                )
                width += blocks[-1].n_appended
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(width, n_outputs)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Run the supports of a stack of tasks."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        features = embed_tasks(self.backbone, X_support)
        labelled = torch.cat([features, y_support, torch.ones_like(features[..., :1])], dim=-1)
        return self._run(labelled, weight)

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run each row of a stack of tasks as the last of its sequence."""
        features = embed_tasks(self.backbone, X_query)
        # Zeros in the place of the label, and a 0 that tells them from a label of 0.
        rows = F.pad(features, (0, self.n_outputs + 1))
        for number, block in enumerate(self._blocks()):
            own = {n.split(".")[1]: v for n, v in adapted.items() if n.startswith(f"{number}.")}
            rows = torch.cat([rows, block.look_back(rows, own, adapted["weight"])], dim=-1)
        output: Tensor = self.head(side_by_side(rows))
        return output

    def initial(self) -> Adapted | None:
        """Return the state of an empty sequence (none where the classes are private)."""
        if self.private_labels:
            return None
        own = self.head.weight.detach()
        nothing = own.new_zeros(1, 0, self.n_features_out + self.n_outputs + 1)
        return one_task({n: v.detach() for n, v in self._run(nothing, nothing[..., 0]).items()})

    def _run(self, rows: Tensor, weight: Tensor) -> Adapted:
        """Return what later rows look back at, after (task, row, labelled embedding)."""
        # Padding to the front, where it is as the nothing before a sequence: so it lies
        # between no two rows, and the last row of each task is the last of the stack.
        order = torch.argsort((weight > 0).to(torch.uint8), dim=1, stable=True)
        weight = weight.gather(1, order)
        rows = rows.gather(1, order[..., None].expand_as(rows)) * weight[..., None]
        state = {"weight": weight}
        for number, block in enumerate(self._blocks()):
            appended, kept = block.run(rows, weight)
            state.update({f"{number}.{name}": value for name, value in kept.items()})
            rows = torch.cat([rows, appended * weight[..., None]], dim=-1)
        return state

    def _blocks(self) -> list[_Attention | _Convolution]:
        return list(self.blocks)  # type: ignore[arg-type]

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"n_filters": Integer(16, 64, log=True), "n_dilations": Integer(2, 6)}


class _Convolution(nn.Module):
    """A causal convolution over a row and the one `dilation` before it, with a gate."""

    def __init__(self, width: int, n_filters: int, dilation: int) -> None:
        super().__init__()
        self.n_appended = n_filters
        self.dilation = dilation
        self.filters = nn.Linear(2 * width, 2 * n_filters)

    def run(self, rows: Tensor, weight: Tensor) -> tuple[Tensor, Adapted]:
        """Return what is appended to each row, and the input that a next row looks back at."""
        del weight  # padding is zero, as what is before a sequence
        padded = F.pad(rows, (0, 0, self.dilation, 0))
        kept = padded[:, -self.dilation]
        return self._gated(rows, padded[:, : rows.shape[1]]), {"before": kept}

    def look_back(self, rows: Tensor, kept: Adapted, weight: Tensor) -> Tensor:
        """Return what is appended to rows each of which is the next of the sequence."""
        del weight
        return self._gated(rows, kept["before"][:, None].expand_as(rows))

    def _gated(self, rows: Tensor, before: Tensor) -> Tensor:
        value, gate = self.filters(torch.cat([rows, before], dim=-1)).chunk(2, dim=-1)
        gated: Tensor = torch.tanh(value) * torch.sigmoid(gate)
        return gated


class _Attention(nn.Module):
    """Causal attention of a row to itself and to the rows before it."""

    def __init__(self, width: int, key_size: int, value_size: int) -> None:
        super().__init__()
        self.n_appended = value_size
        self.query = nn.Linear(width, key_size)
        self.key = nn.Linear(width, key_size)
        self.value = nn.Linear(width, value_size)

    def run(self, rows: Tensor, weight: Tensor) -> tuple[Tensor, Adapted]:
        """Return what is appended to each row, and the keys and values of all."""
        keys, values = self.key(rows), self.value(rows)
        n_rows = rows.shape[1]
        causal = torch.ones(n_rows, n_rows, dtype=torch.bool, device=rows.device).tril()
        # A row of padding sees itself, so that no softmax is over nothing.
        itself = torch.eye(n_rows, dtype=torch.bool, device=rows.device)
        seen = causal & ((weight > 0)[:, None] | itself)
        scores = (self.query(rows) @ keys.mT / math.sqrt(keys.shape[-1])).masked_fill(
            ~seen, -math.inf
        )
        return torch.softmax(scores, dim=-1) @ values, {"keys": keys, "values": values}

    def look_back(self, rows: Tensor, kept: Adapted, weight: Tensor) -> Tensor:
        """Return what is appended to rows each of which is the next of the sequence."""
        query, value = self.query(rows), self.value(rows)
        scores = (query @ kept["keys"].mT).masked_fill(~(weight > 0)[:, None], -math.inf)
        own = (query * self.key(rows)).sum(-1, keepdim=True)
        weights = torch.softmax(
            torch.cat([scores, own], dim=-1) / math.sqrt(query.shape[-1]), dim=-1
        )
        found: Tensor = weights[..., :-1] @ kept["values"] + weights[..., -1:] * value
        return found
