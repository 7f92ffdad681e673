"""A linear probe: a linear model on the features of a pre-trained, frozen network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype
from metaskl.learners.cholesky import cholesky
from metaskl.learners.irls import logistic_weights
from metaskl.learners.logistic_head import n_logits, told_apart
from metaskl.learners.pretraining import Pretrained
from metaskl.learners.space import Choice, Dimension, Real


class LinearProbe(Pretrained):
    """Pre-train on all tasks together, then fit a linear model on the frozen features [1]_ [2]_.

    Meta-training is ordinary training. Adapting is a ridge regression, in closed form, or a
    logistic regression, by Newton's method to its maximum: no step size, no number of steps.
    The head is shrunk towards the pre-trained one by α (½ α for classes)
    ‖w − w₀‖² beside the sum of the support's losses, as scikit-learn's ``Ridge(alpha=α)`` and
    ``LogisticRegression(C=1 / α)`` are towards 0; its intercept is shrunk too. With a good
    pre-trained body a baseline that many meta-learners do not beat [2]_. More than two classes are
    told each from the rest.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; may be pre-trained.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    alpha : float, default=10.0
        α, how strongly the head is held to where it starts, > 0.
    new_head : bool, default=False
        Shrink towards 0 instead of the pre-trained head. Private classes have no other way.
    train_body : bool, default=True
        Whether meta-training changes the body; False leaves a pre-trained body as it is.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`; pre-training tells the pool's classes apart.

    Notes
    -----
    Of more than two classes the probabilities are those of the regressions, one for each class
    against the rest, divided by their sum, as in scikit-learn's ``OneVsRestClassifier``: each
    regression was fitted by itself, and nothing was trained to make a softmax of their log-odds a
    probability. In :class:`~metaskl.learners.logistic_head.LogisticHead` that is what
    meta-training does, so there the probabilities are that softmax. The likeliest class is the
    same. scikit-learn's ``LogisticRegression`` fits all classes together.

    References
    ----------
    .. [1] G. Alain, Y. Bengio. Understanding intermediate layers using linear classifier
       probes. ICLR 2017 workshop.
    .. [2] Y. Tian, Y. Wang, D. Krishnan, J. B. Tenenbaum, P. Isola. Rethinking Few-Shot Image
       Classification: a Good Embedding Is All You Need? ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.linear_probe import LinearProbe
    >>> learner = LinearProbe(MLP(()).build((1,)), 1, alpha=1e-6, new_head=True)
    >>> adapted = learner.adapt(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> learner.predict(adapted, torch.tensor([[2.0]])).detach().round().tolist()
    [[5.0]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        alpha: float = 10.0,
        new_head: bool = False,
        train_body: bool = True,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            train_body=train_body,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if not alpha > 0:
            raise ParameterError(
                f"alpha must be above 0, got {alpha}. Without it five rows decide every weight."
            )
        self.alpha = alpha
        self.new_head = new_head

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Fit the heads of a stack of tasks; no gradient reaches the meta-parameters."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        with torch.no_grad():
            features, rows = self._features(X_support), _precise(weight)
            start = self._start(y_support.shape[-1])
            if self.kind == "regression":
                residual = _precise(y_support) - features @ start
                solved = start + _ridge(features, residual, rows, self.alpha)
            else:
                alpha = torch.full_like(features[0, 0], self.alpha)
                target = _precise(told_apart(y_support))
                solved = logistic_weights(features, target, rows, start, alpha, max_steps=50)
        return {"weight": solved}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the targets, or the logarithms of what each class's model says."""
        output = (self._features(X_query) @ adapted["weight"]).to(X_query.dtype)
        if self.kind == "regression":
            return output
        if output.shape[-1] == 1:
            return torch.cat([F.logsigmoid(-output), F.logsigmoid(output)], dim=-1)
        return F.logsigmoid(output)

    def initial(self) -> Adapted | None:
        """Return the pre-trained head (none where the classes are private to a task)."""
        return None if self.private_labels else {"weight": self._pretrained_head()}

    def pretraining_loss(self, output: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the loss by which the head is fitted later, so that the two fit together."""
        one_by_one = self.kind == "classification" and not self.private_labels and y.shape[-1] > 2
        if not one_by_one:
            return super().pretraining_loss(output, y, weight)
        rows = F.binary_cross_entropy_with_logits(output, y, reduction="none").sum(-1) * weight
        return rows.sum(-1) / weight.sum(-1).clamp_min(1.0)

    def _features(self, X: Tensor) -> Tensor:
        """Return (task, row, embedding + 1) in the precision of the solve."""
        features = embed_tasks(self.network.body, X)
        return _precise(torch.cat([features, torch.ones_like(features[..., :1])], dim=-1))

    def _pretrained_head(self) -> Tensor:
        head = self.network.head
        weight = _precise(torch.cat([head.weight, head.bias[:, None]], dim=1).detach()).T
        if self.kind == "classification" and weight.shape[1] == 2:
            return weight[:, 1:] - weight[:, :1]
        return weight

    def _start(self, n_outputs: int) -> Tensor:
        if not (self.new_head or self.private_labels):
            return self._pretrained_head()
        width = n_outputs if self.kind == "regression" else n_logits(n_outputs)
        return _precise(self.network.head.weight.new_zeros(self.n_features_out + 1, width))

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"alpha": Real(0.01, 1000.0, log=True), "new_head": Choice((False, True))}


def _precise(values: Tensor) -> Tensor:
    return values.to(solve_dtype(values.device))


def _ridge(features: Tensor, residual: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """Return argmin ‖r − Φ w‖² + α ‖w‖² of each task, by the smaller of two equal solves."""
    features, residual = features * weight[..., None], residual * weight[..., None]
    n_rows, n_features = features.shape[1:]
    eye = torch.eye(min(n_rows, n_features), dtype=features.dtype, device=features.device)
    if n_rows < n_features:
        factor = cholesky(features @ features.mT + alpha * eye)
        return features.mT @ torch.cholesky_solve(residual, factor)
    factor = cholesky(features.mT @ features + alpha * eye)
    return torch.cholesky_solve(features.mT @ residual, factor)
