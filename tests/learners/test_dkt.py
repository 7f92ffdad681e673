import math

import numpy as np
import pytest
import torch
from gaussian_processes import (
    AMPLITUDE,
    BIAS,
    LEAST,
    LENGTH,
    NOISE,
    OFFSET,
    WEIGHT,
    episode,
    predictions,
    process,
    rows,
)
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.adkf_ift import ADKF
from metaskl.learners.dkt import DKT
from metaskl.tasks import Episode

# The learner's distance is a root mean square over the three features.
UNIT = {
    "rbf": RBF(LENGTH * math.sqrt(3)),
    "matern": Matern(LENGTH * math.sqrt(3), nu=2.5),
    "linear": DotProduct(1e-8) * ConstantKernel(1 / 3),
}


def reference(kernel):
    covariance = ConstantKernel(AMPLITUDE**2) * UNIT[kernel] + ConstantKernel(OFFSET**2)
    return GaussianProcessRegressor(covariance, alpha=NOISE**2 + LEAST, optimizer=None)


@pytest.mark.parametrize("n_rows", [1, 2, 30])
@pytest.mark.parametrize("kernel", UNIT)
@pytest.mark.parametrize("mean", ["zero", "constant", "linear"])
def test_it_is_scikit_learns_gaussian_process(kernel, mean, n_rows):
    (X, y), (X_query, _) = rows(n_rows), rows(6, seed=1)
    found, std = predictions(process(DKT, kernel=kernel, mean=mean), X, y, X_query)

    def prior(A):
        weight = WEIGHT if mean == "linear" else np.zeros((3, 1))
        return (A @ weight)[:, 0] + (BIAS if mean != "zero" else 0.0)

    process_ = reference(kernel).fit(X, y[:, 0] - prior(X))
    expected, noise_free = process_.predict(X_query, return_std=True)
    np.testing.assert_allclose(found[:, 0], expected + prior(X_query), rtol=1e-8, atol=1e-9)
    variance = noise_free**2 + NOISE**2 + LEAST
    np.testing.assert_allclose(std[:, 0], np.sqrt(variance), rtol=1e-8)


def test_two_targets_share_the_kernel():
    (X, y), (X_query, _) = rows(12, 2), rows(6, seed=1)
    found, std = predictions(process(DKT, 2, mean="zero"), X, y, X_query)
    expected = reference("rbf").fit(X, y).predict(X_query)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    assert torch.equal(std[:, 0], std[:, 1])


@pytest.mark.parametrize("kernel", ["cosine", "tanimoto"])
def test_similarities_by_hand(kernel):
    # a = (1, 1, 0), b = (1, 0, 1): a·b = 1, |a|² = |b|² = 2.
    similarity = {"cosine": 1 / 2, "tanimoto": 1 / 3}[kernel]
    a, b = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 1.0]])
    learner = process(DKT, kernel=kernel, mean="zero")
    mean, std = predictions(learner, a, np.array([[2.0]]), b)
    itself = AMPLITUDE**2 + OFFSET**2
    between, total = AMPLITUDE**2 * similarity + OFFSET**2, itself + NOISE**2 + LEAST
    assert mean[0, 0] == pytest.approx(2.0 * between / total, rel=1e-9)
    assert std[0, 0].item() == pytest.approx(math.sqrt(total - between**2 / total), rel=1e-9)
    # A row of zeros is similar to nothing, and the kernel stays finite.
    mean, std = predictions(learner, a, np.array([[2.0]]), np.zeros((1, 3)))
    assert mean[0, 0] == pytest.approx(2.0 * OFFSET**2 / total, rel=1e-9)
    known = OFFSET**2 - OFFSET**4 / total
    assert std[0, 0].item() == pytest.approx(math.sqrt(known + NOISE**2 + LEAST), rel=1e-9)


def test_before_a_support_the_prior_predicts():
    X, _ = rows(5)
    learner = process(DKT)
    with torch.no_grad():
        initial = learner.initial()
        mean = learner.predict(initial, torch.tensor(X))
        std = learner.predict_std(initial, torch.tensor(X))
    np.testing.assert_allclose(mean, X @ WEIGHT + BIAS, rtol=1e-12)
    expected = math.sqrt(AMPLITUDE**2 + OFFSET**2 + NOISE**2 + LEAST)
    np.testing.assert_allclose(std, np.full((5, 1), expected), rtol=1e-12)


def test_the_predictive_loss_is_the_density_of_the_query():
    both = episode(9)
    mean, std = predictions(
        process(DKT), both.X_support[0].numpy(), both.y_support[0].numpy(), both.X_query[0].numpy()
    )
    expected = -norm.logpdf(both.y_query[0].numpy(), mean, std.numpy()).mean()
    assert process(DKT).episode_loss(both).item() == pytest.approx(expected, rel=1e-9)


def test_the_marginal_loss_is_the_likelihood_of_all_rows():
    both = episode(9)
    X = torch.cat([both.X_support, both.X_query], 1)[0].numpy()
    y = torch.cat([both.y_support, both.y_query], 1)[0].numpy()
    covariance = reference("rbf").kernel(X) + (NOISE**2 + LEAST) * np.eye(15)
    density = multivariate_normal((X @ WEIGHT + BIAS)[:, 0], covariance).logpdf(y[:, 0])
    loss = process(DKT, objective="marginal").episode_loss(both)
    assert loss.item() == pytest.approx(-density / 15, rel=1e-9)


