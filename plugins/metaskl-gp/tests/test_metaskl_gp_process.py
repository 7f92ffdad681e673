"""What the learner computes: metaskl's own answers, gpytorch's own, and a few by hand."""

import math

import numpy as np
import pytest
import torch

from metaskl import DKTRegressor, MetaRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.dkt import DKT
from metaskl.tasks import Episode, GaussianProcessTasks
from metaskl_gp import DeepKernelGP, gpytorch  # by this way its import does not warn
from metaskl_gp.prior import LEAST_NOISE

LENGTH, AMPLITUDE, NOISE, OFFSET, BIAS = 0.7, 1.3, 0.4, 0.6, 1.0
WEIGHT = torch.tensor([[0.3], [-0.2], [0.1]], dtype=torch.float64)
SAME = {"rbf": "rbf", "matern52": "matern"}
# The README's: two libraries that round in another order.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}


def rows(n_rows, seed=0, n_outputs=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 3))
    y = np.sin(2 * X) @ rng.standard_normal((3, n_outputs)) + rng.normal(size=(n_rows, n_outputs))
    return torch.from_numpy(X), torch.from_numpy(y)


def exactly(value):
    return torch.tensor(value, dtype=torch.float64)


def ours(backbone=None, n_outputs=1, **arguments):
    """Return the learner with the parameters above; a length scale is in gpytorch's units."""
    backbone = MLP(()).build((3,)) if backbone is None else backbone
    learner = DeepKernelGP(backbone, n_outputs, ard=False, **arguments).double().eval()
    scale, offset = learner.kernel.kernels
    # As tensors: gpytorch takes a float in single precision.
    scale.base_kernel.lengthscale = exactly(LENGTH * math.sqrt(learner.n_features_out))
    scale.outputscale = exactly(AMPLITUDE**2)
    offset.constant = exactly(OFFSET**2)
    learner.likelihood.noise = exactly(NOISE**2 + LEAST_NOISE)
    with torch.no_grad():
        for name, value in learner.prior_mean.named_parameters():
            value.copy_(WEIGHT.expand_as(value) if name == "weights" else torch.tensor(BIAS))
    return learner


def built_in(backbone=None, n_outputs=1, **arguments):
    """Return metaskl's learner with the same parameters."""
    backbone = MLP(()).build((3,)) if backbone is None else backbone
    learner = DKT(backbone, n_outputs, **arguments).double().eval()
    with torch.no_grad():
        learner.log_kernel.copy_(
            torch.tensor([LENGTH, AMPLITUDE, NOISE], dtype=torch.float64).log()
        )
        learner.log_offset.fill_(math.log(OFFSET))
        learner.mean_weight.copy_(WEIGHT.expand(3, n_outputs) if learner.mean == "linear" else 0)
        learner.mean_bias.fill_(BIAS if learner.mean != "zero" else 0.0)
    return learner


def network():
    torch.manual_seed(0)
    return MLP((8, 3), activation="tanh", skip=False).build((3,))


def episode(one_hot=False):
    (X, y), (X_query, y_query) = rows(9), rows(6, seed=1)
    if one_hot:
        y, y_query = (torch.eye(3).double()[torch.arange(len(part)) % 3] for part in (y, y_query))
    weight, weight_query = torch.ones(1, 9).double(), torch.ones(1, 6).double()
    weight[0, -2:] = 0  # padding
    return Episode(X[None], y[None], weight, X_query[None], y_query[None], weight_query)


@pytest.mark.parametrize("n_rows", [1, 2, 40])
@pytest.mark.parametrize("mean", ["linear", "constant", "zero"])
@pytest.mark.parametrize("kernel", SAME)
def test_it_predicts_as_the_built_in_learner(kernel, mean, n_rows):
    (X, y), X_query = rows(n_rows), rows(6, seed=1)[0]
    pair = ours(kernel=kernel, mean=mean), built_in(kernel=SAME[kernel], mean=mean)
    with torch.no_grad():
        states = [learner.adapt(X, y) for learner in pair]
        found, expected = (lr.predict(s, X_query) for lr, s in zip(pair, states, strict=True))
        std, expected_std = (lr.predict_std(s, X_query) for lr, s in zip(pair, states, strict=True))
        prior, expected_prior = (lr.predict_std(lr.initial(), X_query) for lr in pair)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    torch.testing.assert_close(std, expected_std, **TOLERANCE)
    torch.testing.assert_close(prior, expected_prior, **TOLERANCE)


@pytest.mark.parametrize("objective", ["predictive", "marginal"])
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_its_outer_gradient_is_that_of_the_built_in_learner(kind, objective):
    losses, gradients = [], []
    for build in (ours, built_in):
        learner = build(
            network(), 3 if kind == "classification" else 1, kind=kind, objective=objective
        )
        loss = learner.episode_loss(episode(one_hot=kind == "classification"))
        loss.backward()
        losses.append(loss.detach())
        gradients.append([p.grad for p in learner.backbone.parameters()])
    torch.testing.assert_close(*losses, **TOLERANCE)
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)


