"""Deep kernel transfer with gpytorch's kernels: exact Gaussian processes on learned features."""

from __future__ import annotations

import math
from typing import cast

import torch
from gpytorch.kernels import Kernel
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners import Adapted
from metaskl.learners.base import embed_tasks, solve_dtype, stack_of_one
from metaskl.learners.density import LOG_2_PI, negative_log_density
from metaskl.learners.space import Choice, Dimension, Real
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode
from metaskl_gp.prior import KERNELS, MEANS, base_kernel, gaussian_noise, prior_mean, scaled

_OBJECTIVES = ("predictive", "marginal")


class DeepKernelGP(StackedLearner):
    """A Gaussian process of gpytorch [2]_ on learned features, with a prior that tasks share [1]_.

    y = m(x) + f(x) + ε with f ~ GP(0, s² κ(φ(x), φ(x′)) + c²) and ε ~ N(0, σ²). The features φ,
    the mean m, and the parameters of the kernel and the noise are meta-learned; adapting
    conditions on the support by one Cholesky factor in float64. Classification regresses each
    class versus the rest on targets ±1 and scales the means to logits.

    It is the model of metaskl's ``dkt``, computed by another library, and more: kernels that
    ``dkt`` lacks, and a length scale for each learned feature (`ard`). For a kernel of your own,
    override :meth:`covariance`.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes; they share the kernel.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    kernel : {"rbf", "matern12", "matern32", "matern52", "rq"}, default="rbf"
        κ: squared exponential, Matérn of smoothness 1/2, 3/2 or 5/2, or rational quadratic.
    ard : bool, default=True
        Whether each learned feature has a length scale of its own.
    mean : {"linear", "constant", "zero"}, default="linear"
        The prior mean m: what all tasks have in common. Zero where classes are private to a task.
    objective : {"predictive", "marginal"}, default="predictive"
        Meta-train by the predictive density of the query given the support (classification: its
        cross entropy), or as in [1]_ by the marginal likelihood of all rows.
    noise : float, default=0.8
        σ before meta-training, > 0.001, in units of the (standardised) targets.
    amplitude : float, default=0.5
        s and c before meta-training, > 0, in the same units.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] M. Patacchiola, J. Turner, E. J. Crowley, M. O'Boyle, A. Storkey. Bayesian
       Meta-Learning for the Few-Shot Setting via Deep Kernels. NeurIPS 2020.
    .. [2] J. R. Gardner, G. Pleiss, D. Bindel, K. Q. Weinberger, A. G. Wilson. GPyTorch:
       Blackbox Matrix-Matrix Gaussian Process Inference with GPU Acceleration. NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl_gp import DeepKernelGP
    >>> learner = DeepKernelGP(MLP(()).build((1,)), 1, noise=0.002, amplitude=2.0)
    >>> adapted = learner.adapt(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> learner.predict(adapted, torch.tensor([[1.0]])).round(decimals=3).tolist()
    [[3.0]]
    """

    metaskl_api = 1

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        kernel: str = "rbf",
        ard: bool = True,
        mean: str = "linear",
        objective: str = "predictive",
        noise: float = 0.8,
        amplitude: float = 0.5,
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
        for name, value, known in (
            ("kernel", kernel, tuple(KERNELS)),
            ("mean", mean, MEANS),
            ("objective", objective, _OBJECTIVES),
        ):
            if value not in known:
                raise ParameterError(f"{name} must be one of {known}, got {value!r}.")
        if not (noise > 1e-3 and amplitude > 0):
            raise ParameterError(
                f"noise must be above 0.001 and amplitude above 0, got {noise} and {amplitude}. "
                "Both are learned from there; the defaults suit standardised targets."
            )
        self.backbone = backbone
        self.objective = objective
        self.kernel = scaled(self.covariance(kernel, self.n_features_out, ard), amplitude)
        self.prior_mean = prior_mean(
            "zero" if private_labels else mean, self.n_features_out, n_outputs
        )
        self.likelihood = gaussian_noise(noise)
        self.log_scale = nn.Parameter(torch.tensor(math.log(2.0)), kind == "classification")

    def undecayed(self) -> list[nn.Parameter]:
        """Return the scales of kernel, noise and logits: 0 is nothing to pull them to."""
        scales = ("kernel.", "likelihood.", "log_scale")
        return [p for name, p in self.named_parameters() if name.startswith(scales)]

    def covariance(self, kernel: str, n_features: int, ard: bool) -> Kernel:
        """Return κ, a kernel of gpytorch for rows of `n_features`; called once, when built."""
        return base_kernel(kernel, n_features, ard)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Condition on the supports of a stack of tasks at once."""
        features = self._features(X_support)
        present = features.new_ones(features.shape[:2]) if weight is None else weight.to(features)
        residual, factor = self._whitening(features, y_support, present)
        adapted = {"features": features, "present": present}
        if self.kind == "regression":  # for the standard deviations
            adapted["factor"] = factor
        return adapted | {"dual": torch.cholesky_solve(residual, factor)}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the posterior means, or logits, of a stack of tasks."""
        features = self._features(X_query)
        mean = self._posterior_mean(adapted, features, self._cross(adapted, features))
        return self._logits(mean).to(X_query.dtype)

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the standard deviation of the predictive distribution, noise included."""
        if self.kind != "regression":
            return None
        stack, features = stack_of_one(adapted), self._features(X_query[None])
        variance = self._variance(stack, features, self._cross(stack, features))[0]
        return variance.sqrt().to(X_query.dtype)[:, None].expand(-1, adapted["dual"].shape[-1])

    def initial(self) -> Adapted | None:
        """Return the prior process (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        one = self._precise(torch.ones_like(self.log_scale.detach()))[None]
        adapted = {
            "features": one.new_zeros(1, self.n_features_out),
            "present": 0 * one,
            "dual": one.new_zeros(1, self.n_outputs),
        }
        return adapted | ({"factor": one[:, None]} if self.kind == "regression" else {})

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the loss of the query given the support, or that of all rows together."""
        if self.objective == "predictive":
            return self._predictive_loss(episode)
        loss = self._marginal_loss(episode)
        if self.kind == "regression":
            return loss
        with torch.no_grad():  # the likelihood says nothing of the logits' scale
            mean = self._query_mean(episode)[0]
        return loss + self._cross_entropy(mean, episode)

    def _predictive_loss(self, episode: Episode) -> Tensor:
        mean, variance = self._query_mean(episode)
        if variance is None:
            return self._cross_entropy(mean, episode)
        return negative_log_density(
            mean, variance[..., None], episode.y_query, episode.weight_query
        )

    def _query_mean(self, episode: Episode) -> tuple[Tensor, Tensor | None]:
        """Return the posterior mean, and in regression the variance, of the query rows."""
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        features = self._features(episode.X_query)
        cross = self._cross(adapted, features)
        mean = self._posterior_mean(adapted, features, cross)
        return mean, self._variance(adapted, features, cross) if "factor" in adapted else None

    def _cross_entropy(self, mean: Tensor, episode: Episode) -> Tensor:
        y, weight = episode.y_query.to(mean), episode.weight_query.to(mean)
        return self.task_loss(self._logits(mean), y, weight).mean()

    def _marginal_loss(self, episode: Episode) -> Tensor:
        """Return −log N(y; m, K + σ² I) a value, of all rows of a task, averaged over tasks."""
        features = torch.cat([self._features(X) for X in (episode.X_support, episode.X_query)], 1)
        y = torch.cat([episode.y_support, episode.y_query], dim=1)
        present = torch.cat([episode.weight_support, episode.weight_query], dim=1).to(features)
        residual, factor = self._whitening(features, y, present)
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        n_rows = present.sum(-1)
        log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        squares = (white**2).sum((-2, -1)) / residual.shape[-1]
        loss = 0.5 * (squares + log_determinant + n_rows * LOG_2_PI) / n_rows.clamp_min(1.0)
        return cast(Tensor, loss.mean())

    def _whitening(self, features: Tensor, y: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the prior mean leaves of the targets, and the factor of K + σ² I.

        A row that is not present has variance 1 and no covariance, so that it drops out.
        """
        target = y.to(features) if self.kind == "regression" else 2.0 * y.to(features) - 1.0
        residual = (target - self._prior(features)) * present[..., None]
        kernel = self.kernel(features).to_dense() * present[:, :, None] * present[:, None, :]
        noise = self._noise() * present + (1 - present)
        factor: Tensor = psd_safe_cholesky(kernel + torch.diag_embed(noise))
        return residual, factor

    def _cross(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return the covariances (task, query, support)."""
        # The support comes first: gpytorch centres rows by the mean of its first argument.
        cross = self.kernel(adapted["features"], features).to_dense().mT
        return cast(Tensor, cross * adapted["present"][:, None, :])

    def _posterior_mean(self, adapted: Adapted, features: Tensor, cross: Tensor) -> Tensor:
        return self._prior(features) + cross @ adapted["dual"]

    def _variance(self, adapted: Adapted, features: Tensor, cross: Tensor) -> Tensor:
        """Return the predictive variance (task, query), noise included."""
        known = torch.linalg.solve_triangular(adapted["factor"], cross.mT, upper=False)
        left = (self.kernel(features, diag=True) - (known**2).sum(-2)).clamp_min(0.0)
        return cast(Tensor, left + self._noise())

    def _prior(self, features: Tensor) -> Tensor:
        """Return the prior mean (task, row, output); gpytorch takes outputs as a batch."""
        return cast(Tensor, self.prior_mean(features[:, None])).mT

    def _noise(self) -> Tensor:
        return self._precise(self.likelihood.noise)

    def _features(self, X: Tensor) -> Tensor:
        return self._precise(embed_tasks(self.backbone, X))

    def _precise(self, values: Tensor) -> Tensor:
        return values.to(solve_dtype(values.device))

    def _logits(self, output: Tensor) -> Tensor:
        return output if self.kind == "regression" else output * self.log_scale.exp()

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "kernel": Choice(tuple(KERNELS)),
            "ard": Choice((True, False)),
            "noise": Real(0.05, 1.0, log=True),
            "amplitude": Real(0.1, 2.0, log=True),
        }
