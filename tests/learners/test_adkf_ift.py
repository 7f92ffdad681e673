import numpy as np
import pytest
import torch
from gaussian_processes import (
    AMPLITUDE,
    LEAST,
    LENGTH,
    NOISE,
    OFFSET,
    episode,
    predictions,
    process,
    rows,
)
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from torch import nn

from metaskl import ADKFRegressor, DKTRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.adkf_ift import ADKF, Support
from metaskl.learners.dkt import DKT
from metaskl.learners.kernels import pairwise

CENTRE = np.log([LENGTH, AMPLITUDE, NOISE])
KERNELS = {"rbf": lambda length: RBF(length), "matern": lambda length: Matern(length, nu=2.5)}


def negative_log_posterior(hyper, X, y, kernel, scale):
    """By scikit-learn's kernels and scipy's density; y has the prior mean 0."""
    length, amplitude, noise = np.exp(hyper)
    unit = KERNELS[kernel](length * np.sqrt(3))
    covariance = (ConstantKernel(amplitude**2) * unit + ConstantKernel(OFFSET**2))(X)
    covariance = covariance + (noise**2 + LEAST) * np.eye(len(X))
    density = multivariate_normal(np.zeros(len(X)), covariance).logpdf(y.T).sum()
    return -density + 0.5 * (((hyper - CENTRE) / scale) ** 2).sum()


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_each_task_gets_its_most_probable_hyper_parameters(kernel, n_outputs):
    X, y = rows(25, n_outputs)
    learner = process(ADKF, n_outputs, kernel=kernel, mean="zero", prior_scale=0.7)
    with torch.no_grad():
        found = learner.adapt(torch.tensor(X), torch.tensor(y))["hyper"].numpy()
    arguments = (X, y, kernel, 0.7)
    best = minimize(negative_log_posterior, CENTRE, arguments, options={"gtol": 1e-8})
    np.testing.assert_allclose(found, best.x, atol=1e-5)
    assert np.abs(found - CENTRE).max() > 0.1  # it has moved


@pytest.mark.parametrize("kernel", ["rbf", "matern", "linear", "tanimoto"])
def test_derivatives_by_hand_are_those_of_automatic_differentiation(kernel):
    X, y = (torch.tensor(part)[None] for part in rows(7, 2))
    weight = torch.ones(1, 7, dtype=torch.float64)
    weight[0, 3] = 0.0
    support = Support(
        kernel,
        pairwise(kernel, X, X),
        y * weight[..., None],
        weight,
        offset=torch.tensor(0.3, dtype=torch.float64),
        centre=torch.tensor(CENTRE),
        precision=torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64),
    )
    at = torch.tensor([[-0.2, 0.4, -0.9]], dtype=torch.float64)
    value, gradient, hessian = support.loss(at)
    by_hand = torch.autograd.functional.jacobian(lambda hyper: support.loss(hyper)[0][0], at)
    torch.testing.assert_close(gradient, by_hand)
    torch.testing.assert_close(support.gradient(at), gradient)
    second = torch.autograd.functional.hessian(lambda hyper: support.loss(hyper)[0][0], at)
    torch.testing.assert_close(hessian[0], second[0, :, 0])
    assert value.shape == (1,)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_outer_gradient_goes_through_the_inner_optimum(kind):
    # Central differences of the outer loss, each with an inner optimum of its own.
    learner = process(ADKF, 2, kind=kind, mean="linear", adaptation_steps=50)
    both = episode(12, n_outputs=2)
    if kind == "classification":
        classes = {
            name: nn.functional.one_hot(getattr(both, name).argmax(-1), 2).double()
            for name in ("y_support", "y_query")
        }
        both = both._replace(**classes)
    layer = nn.Linear(3, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3) + 0.1 * torch.arange(9.0).reshape(3, 3) / 9)
    layer.n_features_out = 3
    learner.backbone = layer
    learner.episode_loss(both).backward()
    steps = {
        "backbone.weight": (1, 2),
        "mean_weight": (0, 1),
        "log_offset": (),
        "log_kernel": (0,),
        "log_prior_scale": (2,),
    }
    for name, index in steps.items():
        parameter = learner.get_parameter(name)
        losses = []
        for step in (1e-4, -2e-4):
            with torch.no_grad():
                parameter[index] += step
                losses.append(learner.episode_loss(both).item())
        with torch.no_grad():
            parameter[index] += 1e-4
        expected = (losses[0] - losses[1]) / 2e-4
        assert parameter.grad[index].item() == pytest.approx(expected, rel=1e-5), name
    # The optimum's own part of the gradient is no small thing here.
    direct = process(ADKF, 2, kind=kind, mean="linear")
    direct.backbone = layer
    direct.hyper_parameters = lambda *_: learner.adapt_tasks(both.X_support, both.y_support)[
        "hyper"
    ].detach()
    held = layer.weight.grad.clone()
    layer.weight.grad = None
    direct.episode_loss(both).backward()
    assert (layer.weight.grad - held).norm() > 0.01 * held.norm()


