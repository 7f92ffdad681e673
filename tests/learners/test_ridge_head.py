import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.linear_model import Ridge

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.base import solve_dtype
from metaskl.learners.ridge_head import RidgeHead, _compressed
from metaskl.tasks import Episode

SIGMA = 0.4
PRECISION = np.array([0.5, 2.0, 1.5, 0.8])  # of three features and the constant
PRIOR = np.array([[0.3], [-0.2], [0.1], [1.0]])
# Fewer rows than features with their constant, as many, and more: the solve takes two ways.
N_ROWS = [1, 2, 4, 5, 30]


def rows(n_rows, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X, noise = rng.standard_normal((n_rows, 3)), rng.standard_normal((n_rows, n_outputs))
    return X, X @ rng.standard_normal((3, n_outputs)) + 0.5 * noise


def head(n_outputs=1, *, prior=PRIOR, precision=PRECISION, **arguments):
    """Build the learner on the rows themselves, with a prior of our own."""
    learner = RidgeHead(MLP(()).build((3,)), n_outputs, noise=SIGMA, **arguments).double()
    with torch.no_grad():
        learner.log_noise.fill_(np.log(SIGMA))
        learner.log_precision.copy_(torch.tensor(np.log(precision)))
        learner.prior_weight.copy_(torch.tensor(prior).expand(4, n_outputs))
    return learner.eval()


def posterior(X, y, prior=PRIOR, precision=PRECISION):
    """Return mean and covariance of the weights, by the textbook formula."""
    Phi = np.column_stack([X, np.ones(len(X))])
    covariance = np.linalg.inv(np.diag(precision) + Phi.T @ Phi / SIGMA**2)
    return covariance @ (np.diag(precision) @ prior + Phi.T @ y / SIGMA**2), covariance


def predictions(learner, X, y, X_query):
    with torch.no_grad():
        adapted = learner.adapt(torch.tensor(X), torch.tensor(y))
        query = torch.tensor(X_query)
        return learner.predict(adapted, query).numpy(), learner.predict_std(adapted, query)


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_mean_and_variance_are_those_of_bayesian_linear_regression(n_rows):
    (X, y), (X_query, _) = rows(n_rows), rows(6, seed=1)
    mean, std = predictions(head(), X, y, X_query)
    weight, covariance = posterior(X, y)
    Phi = np.column_stack([X_query, np.ones(6)])
    np.testing.assert_allclose(mean, Phi @ weight, rtol=1e-7, atol=1e-8)
    variance = SIGMA**2 + np.einsum("qi,ij,qj->q", Phi, covariance, Phi)
    np.testing.assert_allclose(std[:, 0], np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_with_an_even_prior_it_is_scikit_learns_ridge(n_rows):
    (X, y), (X_query, _) = rows(n_rows, 2), rows(6, seed=1)
    learner = head(2, prior=np.zeros((4, 1)), precision=np.full(4, 0.7))
    mean, _ = predictions(learner, X, y, X_query)
    ridge = Ridge(alpha=0.7 * SIGMA**2, fit_intercept=False)
    ridge.fit(np.column_stack([X, np.ones(n_rows)]), y)
    expected = ridge.predict(np.column_stack([X_query, np.ones(6)]))
    np.testing.assert_allclose(mean, expected.reshape(6, 2), rtol=1e-7, atol=1e-8)


def test_it_is_a_gaussian_process_with_a_linear_kernel():
    (X, y), (X_query, _) = rows(8), rows(6, seed=1)
    learner = head(prior=np.zeros((4, 1)), precision=np.ones(4))
    mean, std = predictions(learner, X, y, X_query)
    process = GaussianProcessRegressor(DotProduct(1.0), alpha=SIGMA**2, optimizer=None)
    expected, noise_free = process.fit(X, y[:, 0]).predict(X_query, return_std=True)
    np.testing.assert_allclose(mean[:, 0], expected, rtol=1e-7)
    np.testing.assert_allclose(std[:, 0], np.sqrt(noise_free**2 + SIGMA**2), rtol=1e-7)


def test_before_a_support_the_prior_predicts():
    X, _ = rows(5)
    learner = head()
    with torch.no_grad():
        initial = learner.initial()
        mean = learner.predict(initial, torch.tensor(X))
        std = learner.predict_std(initial, torch.tensor(X))
    Phi = np.column_stack([X, np.ones(5)])
    np.testing.assert_allclose(mean, Phi @ PRIOR, rtol=1e-12)
    np.testing.assert_allclose(std[:, 0], np.sqrt(SIGMA**2 + Phi**2 @ (1 / PRECISION)))


@pytest.mark.parametrize("n_support", [3, 10])
def test_the_outer_loss_is_the_predictive_density(n_support):
    (X, y), (X_query, y_query) = rows(n_support), rows(6, seed=1)
    weight, covariance = posterior(X, y)
    Phi = np.column_stack([X_query, np.ones(6)])
    variance = SIGMA**2 + np.einsum("qi,ij,qj->q", Phi, covariance, Phi)
    expected = -norm.logpdf(y_query[:, 0], (Phi @ weight)[:, 0], np.sqrt(variance)).mean()
    parts = [torch.tensor(part)[None] for part in (X, y, np.ones(n_support))]
    parts += [torch.tensor(part)[None] for part in (X_query, y_query, np.ones(6))]
    loss = head().episode_loss(Episode(*parts))
    assert loss.item() == pytest.approx(expected, rel=1e-7)
    loss = head(likelihood=False).episode_loss(Episode(*parts))
    assert loss.item() == pytest.approx(((Phi @ weight - y_query) ** 2).mean(), rel=1e-7)


@pytest.mark.parametrize("n_rows", [3, 12])
def test_classes_are_regressed_around_their_mean_and_scaled(n_rows):
    (X, _), (X_query, _) = rows(n_rows), rows(6, seed=1)
    label = np.arange(n_rows) % 3
    one_hot = np.eye(3)[label]
    learner = head(3, kind="classification")
    with torch.no_grad():
        learner.log_scale.fill_(np.log(2.5))
    logits, std = predictions(learner, X, one_hot, X_query)
    weight, _ = posterior(X, one_hot - 1 / 3)
    expected = 2.5 * np.column_stack([X_query, np.ones(6)]) @ weight
    np.testing.assert_allclose(logits, expected, rtol=1e-7, atol=1e-8)
    assert std is None


def test_private_classes_have_no_prior_and_any_number():
    learner = RidgeHead(MLP(()).build((3,)), 2, kind="classification", private_labels=True)
    assert not learner.prior_weight.requires_grad
    assert learner.initial() is None
    X, _ = rows(12)
    y = torch.eye(4)[torch.arange(12) % 4]
    adapted = learner.adapt(torch.tensor(X, dtype=torch.float32), y)
    assert adapted["weight"].shape == (4, 4)


def test_targets_without_noise_do_not_break_the_solve():
    X, _ = rows(40)
    y = X @ np.array([[1.0], [2.0], [-1.0]])
    learner = RidgeHead(MLP(()).build((3,)), 1, noise=1e-9, prior_precision=1e-9).double().eval()
    mean, std = predictions(learner, X, y, X)
    np.testing.assert_allclose(mean, y, atol=1e-4)
    assert torch.isfinite(std).all()


def test_equal_rows_do_not_break_the_solve():
    X, y = np.ones((10, 3)), np.ones((10, 1))
    mean, _ = predictions(head(), X, y, X)
    expected = np.column_stack([X, np.ones(10)]) @ posterior(X, y)[0]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


@pytest.mark.parametrize("arguments", [{"noise": 0.0}, {"prior_precision": -1.0}])
def test_noise_and_precision_are_positive(arguments):
    with pytest.raises(ParameterError, match="noise and prior_precision must be above 0"):
        RidgeHead(MLP(()).build((3,)), 1, **arguments)


class InSingle(RidgeHead):
    """As on a device without float64."""

    _solve_dtype = staticmethod(lambda device: torch.float32)


class TestWithoutDoubles:
    def test_only_where_a_device_has_none(self):
        assert solve_dtype(torch.device("mps")) == torch.float32
        assert solve_dtype(torch.device("cpu")) == torch.float64
        assert solve_dtype(torch.device("cuda:1")) == torch.float64

    @pytest.mark.parametrize("n_rows", N_ROWS)
    def test_the_answers_are_alike(self, n_rows):
        X, y = (torch.tensor(values, dtype=torch.float32) for values in rows(n_rows))
        found = []
        for learner_class in (RidgeHead, InSingle):
            torch.manual_seed(0)
            learner = learner_class(MLP((8,)).build((3,)), 1, noise=SIGMA, prior_precision=1.0)
            adapted = learner.eval().adapt(X, y)
            found.append((learner.predict(adapted, X), learner.predict_std(adapted, X)))
        assert adapted["weight"].dtype == torch.float32
        torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("n_rows", [3, 40])
    def test_equal_rows_and_targets_without_noise_do_not_break_the_solve(self, n_rows):
        learner = InSingle(MLP(()).build((3,)), 1, noise=1e-6, prior_precision=1e-6)
        X = torch.ones(n_rows, 3) * torch.tensor([1e3, 1.0, 1e-3])
        adapted = learner.adapt(X, torch.ones(n_rows, 1))
        torch.testing.assert_close(
            learner.predict(adapted, X), torch.ones(n_rows, 1), atol=1e-2, rtol=0
        )
        loss = learner.row_loss(learner.predict(adapted, X), torch.ones(n_rows, 1)).mean()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in learner.parameters() if p.grad is not None)


def test_features_of_unlike_scale_are_compressed_alike():
    # The jitter is of each feature's own size: else it would swamp the small ones.
    scales = torch.tensor([1e6, 1.0, 1e-6], dtype=torch.float64)
    features = torch.tensor(rows(50)[0])[None] * scales
    residual = torch.tensor(rows(50)[1])[None]
    few, rest = _compressed(features, residual)
    assert few.shape == (1, 3, 3)
    size = scales[:, None] * scales
    torch.testing.assert_close(few.mT @ few / size, features.mT @ features / size)
    projected = features.mT @ residual / scales[:, None]
    torch.testing.assert_close(few.mT @ rest / scales[:, None], projected)


@pytest.mark.parametrize("n_rows", [3, 40])
def test_equal_rows_far_out_do_not_break_the_solve(n_rows):
    X = torch.full((n_rows, 3), 1e12)
    learner = RidgeHead(MLP(()).build((3,)), 1)
    found = learner.predict(learner.adapt(X, torch.ones(n_rows, 1)), X)
    torch.testing.assert_close(found, torch.ones(n_rows, 1), atol=1e-2, rtol=0)
