"""Exact Gaussian processes on meta-learned features, over a stack of tasks."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError, require_choice
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype, stack_of_one
from metaskl.learners.bounds import within
from metaskl.learners.cholesky import cholesky
from metaskl.learners.density import LOG_2_PI, negative_log_density
from metaskl.learners.kernels import KERNELS, covariance, itself, pairwise
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

# Noise variance that is always there: without it noise-free targets would make K singular.
_LEAST_NOISE = 1e-6
# λ, s, c and σ are kept between 1e-3 and 150: noise-free targets would drive σ to 0.
_LOG_LIMITS = (-7.0, 5.0)
# Pairs of rows that are conditioned on at once where no gradient is wanted: bounds the memory.
_PAIRS = 2**23
MEANS = ("linear", "constant", "zero")


class DeepKernelProcess(StackedLearner, abc.ABC):
    """A Gaussian process for each task: what deep-kernel learners share.

    y = m(x) + f(x) + ε with f ~ GP(0, s² κ(φ(x), φ(x′)) + c²) and ε ~ N(0, σ²), where φ is the
    backbone. A subclass says which hyper-parameters η = (log λ, log s, log σ) a task has
    (:meth:`hyper_parameters`). Everything is solved by a Cholesky factor in float64 (in float32
    on devices without it). A padded row has variance 1 and no covariance.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes; they share the kernel.
    kind : {"regression", "classification"}
        Classes are regressed one versus the rest on targets ±1 and scaled to logits.
    kernel, mean, noise, amplitude
        See the subclasses.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.
    """

    # In the class, so that the path without float64 can be tried on a device that has it.
    _solve_dtype = staticmethod(solve_dtype)

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str,
        kernel: str,
        mean: str,
        noise: float,
        amplitude: float,
        private_labels: bool,
        n_pool_classes: int,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        _check(kernel, mean, noise, amplitude)
        self.backbone = backbone
        self.kernel = kernel
        # Classes unknown beforehand, and maybe of another number, have no mean of their own.
        self.mean = "zero" if private_labels else mean
        start = [0.0, math.log(amplitude), math.log(noise)]
        self.log_kernel = nn.Parameter(torch.tensor(start))
        self.log_offset = nn.Parameter(torch.tensor(math.log(amplitude)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(2.0)), kind == "classification")
        slope = torch.zeros(self.n_features_out, n_outputs)
        self.mean_weight = nn.Parameter(slope, requires_grad=self.mean == "linear")
        level = torch.zeros(n_outputs)
        self.mean_bias = nn.Parameter(level, requires_grad=self.mean != "zero")

    def prior_centre(self, pairs: Tensor) -> Tensor:
        """Return the η that all tasks share (3,), within its limits."""
        return within(self.log_kernel, *_LOG_LIMITS).to(pairs)

    @abc.abstractmethod
    def hyper_parameters(self, pairs: Tensor, residual: Tensor, weight: Tensor) -> Tensor:
        """Return η (task, 3) for supports of these pairs (task, row, row) and residuals."""

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Condition on the supports of a stack of tasks at once, or of parts of a large one."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        most = max(1, _PAIRS // X_support.shape[1] ** 2)
        if len(X_support) <= most or torch.is_grad_enabled():
            return self._condition(X_support, y_support, weight)
        stacks = [slice(start, start + most) for start in range(0, len(X_support), most)]
        parts = [self._condition(X_support[s], y_support[s], weight[s]) for s in stacks]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _condition(self, X_support: Tensor, y_support: Tensor, weight: Tensor) -> Adapted:
        features = self._features(X_support)
        present = weight.to(features)
        residual = self._residual(features, y_support, present)
        pairs = pairwise(self.kernel, features, features)
        hyper = self.hyper_parameters(pairs, residual, present)
        factor = self._factor(pairs, hyper, present)
        adapted = {"features": features, "present": present, "hyper": hyper}
        if self.kind == "regression":  # for the standard deviations
            adapted["factor"] = factor
        return adapted | {"dual": torch.cholesky_solve(residual, factor)}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the posterior means, or logits, of a stack of tasks."""
        features = self._features(X_query)
        output = self._posterior_mean(adapted, features, self._cross(adapted, features))
        return self._logits(output).to(X_query.dtype)

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
        one = self._precise(torch.ones_like(self.log_offset.detach()))[None]
        adapted = {
            "features": one.new_zeros(1, self.n_features_out),
            "present": 0 * one,
            "hyper": self.prior_centre(one).detach(),
            "dual": one.new_zeros(1, self.n_outputs),
        }
        return adapted | ({"factor": one[:, None]} if self.kind == "regression" else {})

    def predictive_loss(self, episode: Episode) -> Tensor:
        """Return the mean negative log predictive density of the query rows, given the support.

        For classes it is the cross entropy of the scaled means.
        """
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        features = self._features(episode.X_query)
        cross = self._cross(adapted, features)
        mean = self._posterior_mean(adapted, features, cross)
        if self.kind == "classification":
            y, weight = episode.y_query.to(mean), episode.weight_query.to(mean)
            return self.task_loss(self._logits(mean), y, weight).mean()
        variance = self._variance(adapted, features, cross)
        return negative_log_density(
            mean, variance[..., None], episode.y_query, episode.weight_query
        )

    def _features(self, X: Tensor) -> Tensor:
        return self._precise(embed_tasks(self.backbone, X))

    def _precise(self, values: Tensor) -> Tensor:
        return values.to(self._solve_dtype(values.device))

    def _residual(self, features: Tensor, y: Tensor, present: Tensor) -> Tensor:
        target = y.to(features) if self.kind == "regression" else 2.0 * y.to(features) - 1.0
        return (target - self._prior_mean(features)) * present[..., None]

    def _prior_mean(self, features: Tensor) -> Tensor:
        if self.mean == "zero":  # for any number of classes
            return features.new_zeros(())
        return features @ self.mean_weight.to(features) + self.mean_bias.to(features)

    def _cross(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return the covariances (task, query, support)."""
        hyper = adapted["hyper"]
        pairs = pairwise(self.kernel, features, adapted["features"])
        values = covariance(self.kernel, pairs, hyper[:, 0])
        amplitude = torch.exp(2 * hyper[:, 1])[:, None, None]
        return (amplitude * values + self._offset()) * adapted["present"][:, None, :]

    def _posterior_mean(self, adapted: Adapted, features: Tensor, cross: Tensor) -> Tensor:
        return self._prior_mean(features) + cross @ adapted["dual"]

    def _variance(self, adapted: Adapted, features: Tensor, cross: Tensor) -> Tensor:
        """Return the predictive variance (task, query), noise included."""
        hyper = adapted["hyper"]
        amplitude = torch.exp(2 * hyper[:, 1])[:, None]
        prior = amplitude * itself(self.kernel, features) + self._offset()
        known = torch.linalg.solve_triangular(adapted["factor"], cross.mT, upper=False)
        left: Tensor = (prior - (known**2).sum(-2)).clamp_min(0.0)
        return left + noise_variance(hyper[:, 2])[:, None]

    def _factor(self, pairs: Tensor, hyper: Tensor, present: Tensor) -> Tensor:
        values = covariance(self.kernel, pairs, hyper[:, 0])
        amplitude = torch.exp(2 * hyper[:, 1])[:, None, None]
        return masked_factor(
            amplitude * values + self._offset(), noise_variance(hyper[:, 2]), present
        )

    def _offset(self) -> Tensor:
        return torch.exp(2 * within(self._precise(self.log_offset), *_LOG_LIMITS))

    def _logits(self, output: Tensor) -> Tensor:
        return output if self.kind == "regression" else output * self.log_scale.exp()


def noise_variance(log_noise: Tensor) -> Tensor:
    """Return σ² of a logarithm of σ."""
    return torch.exp(2 * log_noise) + _LEAST_NOISE


def masked_factor(kernel: Tensor, noise: Tensor, present: Tensor) -> Tensor:
    """Return the Cholesky factor of K + σ² I, with a unit diagonal for the rows not present."""
    kernel = kernel * present[:, :, None] * present[:, None, :]
    added = noise[:, None] * present + (1 - present)
    return cholesky(kernel + torch.diag_embed(added))


def marginal_loss(factor: Tensor, residual: Tensor, present: Tensor) -> Tensor:
    """Return −log N(residual; 0, K) of each task (task,), summed over outputs."""
    white = torch.linalg.solve_triangular(factor, residual, upper=False)
    log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constants = log_determinant + present.sum(-1) * LOG_2_PI
    loss: Tensor = 0.5 * ((white**2).sum((-2, -1)) + residual.shape[-1] * constants)
    return loss


def _check(kernel: str, mean: str, noise: float, amplitude: float) -> None:
    require_choice("kernel", kernel, KERNELS)
    require_choice("mean", mean, MEANS)
    if not (noise > 0 and amplitude > 0):
        raise ParameterError(
            f"noise and amplitude must be above 0, got {noise} and {amplitude}. Both are learned "
            "from there; the defaults suit standardised targets."
        )