def test_tasks_that_hardly_differ_have_dkts_kernel():
    (X, y), (X_query, _) = rows(15), rows(6, seed=1)
    learner = process(ADKF, kernel="rbf")
    with torch.no_grad():
        learner.log_prior_scale.fill_(-3.0)  # the smallest there is, 0.05
    found, std = predictions(learner, X, y, X_query)
    expected, expected_std = predictions(process(DKT), X, y, X_query)
    np.testing.assert_allclose(found, expected, atol=0.05)
    np.testing.assert_allclose(std, expected_std, rtol=0.1)
    wide, _ = predictions(process(ADKF, kernel="rbf", prior_scale=2.0), X, y, X_query)
    assert np.abs(wide - expected).max() > 3 * np.abs(found - expected).max()


def test_before_a_support_the_prior_centre_predicts():
    X, _ = rows(4)
    learner, shared = process(ADKF, kernel="rbf"), process(DKT)
    with torch.no_grad():
        found = learner.predict_std(learner.initial(), torch.tensor(X))
        expected = shared.predict_std(shared.initial(), torch.tensor(X))
    assert torch.equal(found, expected)


def test_it_learns_tasks_of_unequal_noise():
    # Half of the tasks have ten times the noise: one level for all cannot be honest.
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (240, 30, 1))
    noise = np.where(np.arange(240) % 2, 0.1, 1.0)[:, None]
    curve = np.sin(2 * X[..., 0] + rng.uniform(0, 6, (240, 1)))
    y = curve + noise * rng.standard_normal((240, 30))
    groups = np.repeat(np.arange(200), 30)
    settings = {"backbone": MLP(()), "max_epochs": 2, "outer_lr": 2e-2, "n_shot": 15}
    losses = {}
    for cls in (ADKFRegressor, DKTRegressor):
        meta = cls(random_state=0, **settings)
        meta.fit(X[:200].reshape(-1, 1), y[:200].ravel(), groups=groups)
        found = []
        for task in range(200, 240):
            adapted = meta.adapt(X[task, :15], y[task, :15])
            mean, std = adapted.predict(X[task, 15:], return_std=True)
            found.append((0.5 * ((y[task, 15:] - mean) / std) ** 2 + np.log(std)).mean())
        losses[cls] = np.mean(found)
    # Knowing the curve and the noise would give ½ + mean log σ = ½ + ½ log 0.1 = −0.65.
    assert losses[ADKFRegressor] < losses[DKTRegressor] - 0.2
    assert losses[ADKFRegressor] < 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"adaptation_steps": 0}, "adaptation_steps must be at least 1, got 0"),
        ({"prior_scale": 0.0}, "prior_scale must be above 0, got 0.0"),
    ],
)
def test_parameters_are_checked(arguments, message):
    with pytest.raises(ParameterError, match=message):
        ADKF(MLP(()).build((3,)), 1, **arguments)