def test_meta_trained_it_predicts_as_the_built_in_learner():
    drawn = GaussianProcessTasks().sample(24, 20, random_state=0)
    training = {"max_epochs": 2, "steps_per_epoch": 20, "outer_lr": 1e-2, "random_state": 0}
    pair = (
        MetaRegressor(learner="deep_kernel_gp", learner_params={"ard": False}, **training),
        DKTRegressor(**training),
    )
    fits = [est.fit(drawn.X, drawn.y, groups=drawn.groups) for est in pair]
    scale = fits[1].net_.module_.log_kernel.detach()
    assert (scale[1:] - torch.tensor([0.5, 0.8]).log()).abs().max() > 0.05  # it was trained
    found, expected = (
        fit.adapt(drawn.X[:9], drawn.y[:9]).predict(drawn.X[9:], return_std=True) for fit in fits
    )
    # Adam turns rounding into steps where a gradient is nearly 0.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("kernel", ["rbf", "matern12", "matern32", "matern52", "rq"])
def test_it_conditions_as_gpytorch_does(kernel):
    class Exact(gpytorch.models.ExactGP):
        def __init__(self, X, y, learner):
            super().__init__(X, y, learner.likelihood)
            self.mean, self.kernel = gpytorch.means.ZeroMean(), learner.kernel

        def forward(self, X):
            return gpytorch.distributions.MultivariateNormal(self.mean(X), self.kernel(X))

    (X, y), X_query = rows(30), rows(6, seed=1)[0]
    learner = DeepKernelGP(MLP(()).build((3,)), 1, kernel=kernel, mean="zero").double().eval()
    learner.kernel.kernels[0].base_kernel.lengthscale = torch.tensor([0.5, 1.0, 2.0])
    with torch.no_grad():
        adapted = learner.adapt(X, y)
        mean, std = learner.predict(adapted, X_query), learner.predict_std(adapted, X_query)
        exact = learner.likelihood(Exact(X, y[:, 0], learner).eval()(X_query))
        torch.testing.assert_close(mean[:, 0], exact.mean, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(std[:, 0], exact.stddev, rtol=1e-6, atol=1e-8)


# κ of two rows that lie apart by 3 and 4 in two features, in units of their length scales: r = 5.
BY_HAND = {
    "rbf": math.exp(-25 / 2),
    "matern12": math.exp(-5),
    "matern32": (1 + 5 * math.sqrt(3)) * math.exp(-5 * math.sqrt(3)),
    "matern52": (1 + 5 * math.sqrt(5) + 125 / 3) * math.exp(-5 * math.sqrt(5)),
    "rq": 1 / (1 + 25 / 4) ** 2,  # with α = 2
}


@pytest.mark.parametrize("kernel", BY_HAND)
def test_each_feature_has_a_length_scale(kernel):
    learner = DeepKernelGP(MLP(()).build((2,)), 1, kernel=kernel, mean="zero", amplitude=2.0)
    learner = learner.double()
    scale, _ = learner.kernel.kernels
    scale.base_kernel.lengthscale = torch.tensor([2.0, 0.5])
    if kernel == "rq":
        scale.base_kernel.alpha = 2.0
    learner.likelihood.noise = 0.25
    a, b = torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[6.0, 2.0]]).double()
    with torch.no_grad():
        found = learner.predict(learner.adapt(a, torch.tensor([[3.0]])), b)
    # s² = c² = 4: the mean at b is 3 cov(a, b) / (4 + 4 + noise).
    assert found.item() == pytest.approx(3 * (4 * BY_HAND[kernel] + 4) / 8.25, rel=1e-6)


def test_a_feature_that_means_nothing_gets_a_long_length_scale():
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.uniform(-2, 2, (16, 24, 2)))
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, (16, 1)))
    y = torch.sin(2 * X[..., 0] + phase)[..., None]  # of the first feature alone
    one = torch.ones(16, 12).double()
    tasks = Episode(X[:, :12], y[:, :12], one, X[:, 12:], y[:, 12:], one)
    learner = DeepKernelGP(MLP(()).build((2,)), 1, noise=0.1).double()
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        learner.episode_loss(tasks).backward()
        optimizer.step()
    used, idle = learner.kernel.kernels[0].base_kernel.lengthscale.detach()[0].tolist()
    assert idle > 2 * used


def test_a_kernel_of_ones_own_is_two_lines():
    class Periodic(DeepKernelGP):
        def covariance(self, kernel, n_features, ard):
            return gpytorch.kernels.PeriodicKernel()

    learner = Periodic(MLP(()).build((1,)), 1, mean="zero", noise=0.1).double()
    learner.kernel.kernels[0].base_kernel.period_length = 3.0
    X = torch.linspace(0, 3, 9).double()[:, None]
    with torch.no_grad():
        adapted = learner.adapt(X, torch.sin(X * 2 * math.pi / 3))
        near, far = learner.predict(adapted, X), learner.predict(adapted, X + 30.0)
    torch.testing.assert_close(near, far, rtol=1e-5, atol=1e-5)
    assert near.std() > 0.3  # it follows the wave, and is no constant


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": "cosine"}, r"kernel must be one of \('rbf', 'matern12'.*got 'cosine'"),
        ({"mean": "cubic"}, r"mean must be one of \('linear', 'constant', 'zero'\), got 'cubic'"),
        ({"objective": "elbo"}, r"objective must be one of .*got 'elbo'"),
        ({"noise": 0.0}, r"noise must be above 0.001 and amplitude above 0, got 0.0 and 0.5"),
        ({"amplitude": -1.0}, r"amplitude above 0, got 0.8 and -1.0"),
    ],
)
def test_wrong_parameters_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        DeepKernelGP(MLP(()).build((3,)), 1, **arguments)
