import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.irls import logistic_weights
from metaskl.learners.logistic_head import _PRIOR_UNIT, LogisticHead
from metaskl.learners.ridge_head import RidgeHead
from metaskl.tasks import Episode

# Fewer rows than features with their constant, as many, and more: the solve takes two ways.
N_ROWS = [2, 4, 30]
PRECISION = np.array([0.5, 2.0, 1.5, 0.8])
PRIOR = np.array([0.3, -0.2, 0.1, 1.0])


def rows(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 3))
    label = (X[:, 0] + 0.5 * rng.standard_normal(n_rows) > 0).astype(int)
    label[:2] = 0, 1
    return X, label


def with_constant(X):
    return np.column_stack([X, np.ones(len(X))])


def head(n_outputs=2, **arguments):
    """Build the learner on the rows themselves, with a prior of our own."""
    learner = LogisticHead(MLP(()).build((3,)), n_outputs, **arguments).double()
    with torch.no_grad():
        learner.log_precision.copy_(torch.tensor(np.log(PRECISION)))
        prior = torch.tensor(PRIOR)[:, None] / _PRIOR_UNIT
        learner.prior_weight.copy_(prior.expand_as(learner.prior_weight))
    return learner.eval()


def one_hot(label, n_classes=2):
    return torch.eye(n_classes, dtype=torch.float64)[torch.tensor(label)]


