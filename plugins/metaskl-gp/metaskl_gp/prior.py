"""Prior means and covariances of gpytorch, started from numbers in the units of the targets."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from gpytorch.constraints import GreaterThan, Positive
from gpytorch.kernels import (
    AdditiveKernel,
    ConstantKernel,
    Kernel,
    MaternKernel,
    RBFKernel,
    RQKernel,
    ScaleKernel,
)
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean, LinearMean, Mean, ZeroMean
from torch import Tensor

# Each is called with what gpytorch's kernels take.
KERNELS: dict[str, Callable[..., Kernel]] = {
    "rbf": RBFKernel,
    "matern12": lambda **given: MaternKernel(nu=0.5, **given),
    "matern32": lambda **given: MaternKernel(nu=1.5, **given),
    "matern52": lambda **given: MaternKernel(nu=2.5, **given),
    "rq": RQKernel,
}
MEANS = ("linear", "constant", "zero")
# Noise variance that is always there: without it noise-free targets would make K singular.
LEAST_NOISE = 1e-6


def _variance(log_deviation: Tensor) -> Tensor:
    return torch.exp(2 * log_deviation)


def _log_deviation(variance: Tensor) -> Tensor:
    return 0.5 * variance.log()


# Positive numbers are learned as logarithms, of standard deviations and not of variances, so that
# one outer rate suits every scale, and is the one that suits metaskl's own processes. (Named
# functions, since lambdas cannot be pickled.)
_LENGTH = {"transform": torch.exp, "inv_transform": torch.log}
_VARIANCE = {"transform": _variance, "inv_transform": _log_deviation}


def base_kernel(name: str, n_features: int, ard: bool) -> Kernel:
    """Return a kernel whose length scales suit standardised features of any number.

    They start at the square root of the number of features, the size of a typical
    distance between rows.
    """
    kernel = KERNELS[name](
        ard_num_dims=n_features if ard else None, lengthscale_constraint=Positive(**_LENGTH)
    )
    kernel.lengthscale = math.sqrt(n_features)
    return kernel


def scaled(base: Kernel, amplitude: float) -> Kernel:
    """Return s² base + c², with s = c = `amplitude`; c lets a whole task lie high or low."""
    scale = ScaleKernel(base, outputscale_constraint=Positive(**_VARIANCE))
    offset = ConstantKernel(constant_constraint=Positive(**_VARIANCE))
    scale.outputscale = amplitude**2
    offset.constant = torch.tensor(amplitude**2)
    return AdditiveKernel(scale, offset)


class _LinearMean(LinearMean):  # type: ignore[misc]
    """gpytorch's, for rows in a higher precision than its parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means (..., row) of rows (..., row, feature)."""
        means: Tensor = (x @ self.weights.to(x)).squeeze(-1) + self.bias.to(x)
        return means


def prior_mean(name: str, n_features: int, n_outputs: int) -> Mean:
    """Return a mean of zeros, learned from there: one a target, as a batch of gpytorch."""
    if name == "zero":
        return ZeroMean()  # also for a number of classes that is not known beforehand
    batch = torch.Size([n_outputs])
    if name == "constant":
        return ConstantMean(batch_shape=batch)
    # The start is set at once, so the random one of gpytorch must not move the seed.
    with torch.random.fork_rng(devices=[]):
        mean = _LinearMean(n_features, batch_shape=batch)
    for parameter in mean.parameters():
        torch.nn.init.zeros_(parameter)
    return mean


def gaussian_noise(noise: float) -> GaussianLikelihood:
    """Return a likelihood whose noise has this standard deviation."""
    likelihood = GaussianLikelihood(noise_constraint=GreaterThan(LEAST_NOISE, **_VARIANCE))
    likelihood.noise = noise**2
    return likelihood
