"""SimpleShot: the nearest centroid of normalised features of an ordinary classifier."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, map_rows
from metaskl.learners.network import Network
from metaskl.learners.pool import pool_rows
from metaskl.learners.prototypes import negative_squared_distances
from metaskl.learners.space import Dimension, Real
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

# What remains of the running mean of the features after each training step.
_MEMORY = 0.95


class SimpleShot(StackedLearner):
    """SimpleShot [1]_: train a plain classifier, then take the nearest centroid of its features.

    Meta-training is ordinary classification of the pool's classes, without episodes. A row's
    features are centred by their mean over the pool and scaled to length 1 (the paper's CL2N);
    a class is the mean of its support. The baseline that a metric learner has to beat on
    classes private to a task. Of shared classes, one that the support lacks keeps the centroid
    of the pool.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; may be pre-trained.
    n_outputs : int
        Classes.
    kind : {"classification"}, default="classification"
        Regression has no centroids.
    scale : float, default=10.0
        How sharp the probabilities are, > 0: logits are −scale · ‖z(x) − c_k‖². The most
        probable class does not depend on it.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`; training tells the pool's classes apart.

    References
    ----------
    .. [1] Y. Wang, W.-L. Chao, K. Weinberger, L. van der Maaten. SimpleShot: Revisiting
       Nearest-Neighbor Classification for Few-Shot Learning. arXiv 2019.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.simpleshot import SimpleShot
    >>> body = MLP(()).build((2,))
    >>> learner = SimpleShot(body, 2, private_labels=True, n_pool_classes=7)
    >>> adapted = learner.adapt(torch.tensor([[5.0, 0.0], [0.0, 2.0]]), torch.eye(2))
    >>> learner.predict(adapted, torch.tensor([[1.0, 0.0]])).tolist()
    [[0.0, -20.0]]
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classification"})
    uses_pool: ClassVar[bool] = True
    feature_total: Tensor
    feature_count: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "classification",
        scale: float = 10.0,
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
        if not scale > 0:
            raise ParameterError(f"scale must be above 0, got {scale}. The default is 10.")
        self.scale = scale
        self.network = Network(backbone, n_pool_classes if private_labels else n_outputs)
        # Running sums of the training features, by shared class, or of all private ones.
        n_kept = 1 if private_labels else n_outputs
        self.register_buffer("feature_total", torch.zeros(n_kept, self.n_features_out))
        self.register_buffer("feature_count", torch.zeros(n_kept, 1))

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Average the normalised supports of a stack of tasks by class."""
        member = y_support if weight is None else y_support * weight[..., None]
        features = self._normalised(embed_tasks(self.network.body, X_support))
        count = member.sum(1)[..., None]
        centroids = member.mT @ features / count.clamp_min(1.0)
        if not self.private_labels:
            centroids = torch.where(count > 0, centroids, self._pool_centroids())
        return {"centroids": centroids}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return minus the scaled squared distances for a stack of tasks."""
        features = self._normalised(embed_tasks(self.network.body, X_query))
        return self.scale * negative_squared_distances(features, adapted["centroids"])

    def initial(self) -> Adapted | None:
        """Return the pool's centroids (none where the classes are private to a task)."""
        return None if self.private_labels else {"centroids": self._pool_centroids()}

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the cross entropy of all rows, support and query alike, without adapting."""
        X, y, weight = pool_rows(episode, self.n_pool_classes if self.private_labels else 0)
        features = map_rows(self.network.body, X, weight)
        if self.training:
            self._remember(features.detach(), y, weight)
        return self.task_loss(self.network.head(features), y, weight).mean()

    def _remember(self, features: Tensor, y: Tensor, weight: Tensor) -> None:
        """Add the features of a training step to the running sums."""
        member = weight[..., None] if self.private_labels else y * weight[..., None]
        member = member.flatten(0, 1).to(self.feature_total)
        self.feature_total.mul_(_MEMORY).add_(member.mT @ features.flatten(0, 1).to(member))
        self.feature_count.mul_(_MEMORY).add_(member.sum(0)[:, None])

    def _normalised(self, features: Tensor) -> Tensor:
        mean = self.feature_total.sum(0) / self.feature_count.sum().clamp_min(1.0)
        return F.normalize(features - mean, dim=-1)

    def _pool_centroids(self) -> Tensor:
        means = self.feature_total / self.feature_count.clamp_min(1e-6)
        return self._normalised(means)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching: for probabilities, not for classes."""
        return {"scale": Real(1.0, 100.0, log=True)}
