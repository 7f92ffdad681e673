"""Adaptive deep kernel fitting: kernel parameters of each task, features by implicit gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.bounds import within
from metaskl.learners.gaussian_process import DeepKernelProcess, masked_factor, noise_variance
from metaskl.learners.kernels import covariance, length_derivatives
from metaskl.learners.newton import minimise, positive_solve
from metaskl.learners.space import Choice, Dimension, Real
from metaskl.tasks import Episode


class ADKF(DeepKernelProcess):
    """Adaptive deep kernel fitting with implicit differentiation (ADKF-IFT) [1]_.

    As :class:`~metaskl.learners.dkt.DKT`, but each task has a length scale, an amplitude and a
    noise level of its own, η = (log λ, log s, log σ): those that maximise the marginal likelihood
    of its support times a prior N(η₀, τ²), found by Newton's method. The features, the mean, the
    offset c and the prior η₀, τ are meta-learned by the predictive density of the query. The
    outer gradient through the inner maximum is exact, by the implicit function theorem:
    dη*/dθ = −H⁻¹ ∂²L/∂η∂θ, with H the 3 × 3 Hessian of each task.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="matern"
        As in :class:`~metaskl.learners.dkt.DKT`; the last three have no length scale.
    mean : {"linear", "constant", "zero"}, default="linear"
        The prior mean, as in :class:`~metaskl.learners.dkt.DKT`.
    adaptation_steps : int, default=20
        Largest number of Newton steps on a support, >= 1; it stops earlier at the optimum.
    prior_scale : float, default=0.2
        τ before meta-training, > 0: by how much tasks differ in η; kept between 0.05 and 2.7.
        The smaller, the more they are alike, as in DKT.
    noise : float, default=0.8
        Centre of the noise levels before meta-training, > 0, in units of the (standardised)
        targets.
    amplitude : float, default=0.5
        Centre of the amplitudes, and c, before meta-training, > 0, in the same units.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    Notes
    -----
    The paper has a fixed log-normal prior, on the length scale only.

    References
    ----------
    .. [1] W. Chen, A. Tripp, J. M. Hernández-Lobato. Meta-learning Adaptive Deep Kernel Gaussian
       Processes for Molecular Property Prediction. ICLR 2023.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.adkf_ift import ADKF
    >>> learner = ADKF(MLP(()).build((1,)), 1)
    >>> X = torch.linspace(-2, 2, 20)[:, None]
    >>> calm, noisy = learner.adapt(X, X), learner.adapt(X, (10 * X).sin())
    >>> bool(calm["hyper"][2] < noisy["hyper"][2])  # the noise levels
    True
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        kernel: str = "matern",
        mean: str = "linear",
        adaptation_steps: int = 20,
        prior_scale: float = 0.2,
        noise: float = 0.8,
        amplitude: float = 0.5,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            kernel=kernel,
            mean=mean,
            noise=noise,
            amplitude=amplitude,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if adaptation_steps < 1:
            raise ParameterError(
                f"adaptation_steps must be at least 1, got {adaptation_steps}. For a kernel that "
                "all tasks share use DKT."
            )
        if not prior_scale > 0:
            raise ParameterError(
                f"prior_scale must be above 0, got {prior_scale}. For a kernel that all tasks "
                "share use DKT."
            )
        self.adaptation_steps = adaptation_steps
        self.log_prior_scale = nn.Parameter(torch.full((3,), math.log(prior_scale)))

    def hyper_parameters(self, pairs: Tensor, residual: Tensor, weight: Tensor) -> Tensor:
        """Return each task's most probable η, with its implicit gradient."""
        support = Support(
            self.kernel,
            pairs,
            residual,
            weight,
            offset=self._offset(),
            centre=self.prior_centre(pairs),
            precision=torch.exp(-2 * within(self.log_prior_scale, -3.0, 1.0).to(pairs)),
        )
        with torch.no_grad():
            start = support.centre.expand(len(pairs), 3)
            best, hessian = minimise(support.loss, start, self.adaptation_steps)
        if not torch.is_grad_enabled():
            return best
        # At the optimum g(η*, θ) = 0 for every θ, so dη* = −H⁻¹ ∂g/∂θ dθ: a term of value zero
        # with that gradient is added to the constant η*.
        change = positive_solve(hessian, support.gradient(best))
        return best - (change - change.detach())

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the loss of the query given the support."""
        return self.predictive_loss(episode)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "kernel": Choice(("rbf", "matern")),
            "prior_scale": Real(0.05, 1.0, log=True),
            "noise": Real(0.05, 1.0, log=True),
            "amplitude": Real(0.1, 2.0, log=True),
        }


@dataclass(frozen=True)
class Support:
    """The negative log posterior of η for a stack of supports, and its derivatives by hand.

    With K = s² κ(λ) + c² + σ² I, α = K⁻¹ r and K_i = ∂K/∂η_i:
    L = ½ rᵀα + ½ log|K| + ½ Σ ((η − η₀) / τ)²,
    ∂L/∂η_i = ½ tr(K⁻¹K_i) − ½ αᵀK_iα + …, and
    ∂²L/∂η_i∂η_j = ½ tr(K⁻¹K_ij) − ½ tr(K⁻¹K_iK⁻¹K_j) + αᵀK_iK⁻¹K_jα − ½ αᵀK_ijα + ….
    """

    kernel: str
    pairs: Tensor
    residual: Tensor
    weight: Tensor
    offset: Tensor
    centre: Tensor
    precision: Tensor

    def gradient(self, hyper: Tensor) -> Tensor:
        """Return the gradient (task, 3) by η, itself differentiable by all the rest."""
        inverse, dual, _ = self._solve(hyper)
        return self._gradient(hyper, inverse, dual, self._first(hyper))

    def loss(self, hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss (task,) less its constant, its gradient and its Hessian (task, 3, 3)."""
        inverse, dual, log_determinant = self._solve(hyper)
        n_outputs = dual.shape[-1]
        fit = (self.residual * dual).sum((-2, -1)) + n_outputs * log_determinant
        prior = (self.precision * (hyper - self.centre) ** 2).sum(-1)
        first = self._first(hyper)
        moved = first @ dual[:, None]  # K_i α, (task, 3, row, output)
        spread = inverse[:, None] @ first  # K⁻¹ K_i
        traces = torch.einsum("tiab,tjba->tij", spread, spread)
        quadratic = torch.einsum("tiao,tjao->tij", moved, inverse[:, None] @ moved)
        hessian = quadratic - 0.5 * n_outputs * traces + torch.diag(self.precision)
        for (i, j), second in self._second(hyper, first).items():
            trace = n_outputs * (inverse * second).sum((-2, -1))
            term = 0.5 * (trace - (dual * (second @ dual)).sum((-2, -1)))
            hessian[:, i, j] += term
            if i != j:
                hessian[:, j, i] += term
        return 0.5 * (fit + prior), self._gradient(hyper, inverse, dual, first), hessian

    def _gradient(self, hyper: Tensor, inverse: Tensor, dual: Tensor, first: Tensor) -> Tensor:
        traces = dual.shape[-1] * (inverse[:, None] * first).sum((-2, -1))
        fit = (dual[:, None] * (first @ dual[:, None])).sum((-2, -1))
        return 0.5 * (traces - fit) + self.precision * (hyper - self.centre)

    def _solve(self, hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return K⁻¹, α and log|K|."""
        values = torch.exp(2 * hyper[:, 1])[:, None, None] * self._values(hyper) + self.offset
        factor = masked_factor(values, noise_variance(hyper[:, 2]), self.weight)
        log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        inverse = torch.cholesky_inverse(factor)
        return inverse, inverse @ self.residual, log_determinant

    def _values(self, hyper: Tensor) -> Tensor:
        return covariance(self.kernel, self.pairs, hyper[:, 0])

    def _mask(self) -> Tensor:
        return self.weight[:, :, None] * self.weight[:, None, :]

    def _first(self, hyper: Tensor) -> Tensor:
        """Return ∂K/∂η, (task, 3, row, row)."""
        squared = torch.exp(2 * hyper[:, 1])[:, None, None] * self._mask()
        slope, _ = length_derivatives(self.kernel, self.pairs, hyper[:, 0])
        noise = torch.diag_embed(2 * torch.exp(2 * hyper[:, 2])[:, None] * self.weight)
        return torch.stack([squared * slope, 2 * squared * self._values(hyper), noise], dim=1)

    def _second(self, hyper: Tensor, first: Tensor) -> dict[tuple[int, int], Tensor]:
        """Return the second derivatives of K that are not zero."""
        squared = torch.exp(2 * hyper[:, 1])[:, None, None] * self._mask()
        _, bend = length_derivatives(self.kernel, self.pairs, hyper[:, 0])
        length, amplitude, noise = first.unbind(1)
        return {
            (0, 0): squared * bend,
            (0, 1): 2 * length,
            (1, 1): 2 * amplitude,
            (2, 2): 2 * noise,
        }
