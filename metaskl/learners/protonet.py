"""Prototypical networks: a class is the mean of its support in a learned space."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from metaskl.learners.base import Adapted, MetaLearner, embed_tasks, one_task, stack_of_one
from metaskl.learners.space import Dimension


class ProtoNet(MetaLearner):
    """Prototypical networks [1]_: logits are −‖φ(x) − c_k‖², c_k the mean of class k's support.

    No inner loop and any number of classes: the cheapest learner, and the first to try on
    pictures and sentences with classes of their own. Where the tasks share their classes
    (sick or healthy), each class also has a meta-learned prototype p_k that counts as κ more
    support rows, c_k = (κ p_k + Σ φ(x)) / (κ + n_k): a class that the support lacks keeps p_k.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Classes.
    kind : {"classification"}, default="classification"
        Regression has no prototypes.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    References
    ----------
    .. [1] J. Snell, K. Swersky, R. Zemel. Prototypical Networks for Few-shot Learning.
       NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.protonet import ProtoNet
    >>> learner = ProtoNet(MLP(()).build((1,)), 2, private_labels=True)
    >>> adapted = learner.adapt(torch.tensor([[0.0], [4.0]]), torch.eye(2))
    >>> learner.predict(adapted, torch.tensor([[1.0]])).tolist()
    [[-1.0, -9.0]]
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classification"})

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "classification",
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
        self.backbone = backbone
        shared = not private_labels
        self.prior = nn.Parameter(torch.zeros(n_outputs, self.n_features_out), shared)
        self.log_prior_count = nn.Parameter(torch.zeros(n_outputs), shared)
        if shared:  # equal prototypes would tell no classes apart
            nn.init.normal_(self.prior, std=0.1)

    def adapt(self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None) -> Adapted:
        """Average one task's support by class."""
        weight = None if weight is None else weight[None]
        return one_task(self.adapt_tasks(X_support[None], y_support[None], weight))

    def predict(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return minus the squared distances to the prototypes."""
        return self.predict_tasks(stack_of_one(adapted), X_query[None])[0]

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Average the supports of a stack of tasks by class."""
        member = y_support if weight is None else y_support * weight[..., None]
        total = member.mT @ embed_tasks(self.backbone, X_support)
        count = member.sum(1)[..., None]
        if self.private_labels:
            return {"prototypes": total / count.clamp_min(1.0)}
        prior_count = self.log_prior_count.exp()[:, None]
        return {"prototypes": (total + prior_count * self.prior) / (count + prior_count)}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return minus the squared distances for a stack of tasks."""
        features = embed_tasks(self.backbone, X_query)
        # ‖a‖² − 2 a·b + ‖b‖² as one batched product: no (task, row, class, feature) array. Not in
        # half precision, where the difference of large numbers would be noise.
        with torch.autocast(features.device.type, enabled=False):
            dtype = torch.promote_types(features.dtype, torch.float32)
            features, prototypes = features.to(dtype), adapted["prototypes"].to(dtype)
            cross = features @ prototypes.mT
            norms = (prototypes**2).sum(-1)[:, None] + (features**2).sum(-1, keepdim=True)
            return 2 * cross - norms

    def initial(self) -> Adapted | None:
        """Return the prior prototypes (none where the classes are private to a task)."""
        return None if self.private_labels else {"prototypes": self.prior.detach()}

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return nothing: ProtoNet has no hyper-parameter of its own."""
        return {}
