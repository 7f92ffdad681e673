"""Prototypical networks: a class is the mean of its support in a learned space."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype
from metaskl.learners.prototypes import PrototypeLearner, negative_squared_distances
from metaskl.learners.space import Choice, Dimension

_DISTANCES = ("euclidean", "mahalanobis")


class ProtoNet(PrototypeLearner):
    """Prototypical networks [1]_: logits are −s ‖φ(x) − c_k‖², c_k the mean of class k's support.

    No inner loop and any number of classes: the cheapest learner, and the first to try on
    pictures and sentences with classes of their own. Where the tasks share their classes
    (sick or healthy), each class also has a meta-learned prototype p_k that counts as κ more
    support rows, c_k = (κ p_k + Σ φ(x)) / (κ + n_k): a class that the support lacks keeps p_k.

    With ``distance="mahalanobis"`` each class has its own metric, as in Simple CNAPS [2]_:
    logits are −½ s (φ(x) − c_k)ᵀ Q_k⁻¹ (φ(x) − c_k), with Q_k = λ_k S_k + (1 − λ_k) S + I and
    λ_k = n_k / (n_k + 1), S_k the covariance of class k's support and S that of the whole.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Classes.
    kind : {"classification"}, default="classification"
        Regression has no prototypes.
    distance : {"euclidean", "mahalanobis"}, default="euclidean"
        How far a row is from a prototype. ``"mahalanobis"`` factors one matrix of the width of
        the features a class: for networks of up to a few hundred features.
    scale : {"learned"} or float, default="learned"
        How sharp the probabilities are, s > 0. ``"learned"`` starts at one over the square root
        of the number of features, for squared distances grow with their number and probabilities
        of 0 and 1 teach little; it is meta-learned from there. The papers have 1.0.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    References
    ----------
    .. [1] J. Snell, K. Swersky, R. Zemel. Prototypical Networks for Few-shot Learning.
       NeurIPS 2017.
    .. [2] P. Bateni, R. Goyal, V. Masrani, F. Wood, L. Sigal. Improved Few-Shot Visual
       Classification. CVPR 2020.

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

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "classification",
        distance: str = "euclidean",
        scale: str | float = "learned",
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
        if distance not in _DISTANCES:
            raise ParameterError(
                f"distance must be one of {_DISTANCES}, got {distance!r}. Take 'euclidean' unless "
                "the classes differ in their spread."
            )
        learned = isinstance(scale, str)
        if scale != "learned" and not (not learned and 0 < float(scale) < math.inf):
            raise ParameterError(
                f"scale must be 'learned' or a finite number above 0, got {scale!r}. The papers "
                "have 1.0."
            )
        self.distance = distance
        start = self.n_features_out**-0.5 if learned else float(scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)), requires_grad=learned)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Average the supports of a stack of tasks by class; find each class's metric."""
        if self.distance == "euclidean":
            return super().adapt_tasks(X_support, y_support, weight)
        member = y_support if weight is None else y_support * weight[..., None]
        features = embed_tasks(self.backbone, X_support)
        prototypes = self._prototypes(features, member)
        return {"prototypes": prototypes, "whitening": _whitening(features, member)}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return minus the scaled squared distances for a stack of tasks."""
        features = embed_tasks(self.backbone, X_query)
        scale = self.log_scale.exp()
        if self.distance == "euclidean":
            return scale * negative_squared_distances(features, adapted["prototypes"])
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(adapted["whitening"].dtype)
            prototypes = adapted["prototypes"].to(features)
            distances = [  # a class at a time: no (task, row, class, feature) array in use
                (((features - prototype[:, None]) @ whitening.mT) ** 2).sum(-1)
                for prototype, whitening in zip(
                    prototypes.unbind(1), adapted["whitening"].unbind(1), strict=True
                )
            ]
        return -0.5 * scale * torch.stack(distances, dim=-1)

    def initial(self) -> Adapted | None:
        """Return the prior prototypes (none where the classes are private to a task)."""
        adapted = super().initial()
        if adapted is not None and self.distance == "mahalanobis":
            n_classes, size = self.prior.shape
            adapted["whitening"] = torch.eye(size).to(self.prior).repeat(n_classes, 1, 1)
        return adapted

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"distance": Choice(_DISTANCES)}


def _whitening(features: Tensor, member: Tensor) -> Tensor:
    """Return W_k (task, class, feature, feature) with WᵀW = Q_k⁻¹.

    In float64 where the device has it: the smallest eigenvalue of Q_k is 1, the largest whatever
    the features make it.
    """
    with torch.autocast(features.device.type, enabled=False):
        dtype = torch.promote_types(features.dtype, torch.float32)
        precise = solve_dtype(features.device)
        features, member = features.to(precise), member.to(precise)
        count = member.sum(1)
        whole = _covariance(features, member.sum(-1))
        own = torch.stack([_covariance(features, each) for each in member.unbind(-1)], dim=1)
        share = (count / (count + 1))[..., None, None]
        eye = torch.eye(features.shape[-1], dtype=precise, device=features.device)
        factor = torch.linalg.cholesky(share * own + (1 - share) * whole[:, None] + eye)
        whitening: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False)
        return whitening.to(dtype)


def _covariance(features: Tensor, weight: Tensor) -> Tensor:
    """Return the covariance (task, feature, feature) of the rows of weight 1; 0 of fewer than 2."""
    count = weight.sum(1)[:, None, None]
    weight = weight[..., None]
    mean = (weight * features).sum(1, keepdim=True) / count.clamp_min(1.0)
    centred = weight * (features - mean)
    return centred.mT @ centred / (count - 1).clamp_min(1.0)
