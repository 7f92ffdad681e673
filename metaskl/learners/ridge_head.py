"""A closed-form Bayesian linear head on meta-learned features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype, stack_of_one
from metaskl.learners.bounds import within
from metaskl.learners.cholesky import cholesky
from metaskl.learners.density import negative_log_density
from metaskl.learners.space import Dimension, Real
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

# What is added to a unit diagonal, so that the rounding of ΦᵀΦ leaves it positive definite.
_JITTER = {torch.float64: 1e-10, torch.float32: 1e-5}


class RidgeHead(StackedLearner):
    """Ridge regression on learned features, solved exactly for each task [1]_ [2]_.

    A row's features φ(x) come from the backbone, with a 1 appended. A task's weights have the
    prior N(w₀, Λ₀⁻¹), its targets the noise σ²; w₀, Λ₀ (diagonal) and σ are meta-learned with
    the backbone. Adapting is one linear solve:
    Λ = Λ₀ + ΦᵀΦ / σ², w = w₀ + Λ⁻¹ Φᵀ(y − Φ w₀) / σ². Classification regresses one-hot
    targets and scales the result to logits [1]_. Cheap, steady, hard to beat on tables:
    prefer it to MAML there.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    noise : float, default=0.8
        σ before meta-training, > 0, in units of the (standardised) targets.
    prior_precision : float, default=100.0
        Diagonal of Λ₀ before meta-training, > 0.
    likelihood : bool, default=True
        Regression: train by the predictive density of the query [2]_, which makes the
        standard deviations honest, instead of the squared error.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`. Private classes have w₀ = 0.

    Notes
    -----
    The solve is in float64 and of the size of the support or of the features, whichever is
    smaller. On a device without float64 (Apple's MPS) it is in float32, with a
    jitter that keeps it well-behaved.

    References
    ----------
    .. [1] L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi. Meta-Learning with Differentiable
       Closed-Form Solvers. ICLR 2019.
    .. [2] J. Harrison, A. Sharma, M. Pavone. Meta-Learning Priors for Efficient Online
       Bayesian Regression. WAFR 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.ridge_head import RidgeHead
    >>> learner = RidgeHead(MLP(()).build((1,)), 1, noise=1e-3, prior_precision=1e-6)
    >>> adapted = learner.adapt(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> learner.predict(adapted, torch.tensor([[2.0]])).round().tolist()
    [[5.0]]
    """

    # In the class, so that the path without float64 can be tried on a device that has it.
    _solve_dtype = staticmethod(solve_dtype)

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        noise: float = 0.8,
        prior_precision: float = 100.0,
        likelihood: bool = True,
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
        if not (noise > 0 and prior_precision > 0):
            raise ParameterError(
                f"noise and prior_precision must be above 0, got {noise} and {prior_precision}. "
                "Both are learned from there; the defaults suit standardised targets."
            )
        self.backbone = backbone
        size = self.n_features_out + 1
        self.likelihood = likelihood and kind == "regression"
        self.log_noise = nn.Parameter(torch.tensor(math.log(noise)))
        self.log_precision = nn.Parameter(torch.full((size,), math.log(prior_precision)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(4.0)), kind == "classification")
        shared = not private_labels
        self.prior_weight = nn.Parameter(torch.zeros(size, n_outputs), requires_grad=shared)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Solve for the heads of a stack of tasks at once."""
        features = self._features(X_support)
        if weight is not None:  # a row of weight 0 adds nothing to ΦᵀΦ and Φᵀy
            features = features * weight[..., None]
        prior = self._prior(y_support.shape[-1])
        residual = self._targets(y_support) - features @ prior
        if weight is not None:
            residual = residual * weight[..., None]
        if features.shape[1] > features.shape[2]:
            features, residual = _compressed(features, residual)
        # Woodbury, for rows are few: with A = Φ Λ₀⁻¹ and K = Φ Aᵀ + σ² I = L Lᵀ,
        # Λ⁻¹ Φᵀ r / σ² = Aᵀ K⁻¹ r and Λ⁻¹ = Λ₀⁻¹ − HᵀH with H = L⁻¹ A.
        scaled = features * torch.exp(-self._log_precision())
        eye = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
        kernel = features @ scaled.mT + torch.exp(2 * self._log_noise()) * eye
        factor = cholesky(kernel)
        half = torch.linalg.solve_triangular(factor, scaled, upper=False)
        change = half.mT @ torch.linalg.solve_triangular(factor, residual, upper=False)
        return {"weight": prior + change, "half": half}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the posterior means, or logits, of a stack of tasks."""
        output = (self._features(X_query) @ adapted["weight"]).to(X_query.dtype)
        return output if self.kind == "regression" else output * self.log_scale.exp()

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the standard deviation of the predictive distribution, noise included."""
        if self.kind != "regression":
            return None
        n_outputs = adapted["weight"].shape[-1]
        variance = self._variance(stack_of_one(adapted), self._features(X_query[None]))[0]
        return variance.sqrt().to(X_query.dtype)[:, None].expand(-1, n_outputs)

    def initial(self) -> Adapted | None:
        """Return the prior (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        weight = self._prior(self.n_outputs).detach()
        return {"weight": weight, "half": weight.new_zeros(1, len(weight))}

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the negative log predictive density of the query, or its mean loss."""
        if not self.likelihood:
            return super().episode_loss(episode)
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        features = self._features(episode.X_query)
        mean = features @ adapted["weight"]
        variance = self._variance(adapted, features)[..., None]
        return negative_log_density(mean, variance, episode.y_query, episode.weight_query)

    def _features(self, X: Tensor) -> Tensor:
        """Return (task, row, embedding + 1) in the precision of the solve."""
        features = embed_tasks(self.backbone, X)
        return self._precise(torch.cat([features, torch.ones_like(features[..., :1])], dim=-1))

    def _precise(self, values: Tensor) -> Tensor:
        return values.to(self._solve_dtype(values.device))

    def _log_precision(self) -> Tensor:
        return self._precise(within(self.log_precision, -14.0, 14.0))

    def _log_noise(self) -> Tensor:
        # From 1e-3 up: noise-free targets would drive σ to 0 and the solve out of float64.
        return self._precise(within(self.log_noise, -6.9, 7.0))

    def _prior(self, n_outputs: int) -> Tensor:
        if self.private_labels:  # classes unknown beforehand, and maybe of another number
            none = self.prior_weight.new_zeros(len(self.prior_weight), n_outputs)
            return self._precise(none)
        return self._precise(self.prior_weight)

    def _targets(self, y: Tensor) -> Tensor:
        y = self._precise(y)
        return y if self.kind == "regression" else y - 1.0 / y.shape[-1]

    def _variance(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return the predictive variance (task, row): σ² + φᵀ Λ⁻¹ φ, Λ⁻¹ = Λ₀⁻¹ − HᵀH."""
        prior = (features**2 * torch.exp(-self._log_precision())).sum(-1)
        known = ((features @ adapted["half"].mT) ** 2).sum(-1)
        return (prior - known).clamp_min(0.0) + torch.exp(2 * self._log_noise())

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"noise": Real(0.05, 1.0, log=True), "prior_precision": Real(0.1, 100.0, log=True)}


def _compressed(features: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Return as many rows as there are features, with the same ΦᵀΦ and Φᵀr."""
    gram = features.mT @ features
    # Scaled to a unit diagonal first, so that the jitter is as small for every feature.
    size = gram.diagonal(dim1=-2, dim2=-1).clamp_min(1e-30).sqrt()
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    unit = gram / (size[:, :, None] * size[:, None, :])
    factor = size[:, :, None] * cholesky(unit + _JITTER[gram.dtype] * eye)
    return factor.mT, torch.linalg.solve_triangular(factor, features.mT @ residual, upper=False)
