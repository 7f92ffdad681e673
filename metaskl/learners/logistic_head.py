"""Logistic regression with a meta-learned prior on meta-learned features."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype
from metaskl.learners.bounds import within
from metaskl.learners.irls import logistic_weights
from metaskl.learners.space import Dimension, Real
from metaskl.learners.stacked import StackedLearner

# w₀ is learned in units of this. Adam moves every number by about its rate a step, and the
# log-odds of a rare class lie far from 0: with units of 1 the prior would not arrive in time.
_PRIOR_UNIT = 5.0


class LogisticHead(StackedLearner):
    """Logistic regression on learned features, solved to its maximum for each task [1]_.

    A row's features φ(x) come from the backbone, with a 1 appended. A task's weights have the
    prior N(w₀, Λ₀⁻¹) with w₀ and Λ₀ (diagonal) meta-learned with the backbone; adapting finds
    the weights of highest posterior density by Newton's method. For classes that the tasks
    share and that are unbalanced (mines and clutter, sick and healthy) the likelihood is the
    right one, which one-hot targets of a ridge head are not. More than two classes are told
    each from the rest.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Classes.
    kind : {"classification"}, default="classification"
        Regression has the ridge head.
    prior_precision : float, default=10.0
        Diagonal of Λ₀ before meta-training, > 0.
    newton_steps : int, default=20
        Newton steps at most, >= 1; they end where all tasks have converged.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`. Private classes have w₀ = 0.

    Notes
    -----
    In [1]_ the outer gradient goes through a fixed number of steps. Here it is the one of the
    maximum itself (implicit), which those gradients tend to as the steps converge.

    Of more than two classes the probabilities are the softmax of the regressions' log-odds times
    a learned scale, since it is the cross entropy of these that meta-training lowers.
    :class:`~metaskl.learners.linear_probe.LinearProbe`, whose head is not meta-trained, divides
    the regressions' own probabilities by their sum. The likeliest class is the same; of two
    classes, with a scale of 1, so are the probabilities. Neither is scikit-learn's
    ``LogisticRegression``, which fits all classes together.

    References
    ----------
    .. [1] L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi. Meta-Learning with Differentiable
       Closed-Form Solvers. ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.logistic_head import LogisticHead
    >>> learner = LogisticHead(MLP(()).build((1,)), 2, prior_precision=1.0)
    >>> adapted = learner.adapt(torch.tensor([[-1.0], [1.0]]), torch.eye(2))
    >>> learner.predict(adapted, torch.tensor([[3.0]])).softmax(-1).round(decimals=1).tolist()
    [[0.10000000149011612, 0.8999999761581421]]
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classification"})

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "classification",
        prior_precision: float = 10.0,
        newton_steps: int = 20,
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
        if not prior_precision > 0 or newton_steps < 1:
            raise ParameterError(
                "prior_precision must be above 0 and newton_steps at least 1, got "
                f"{prior_precision} and {newton_steps}. Start from the defaults."
            )
        self.backbone = backbone
        self.newton_steps = newton_steps
        size = self.n_features_out + 1
        self.log_precision = nn.Parameter(torch.full((size,), math.log(prior_precision)))
        self.log_scale = nn.Parameter(torch.tensor(0.0))
        shared = not private_labels
        self.prior_weight = nn.Parameter(torch.zeros(size, n_logits(n_outputs)), shared)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Solve for the heads of a stack of tasks at once."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        solved = logistic_weights(
            self._features(X_support),
            _precise(told_apart(y_support)),
            _precise(weight),
            self._prior(y_support.shape[-1]),
            _precise(within(self.log_precision, -14.0, 14.0)).exp(),
            max_steps=self.newton_steps,
        )
        return {"weight": solved}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the logits of a stack of tasks."""
        logit = (self._features(X_query) @ adapted["weight"]).to(X_query.dtype)
        if logit.shape[-1] == 1:  # of the second class against the first
            logit = torch.cat([-0.5 * logit, 0.5 * logit], dim=-1)
        return logit * self.log_scale.exp()

    def initial(self) -> Adapted | None:
        """Return the prior (none where the classes are private to a task)."""
        return None if self.private_labels else {"weight": self._prior(self.n_outputs).detach()}

    def _features(self, X: Tensor) -> Tensor:
        """Return (task, row, embedding + 1) in the precision of the solve."""
        features = embed_tasks(self.backbone, X)
        return _precise(torch.cat([features, torch.ones_like(features[..., :1])], dim=-1))

    def _prior(self, n_outputs: int) -> Tensor:
        if self.private_labels:  # classes unknown beforehand, and maybe of another number
            size = len(self.prior_weight)
            return _precise(self.prior_weight.new_zeros(size, n_logits(n_outputs)))
        return _PRIOR_UNIT * _precise(self.prior_weight)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"prior_precision": Real(0.1, 300.0, log=True)}


def _precise(values: Tensor) -> Tensor:
    return values.to(solve_dtype(values.device))


def n_logits(n_classes: int) -> int:
    """Return how many logistic regressions tell classes apart: one for two classes."""
    return 1 if n_classes == 2 else n_classes


def told_apart(one_hot: Tensor) -> Tensor:
    """Return the targets of these regressions: the second class, or each from the rest."""
    return one_hot[..., 1:] if one_hot.shape[-1] == 2 else one_hot
