"""What learners that hold one prototype a class have in common."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.products import row_product
from metaskl.learners.stacked import StackedLearner


class PrototypeLearner(StackedLearner):
    """A classifier whose adapting averages the support of each class.

    Where the tasks share their classes, each class also has a meta-learned prototype p_k that
    counts as κ more support rows, c_k = (κ p_k + Σ φ(x)) / (κ + n_k): a class that the support
    lacks keeps p_k. A subclass gives ``predict_tasks``.

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

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Average the supports of a stack of tasks by class."""
        member = y_support if weight is None else y_support * weight[..., None]
        return {"prototypes": self._prototypes(embed_tasks(self.backbone, X_support), member)}

    def initial(self) -> Adapted | None:
        """Return the prior prototypes (none where the classes are private to a task)."""
        return None if self.private_labels else {"prototypes": self.prior.detach()}

    def _prototypes(self, features: Tensor, member: Tensor) -> Tensor:
        """Return (task, class, embedding) from features and the weight of each row's class."""
        total = member.mT @ features
        count = member.sum(1)[..., None]
        if self.private_labels:
            return total / count.clamp_min(1.0)
        prior_count = self.log_prior_count.exp()[:, None]
        return (total + prior_count * self.prior) / (count + prior_count)


def negative_squared_distances(features: Tensor, points: Tensor) -> Tensor:
    """Return −‖x − c‖² of features (..., row, value) and points (..., point, value).

    ‖a‖² − 2 a·b + ‖b‖² as one batched product: no (task, row, point, value) array. Not in half
    precision, where the difference of large numbers would be noise.
    """
    with torch.autocast(features.device.type, enabled=False):
        dtype = torch.promote_types(features.dtype, torch.float32)
        features, points = features.to(dtype), points.to(dtype)
        cross = row_product(features, points.mT)
        norms = (points**2).sum(-1)[..., None, :] + (features**2).sum(-1, keepdim=True)
        return 2 * cross - norms
