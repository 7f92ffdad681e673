"""Attentive conditional neural processes: a query row looks up the support rows like it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.attention import attend, hidden_keys
from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.neural_process import NeuralProcess


class AttentiveCNP(NeuralProcess):
    """Attentive conditional neural processes [1]_: a code of the support for each query row.

    As :class:`~metaskl.learners.cnp.CNP`, but a query row reads the codes of the support rows by
    multi-head attention from φ(x*) to φ(x_i), so that it can follow single rows. This is
    the deterministic path of the attentive neural process. One more row, meta-learned, can always
    be attended to: it is what is known before any support row. Of classes private to a task
    each is read by itself: a row has one code for its own class, and another for the others.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    hidden_size : int, default=64
        Width of encoder, attention and decoder, a multiple of `n_heads`.
    n_heads : int, default=4
        Heads of the attention, >= 1.
    min_std : float, default=0.1
        Smallest standard deviation, in (0, 1), in units of the (standardised) targets.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] H. Kim, A. Mnih, J. Schwarz, M. Garnelo, A. Eslami, D. Rosenbaum, O. Vinyals,
       Y. W. Teh. Attentive Neural Processes. ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.attentive_cnp import AttentiveCNP
    >>> learner = AttentiveCNP(MLP(()).build((1,)), 1, hidden_size=8)
    >>> adapted = learner.adapt(torch.zeros(5, 1), torch.ones(5, 1))
    >>> learner.predict(adapted, torch.zeros(3, 1)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        hidden_size: int = 64,
        n_heads: int = 4,
        min_std: float = 0.1,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            hidden_size=hidden_size,
            min_std=min_std,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if n_heads < 1 or hidden_size % n_heads:
            raise ParameterError(
                f"hidden_size must be a multiple of n_heads, which is at least 1, got "
                f"{hidden_size} and {n_heads}. Try hidden_size=64 and n_heads=4."
            )
        self.n_heads = n_heads
        # One projection for both sides, so that a row looks up its equals from the start.
        self.look = nn.Linear(self.n_features_out, hidden_size, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.prior_key = nn.Parameter(torch.zeros(hidden_size))
        self.prior_value = nn.Parameter(torch.zeros(hidden_size))
        self.log_sharpness = nn.Parameter(torch.zeros(n_heads))

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Store keys and values of the supports of a stack of tasks."""
        features = embed_tasks(self.backbone, X_support)
        present = features.new_ones(features.shape[:2]) if weight is None else weight
        if self.private_labels:
            one = torch.ones_like(features[..., :1])
            own, other = (self.value(self._codes(features, y)) for y in (one, 0 * one))
            values = torch.where(y_support[..., None] > 0, own[:, :, None], other[:, :, None])
        else:
            values = self.value(self._codes(features, y_support))
        return {"keys": self.look(features), "values": values, "present": present}

    def read(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return what each query row reads from the support and from the prior row."""
        n_tasks, n_rows = features.shape[:2]
        known = adapted["values"]  # (task, row, hidden), of private classes (.., class, hidden)
        prior_key = self.prior_key.expand(n_tasks, 1, -1).to(adapted["keys"])
        prior_value = self.prior_value.expand(n_tasks, 1, *known.shape[2:]).to(known)
        keys = self._heads(torch.cat([prior_key, adapted["keys"]], dim=1))
        values = self._heads(torch.cat([prior_value, known], dim=1))
        always = adapted["present"].new_ones(n_tasks, 1)
        present = torch.cat([always, adapted["present"]], dim=1)
        queries = self._heads(self.look(features)) * self.log_sharpness.exp()[:, None, None]
        found = attend(queries, keys, values, hidden_keys(present)[:, None])
        # Heads beside their values again: (task, head, row, .., value) to (task, row, .., hidden).
        split = found.reshape(
            *found.shape[:3], *known.shape[2:-1], self.hidden_size // self.n_heads
        )
        return split.movedim(1, -2).reshape(n_tasks, n_rows, *known.shape[2:])

    def initial(self) -> Adapted | None:
        """Return a support without rows (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        nothing = self.prior_key.detach().new_zeros(1, self.hidden_size)
        return {"keys": nothing, "values": nothing.clone(), "present": nothing[:, 0].clone()}

    def _heads(self, rows: Tensor) -> Tensor:
        """Split (task, row, .., hidden) to (task, head, row, .. · hidden / head)."""
        split = rows.reshape(*rows.shape[:-1], self.n_heads, -1).movedim(-2, 1)
        return split.flatten(3)
