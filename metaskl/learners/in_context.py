"""In-context learning: a transformer reads the support and predicts in one forward pass."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.attention import AttentionBlock, attend, hidden_keys, log_probabilities
from metaskl.learners.base import Adapted, embed_tasks, one_task, stack_of_one
from metaskl.learners.density import negative_log_density
from metaskl.learners.space import Choice, Dimension, Integer
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

# The score of a token with itself before meta-training; of one at a right angle it is 0.
_SHARPNESS = 10.0
# Standard deviations from 1e-3 to 1e3 times those of the targets.
_LOG_STD = (-6.9, 6.9)


class InContext(StackedLearner):
    """A transformer that reads a support and predicts a query, in one forward pass [1]_ [2]_.

    Each support row is a token: its features φ(x) and its target, embedded and added. The
    tokens attend to each other; a query row attends to them layer by layer, never to other
    query rows. Nothing is fitted to a task: the network has learned from the tasks how to
    learn one. There are no positions, so the order of the support does not matter; any number
    of rows and of private classes will do.

    Numbers have a Gaussian head, mean and standard deviation, trained by its density. The mean
    and the logits start as attention over the support's targets; for numbers and shared classes
    a linear head adds to it. Classes private to a task have no embedding of their own (class 0
    of one task has nothing to do with class 0 of another): rows of one class attend to each
    other by a learned amount more, so that permuting the classes permutes the logits exactly.
    Numbers and shared classes also have learned tokens that stand for what is known before a
    support.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; embeds one row.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    width : int, default=64
        Values of a token; a multiple of `n_heads`.
    n_layers : int, default=3
        Layers of the transformer, >= 1.
    n_heads : int, default=4
        Attention heads of a layer, >= 1.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Notes
    -----
    What is adapted are the keys and values of each layer, so that a prediction costs one pass
    over the query. Adapting takes time in the square of the support's rows: a thousand take
    some tenth of a second on a CPU core, ten thousand 12 to 17. There is no other bound on rows
    or classes. Memory of adapting is bounded, 0.3 GiB at ten thousand rows, since scores are
    computed in chunks; but with private labels all pairs of rows are held, 5 GiB. So are they in
    meta-training: 1.2 GiB for 16 tasks of a thousand rows. Supports much larger than in
    meta-training (`n_shot` of the estimators) are read badly.

    References
    ----------
    .. [1] S. Müller, N. Hollmann, S. Pineda Arango, J. Grabocka, F. Hutter. Transformers Can
       Do Bayesian Inference. ICLR 2022.
    .. [2] S. Garg, D. Tsipras, P. Liang, G. Valiant. What Can Transformers Learn In-Context?
       A Case Study of Simple Function Classes. NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.in_context import InContext
    >>> learner = InContext(MLP(()).build((2,)), 1, width=8, n_layers=1, n_heads=2)
    >>> adapted = learner.adapt(torch.zeros(5, 2), torch.ones(5, 1))
    >>> learner.predict(adapted, torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        width: int = 64,
        n_layers: int = 3,
        n_heads: int = 4,
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
        if n_layers < 1 or n_heads < 1 or width < 1 or width % n_heads:
            raise ParameterError(
                "n_layers and n_heads must be at least 1 and width a multiple of n_heads, got "
                f"n_layers={n_layers}, n_heads={n_heads}, width={width}. Start from the defaults."
            )
        self.backbone = backbone
        self.width = width
        self.rows = nn.Linear(self.n_features_out, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        self.read_query = nn.Linear(width, width)
        self.read_key = nn.Linear(width, width, bias=False)
        # Like tokens attend to each other from the start, as in kernel regression.
        nn.init.orthogonal_(self.read_query.weight, math.sqrt(_SHARPNESS / math.sqrt(width)))
        with torch.no_grad():
            self.read_key.weight.copy_(self.read_query.weight)
        if private_labels:
            self.same_class = nn.Parameter(torch.ones(n_layers, n_heads, 1, 1))
            return
        # Known before any support: one token for each shared class, or one for a number.
        n_prior = 1 if kind == "regression" else n_outputs
        self.labels = nn.Linear(n_outputs, width)
        self.prior_tokens = nn.Parameter(torch.randn(n_prior, width))
        self.head = nn.Linear(width, 2 * n_outputs if kind == "regression" else n_outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Read the supports of a stack of tasks."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        tokens = self.rows(embed_tasks(self.backbone, X_support))
        if self.private_labels:
            return self._read(tokens, y_support, weight)
        tokens = tokens + self.labels(y_support)
        return self._read(*self._with_prior(tokens, y_support, weight))

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return predictive means, or logits, of a stack of tasks."""
        if self.kind == "regression":
            return self._gaussian(adapted, X_query)[0]
        tokens, shares = self._attend(adapted, X_query)
        logits = log_probabilities(shares)
        return logits if self.private_labels else logits + self.head(tokens)

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the standard deviation of the predictive distribution, noise included."""
        if self.kind != "regression":
            return None
        return self._gaussian(stack_of_one(adapted), X_query[None])[1][0].exp()

    def initial(self) -> Adapted | None:
        """Return what the learned prior says (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        with torch.no_grad():
            empty = self.prior_tokens.new_zeros(1, 0, self.width)
            labels, weight = empty[..., : self.n_outputs], empty[..., 0]
            return one_task(self._read(*self._with_prior(empty, labels, weight)))

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the negative log predictive density of the query, averaged over tasks."""
        if self.kind == "classification":
            return super().episode_loss(episode)
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        mean, log_std = self._gaussian(adapted, episode.X_query)
        variance = torch.exp(2 * log_std)
        return negative_log_density(mean, variance, episode.y_query, episode.weight_query)

    def _with_prior(
        self, tokens: Tensor, y: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put the learned tokens before a support's, each with what it stands for."""
        n_prior = len(self.prior_tokens)
        known = y.new_zeros(1, y.shape[-1])
        if self.kind != "regression":
            known = torch.eye(n_prior, dtype=y.dtype, device=y.device)
        first = (self.prior_tokens, known, weight.new_ones(n_prior))
        tokens, y, weight = (
            torch.cat([ours.expand(len(own), *ours.shape), own], dim=1)
            for ours, own in zip(first, (tokens, y, weight), strict=True)
        )
        return tokens, y, weight

    def _read(self, tokens: Tensor, y: Tensor, weight: Tensor) -> Adapted:
        """Return what queries attend to: each layer's keys and values, and the last tokens."""
        hidden = hidden_keys(weight)[:, None]
        alike = (y @ y.mT)[:, None] if self.private_labels else None
        keys, values = [], []
        for number, block in enumerate(self.blocks):
            k, v = cast(AttentionBlock, block).keys_and_values(tokens)
            bias = hidden if alike is None else hidden + self.same_class[number] * alike
            tokens = block(tokens, k, v, bias)
            keys.append(k)
            values.append(v)
        return {
            "keys": torch.stack(keys, dim=1),
            "values": torch.stack(values, dim=1),
            "read_keys": self.read_key(self.norm(tokens)),
            "targets": y,
            "hidden": hidden[:, 0],
        }

    def _attend(self, adapted: Adapted, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the query's last tokens, and the means of the targets that they attend to."""
        tokens = self.rows(embed_tasks(self.backbone, X))
        hidden = adapted["hidden"]
        for number, block in enumerate(self.blocks):
            keys, values = adapted["keys"][:, number], adapted["values"][:, number]
            tokens = block(tokens, keys, values, hidden[:, None])
        tokens = self.norm(tokens)
        query = self.read_query(tokens)
        return tokens, attend(query, adapted["read_keys"], adapted["targets"], hidden)

    def _gaussian(self, adapted: Adapted, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictive means and logarithms of standard deviations."""
        tokens, read = self._attend(adapted, X)
        mean, log_std = self.head(tokens).chunk(2, dim=-1)
        return read + mean, log_std.clamp(*_LOG_STD)

    def undecayed(self) -> list[nn.Parameter]:
        """Return how much more rows of one class attend to each other, which is no weight."""
        return [self.same_class] if self.private_labels else []

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"width": Choice((32, 64, 128)), "n_layers": Integer(1, 4)}
