"""Conditional neural processes: a support is the mean of its rows' codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.neural_process import NeuralProcess


class CNP(NeuralProcess):
    """Conditional neural processes [1]_: the support is encoded to one vector, and decoded.

    r = (κ r₀ + Σ h(φ(x_i), y_i)) / (κ + n) over the n support rows, and g(φ(x*), r) gives mean and
    standard deviation (logits of classes) of a query row. Adapting costs one forward pass
    whatever the task. r₀ and κ are meta-learned: r₀ is what is known before any row.
    It follows from one vector, so expect underfitting with many rows; see
    :class:`~metaskl.learners.attentive_cnp.AttentiveCNP`. Classes private to a task have a vector
    each, of the rows of that class alone.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    hidden_size : int, default=64
        Width of encoder and decoder, and length of r, >= 1.
    min_std : float, default=0.1
        Smallest standard deviation, in (0, 1), in units of the (standardised) targets.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    In the paper the vectors of an episode's classes are joined, and the decoder gives all logits
    at once. Here it gives the logit of each class from φ(x*) and the vector of that class: this
    learns much faster, and classes may be numbered as they like, and be of any number.

    References
    ----------
    .. [1] M. Garnelo, D. Rosenbaum, C. J. Maddison, T. Ramalho, D. Saxton, M. Shanahan,
       Y. W. Teh, D. J. Rezende, S. M. A. Eslami. Conditional Neural Processes. ICML 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.cnp import CNP
    >>> learner = CNP(MLP(()).build((1,)), 1, hidden_size=8)
    >>> adapted = learner.adapt(torch.zeros(5, 1), torch.ones(5, 1))
    >>> adapted["code"].shape, learner.predict(adapted, torch.zeros(3, 1)).shape
    (torch.Size([8]), torch.Size([3, 1]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        hidden_size: int = 64,
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
        self.prior_code = nn.Parameter(torch.zeros(hidden_size))
        self.log_prior_count = nn.Parameter(torch.zeros(()))

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Average the codes of the supports of a stack of tasks, private classes one by one."""
        features = embed_tasks(self.backbone, X_support)
        weight = features.new_ones(features.shape[:2]) if weight is None else weight
        member, y = weight[..., None], y_support
        if self.private_labels:  # a code is of a row that is of the class
            member, y = member * y_support, torch.ones_like(member)
        prior = self.log_prior_count.exp()
        total = member.mT @ self._codes(features, y) + prior * self.prior_code
        code = total / (member.sum(1)[..., None] + prior)
        return {"code": code if self.private_labels else code[:, 0]}

    def read(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return the code of the support, or of its classes, the same for each query row."""
        code = adapted["code"][:, None]
        return code if self.private_labels else code.expand(-1, features.shape[1], -1)

    def initial(self) -> Adapted | None:
        """Return the prior code (none where the classes are private to a task)."""
        return None if self.private_labels else {"code": self.prior_code.detach()}