def test_classes_are_regressed_one_versus_the_rest_and_scaled():
    X, _ = rows(12)
    X_query, _ = rows(6, seed=1)
    one_hot = np.eye(3)[np.arange(12) % 3]
    learner = process(DKT, 3, kind="classification", mean="constant")
    with torch.no_grad():
        learner.log_scale.fill_(math.log(2.5))
    logits, std = predictions(learner, X, one_hot, X_query)
    expected = reference("rbf").fit(X, 2 * one_hot - 1 - BIAS).predict(X_query) + BIAS
    np.testing.assert_allclose(logits, 2.5 * expected, rtol=1e-8, atol=1e-9)
    assert std is None


def test_with_the_marginal_likelihood_the_scale_is_learned_by_the_cross_entropy_alone():
    X, _ = rows(12)
    y = torch.eye(3, dtype=torch.float64)[torch.arange(12) % 3]
    parts = (torch.tensor(X)[None], y[None], torch.ones(1, 12))
    learner = process(DKT, 3, kind="classification", objective="marginal")
    learner.episode_loss(Episode(*parts, *parts)).backward()
    both = torch.tensor(np.concatenate([X, X])), torch.cat([y, y]), torch.ones(24)
    alone = process(DKT, 3, kind="regression", objective="marginal")
    part = tuple(p[None, :12] for p in both)
    alone.episode_loss(
        Episode(part[0], 2 * part[1] - 1, part[2], part[0], 2 * part[1] - 1, part[2])
    ).backward()
    assert torch.allclose(learner.log_kernel.grad, alone.log_kernel.grad, rtol=1e-9)
    assert learner.log_scale.grad.abs() > 0
    assert alone.log_scale.grad is None


def test_rows_of_weight_zero_do_not_count():
    (X, y), (X_query, _) = rows(5), rows(6, seed=1)
    learner = process(DKT)
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    kept = weight.bool().numpy()
    with torch.no_grad():
        masked = learner.adapt(torch.tensor(X), torch.tensor(y), weight)
        found = learner.predict(masked, torch.tensor(X_query)).numpy()
    expected, _ = predictions(learner, X[kept], y[kept], X_query)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equal_rows_without_noise_do_not_break_the_solve():
    X, y = np.ones((10, 3)), np.ones((10, 1))
    learner = DKT(MLP(()).build((3,)), 1, noise=1e-9).double().eval()
    mean, std = predictions(learner, X, y, X)
    np.testing.assert_allclose(mean, y, atol=1e-4)
    assert torch.isfinite(std).all()
    learner.train()
    learner.kernel = "matern"  # its distance has no gradient at 0 unless it is seen to
    parts = [torch.tensor(part)[None] for part in (X, y, np.ones(10))]
    learner.episode_loss(Episode(*parts, *parts)).backward()
    assert torch.isfinite(learner.log_kernel.grad).all()


@pytest.mark.parametrize("cls", [DKT, ADKF])
def test_a_device_without_double_precision_gives_nearly_the_same(cls):
    class Single(cls):
        _solve_dtype = staticmethod(lambda device: torch.float32)

    (X, y), (X_query, _) = (tuple(p.astype(np.float32) for p in rows(n, seed=n)) for n in (30, 6))
    found, std = predictions(process(Single).float(), X, y, X_query)
    expected, expected_std = predictions(process(cls).float(), X, y, X_query)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(std, expected_std, rtol=1e-3)
    equal = np.ones((50, 3), np.float32), np.ones((50, 1), np.float32)
    learner = Single(MLP(()).build((3,)), 1, noise=1e-9).eval()
    mean, std = predictions(learner, *equal, equal[0])
    np.testing.assert_allclose(mean, 1.0, atol=1e-2)
    assert torch.isfinite(std).all()


def test_a_large_stack_is_conditioned_in_parts():
    # 3 tasks of 2,000 rows are more pairs than are taken at once.
    X = np.linspace(-3, 3, 6000).reshape(2000, 3, 1).transpose(1, 0, 2)
    learner = DKT(MLP(()).build((1,)), 1).double().eval()
    rows_, y = torch.tensor(X), torch.tensor(np.sin(X))
    with torch.no_grad():
        stack = learner.adapt_tasks(rows_, y)
        alone = learner.adapt(rows_[2], y[2])
    torch.testing.assert_close(stack["dual"][2], alone["dual"])
    assert stack["factor"].shape == (3, 2000, 2000)


def test_private_classes_have_no_mean_and_any_number():
    learner = DKT(MLP(()).build((3,)), 2, kind="classification", private_labels=True)
    assert not learner.mean_weight.requires_grad
    assert learner.initial() is None
    X, _ = rows(12)
    y = torch.eye(4)[torch.arange(12) % 4]
    adapted = learner.adapt(torch.tensor(X, dtype=torch.float32), y)
    assert learner.predict(adapted, torch.zeros(2, 3)).shape == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": "periodic"}, "kernel must be one of .*, got 'periodic'"),
        ({"kernel": "Tanimoto"}, r"got 'Tanimoto'\. Did you mean 'tanimoto'\?"),
        ({"mean": "quadratic"}, "mean must be one of .*, got 'quadratic'"),
        ({"objective": "joint"}, "objective must be one of .*, got 'joint'"),
        ({"noise": 0.0}, "noise and amplitude must be above 0"),
        ({"amplitude": -1.0}, "noise and amplitude must be above 0"),
    ],
)
def test_parameters_are_checked(arguments, message):
    with pytest.raises(ParameterError, match=message):
        DKT(MLP(()).build((3,)), 1, **arguments)