def solve(Phi, y, prior, precision, **steps):
    """Solve one task with one target."""
    parts = [torch.as_tensor(part, dtype=torch.float64) for part in (Phi, y, prior, precision)]
    ones = torch.ones(1, len(Phi), dtype=torch.float64)
    return logistic_weights(
        parts[0][None], parts[1][None, :, None], ones, parts[2][:, None], parts[3], **steps
    )[0, :, 0]


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_at_the_solution_the_gradient_of_the_posterior_is_zero(n_rows):
    X, label = rows(n_rows)
    with torch.no_grad():
        weight = head().adapt(torch.tensor(X), one_hot(label))["weight"][:, 0].numpy()
    Phi = with_constant(X)
    # d/dw of Σ log p(y | φᵀw) − ½ (w − w₀)ᵀ Λ₀ (w − w₀)
    gradient = Phi.T @ (label - expit(Phi @ weight)) - PRECISION * (weight - PRIOR)
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_with_an_even_prior_it_is_scikit_learns_logistic_regression(n_rows):
    X, label = rows(n_rows)
    Phi = with_constant(X)
    model = LogisticRegression(C=1 / 0.3, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = model.fit(Phi, label).coef_[0]
    np.testing.assert_allclose(solve(Phi, label, np.zeros(4), np.full(4, 0.3)), expected, atol=1e-5)


def test_one_row_is_solved_by_hand():
    # One feature of 1, one row of class 1, w₀ = 0, Λ₀ = λ: λ w = 1 − σ(w). With w = ln 3 the
    # right side is 1/4, so λ = 1 / (4 ln 3) has that solution.
    weight = solve([[1.0]], [1.0], [0.0], [1 / (4 * np.log(3))])
    assert weight.item() == pytest.approx(np.log(3), abs=1e-9)


def test_separable_rows_under_a_weak_prior_do_not_diverge():
    # A full Newton step from here overshoots: the steps must be damped.
    X = np.array([[-3.0], [-2.0], [2.0], [50.0]])
    weight = solve(X, [0, 0, 1, 1], [-5.0], [1e-3])
    gradient = X[:, 0] @ (np.array([0, 0, 1, 1]) - expit(X[:, 0] * weight.item()))
    assert gradient == pytest.approx(1e-3 * (weight.item() + 5.0), abs=1e-8)


def posterior_loss(Phi, y, weight, prior, precision):
    logit = Phi @ weight
    rows_ = np.logaddexp(0, logit) - y * logit
    return float(rows_.sum() + 0.5 * precision @ (weight - prior) ** 2)


@pytest.mark.parametrize("precision", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("size", [100.0, 1e4])
def test_on_wide_features_steps_go_down_and_reach_the_maximum(precision, size):
    # Newton steps by the curvature alone lead far away here: p (1 − p) vanishes where a row is
    # predicted with certainty, wrongly too.
    rng = np.random.default_rng(0)
    Phi = size * rng.standard_normal((40, 6))
    y = (Phi[:, 0] > 0).astype(float)
    prior, spread = np.ones(6), np.full(6, precision)
    found = [prior] + [
        solve(Phi, y, prior, spread, max_steps=n).numpy() for n in (1, 3, 10, 20, 50)
    ]
    losses = [posterior_loss(Phi, y, weight, prior, spread) for weight in found]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < (3.0 if precision == 1.0 else 0.01)


def test_rows_of_any_size_do_not_break_the_solve():
    X, label = rows(30)
    for size in (1e8, 1e15):
        weight = head().adapt(size * torch.tensor(X), one_hot(label))["weight"]
        assert torch.isfinite(weight).all()


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_the_outer_gradient_is_that_of_the_maximum(n_rows):
    X, label = rows(n_rows)
    Phi = torch.tensor(with_constant(X), requires_grad=True)
    prior = torch.tensor(PRIOR[:, None], requires_grad=True)
    precision = torch.tensor(PRECISION, requires_grad=True)
    y = torch.tensor(label, dtype=torch.float64)[None, :, None]
    ones = torch.ones(1, n_rows, dtype=torch.float64)

    def solution(Phi, prior, precision):
        return logistic_weights(Phi[None], y, ones, prior, precision, max_steps=50)

    # Against finite differences of the whole solve.
    assert torch.autograd.gradcheck(solution, (Phi, prior, precision), eps=1e-6, atol=1e-6)


def test_more_classes_are_told_each_from_the_rest():
    X, _ = rows(12)
    label = np.arange(12) % 3
    learner = head(3)
    with torch.no_grad():
        learner.log_scale.fill_(np.log(2.0))
        logits = learner.predict(learner.adapt(torch.tensor(X), one_hot(label, 3)), torch.tensor(X))
    Phi = with_constant(X)
    alone = [solve(Phi, label == c, PRIOR, PRECISION) for c in range(3)]
    expected = 2 * Phi @ torch.stack(alone, dim=1).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-7)


def test_two_classes_have_one_model_between_them():
    X, label = rows(9)
    learner = head()
    with torch.no_grad():
        adapted = learner.adapt(torch.tensor(X), one_hot(label))
        probability = learner.predict(adapted, torch.tensor(X)).softmax(-1)[:, 1]
    assert adapted["weight"].shape == (4, 1)
    weight = adapted["weight"][:, 0].numpy()
    np.testing.assert_allclose(probability, expit(with_constant(X) @ weight))


def test_before_a_support_the_prior_predicts():
    X, _ = rows(5)
    learner = head()
    with torch.no_grad():
        probability = learner.predict(learner.initial(), torch.tensor(X)).softmax(-1)[:, 1]
    np.testing.assert_allclose(probability, expit(with_constant(X) @ PRIOR))


def test_private_classes_have_no_prior_and_any_number():
    learner = LogisticHead(MLP(()).build((3,)), 2, private_labels=True)
    assert not learner.prior_weight.requires_grad
    assert learner.initial() is None
    X, _ = rows(12)
    adapted = learner.adapt(
        torch.tensor(X, dtype=torch.float32), torch.eye(4)[torch.arange(12) % 4]
    )
    assert adapted["weight"].shape == (4, 4)


def unbalanced(seed, n_tasks=64, n_support=50, n_query=30):
    """Draw tasks with a rare class: p(y = 1) = σ(wᵀx − 3), w = (2, 2, 0) + 1.5 noise."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n_tasks, n_support + n_query, 3, generator=generator)
    own = 1.5 * torch.randn(n_tasks, 3, 1, generator=generator)
    logit = (X @ (torch.tensor([[2.0], [2.0], [0.0]]) + own))[..., 0] - 3
    y = torch.eye(2)[(torch.rand(logit.shape, generator=generator) < logit.sigmoid()).long()]
    ones = torch.ones(n_tasks, n_support + n_query)
    parts = [[part[:, :n_support], part[:, n_support:]] for part in (X, y, ones)]
    return Episode(*(part[0] for part in parts), *(part[1] for part in parts))


def trained(learner, n_steps=150):
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.03)
    for step in range(n_steps):
        optimizer.zero_grad()
        learner.episode_loss(unbalanced(step, n_tasks=16)).backward()
        optimizer.step()
    return learner


def test_on_a_rare_class_it_learns_more_than_pooling_and_the_ridge_head():
    test = unbalanced(10_000, n_tasks=400)
    logistic = trained(LogisticHead(MLP(()).build((3,)), 2))
    ridge = trained(RidgeHead(MLP(()).build((3,)), 2, kind="classification"))
    with torch.no_grad():
        found, other = logistic.validation_loss(test), ridge.validation_loss(test)
    # All the rows of many tasks in one model, which knows what they share and nothing else.
    pool = unbalanced(0, n_tasks=1000)
    pooled = LogisticRegression().fit(pool.X_query.flatten(0, 1), pool.y_query.flatten(0, 1)[:, 1])
    expected = pooled.predict_log_proba(test.X_query.flatten(0, 1))
    bar = -(torch.tensor(expected) * test.y_query.flatten(0, 1)).sum(-1).mean()
    assert found < 0.8 * bar
    assert found < 0.995 * other


@pytest.mark.parametrize("arguments", [{"prior_precision": 0.0}, {"newton_steps": 0}])
def test_other_arguments_are_refused(arguments):
    with pytest.raises(ParameterError, match="prior_precision must be above 0 and newton_steps"):
        LogisticHead(MLP(()).build((3,)), 2, **arguments)
