"""The maths of the shrunk estimators, against definitions written out with whole matrices."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import block_diag
from scipy.optimize import brentq
from scipy.special import expit, log_expit
from scipy.stats import norm

from metaskl.estimators.correlated_effects import TaskProducts, fit_correlated
from metaskl.estimators.logit_effects import (
    LogitTask,
    fit_correlated_logits,
    fit_scales,
    posterior_mode,
    thinned,
)
from metaskl.estimators.mixed_likelihood import fit_isotropic
from metaskl.estimators.random_effects import blup, fit_mixed, size_of, times_root


def sizes_to_rows(*sizes):
    ends = np.cumsum(sizes)
    return [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def dense_lack(y, fixed, design, rows, root, prior=None):
    """Minus twice the restricted log likelihood at the best s², up to a constant."""
    full = np.diag(root) if np.ndim(root) == 1 else root
    parts = [np.eye(len(r)) + design[r] @ full @ full.T @ design[r].T for r in rows]
    order = np.concatenate(rows)
    V = block_diag(*parts)
    y, F = y[order], fixed[order]
    if prior is not None:
        # A prior on the slopes is one more random effect; the intercept keeps none.
        V = V + prior * F[:, 1:] @ F[:, 1:].T
        F = F[:, :1]
    inverse = np.linalg.inv(V)
    total, freedom = np.linalg.slogdet(V)[1], len(y)
    residual = y
    if F.shape[1]:
        normal = F.T @ inverse @ F
        residual = y - F @ np.linalg.solve(normal, F.T @ inverse @ y)
        total += np.linalg.slogdet(normal)[1]
        freedom -= F.shape[1]
    return total + freedom * np.log(residual @ inverse @ residual / freedom)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    rows = sizes_to_rows(2, 7, 3, 12, 5, 6, 1, 4, 9, 8)
    n = sum(map(len, rows))
    X = rng.normal(size=(n, 3))
    y = X @ [1.0, -1.0, 0.5] + 3.0 + rng.normal(size=n)
    for r in rows:
        y[r] += rng.normal() + X[r] @ rng.normal(scale=0.7, size=3)
    return X, y, rows


def test_balanced_one_way_layout_has_a_closed_form():
    # With n rows in each of T tasks REML is the analysis of variance: s² = MSW and
    # tau² = (MSB − MSW) / n. The yields of Davies (1949), for which lme4 prints a mean of
    # 1527.5 and standard deviations 42.00 (batch) and 49.51 (residual).
    yields = np.array(
        [
            [1545, 1440, 1440, 1520, 1580],
            [1540, 1555, 1490, 1560, 1495],
            [1595, 1550, 1605, 1510, 1560],
            [1445, 1440, 1595, 1465, 1545],
            [1595, 1630, 1515, 1635, 1625],
            [1520, 1455, 1450, 1480, 1445],
        ],
        dtype=float,
    )
    within = yields.var(axis=1, ddof=1).mean()
    between = 5 * yields.mean(axis=1).var(ddof=1)
    none = np.empty((30, 0))
    found = fit_mixed(yields.ravel(), none, none, sizes_to_rows(*[5] * 6), shrink_fixed=False)
    np.testing.assert_allclose(found.fixed, [1527.5])
    np.testing.assert_allclose(found.sigma2, within, rtol=1e-5)
    np.testing.assert_allclose(found.sigma2 * found.root**2, (between - within) / 5, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(found.sigma2), 49.51, atol=0.01)
    np.testing.assert_allclose(np.sqrt(found.sigma2) * found.root, 42.00, atol=0.01)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("shrink_fixed", [False, True])
@pytest.mark.parametrize("n_slopes", [0, 3])
def test_the_estimate_is_the_top_of_the_dense_likelihood(data, fixed, shrink_fixed, n_slopes):
    X, y, rows = data
    y = y if fixed else y - y.mean()
    slopes = X[:, :n_slopes] / np.sqrt(3)
    features = X if fixed else None
    found = fit_isotropic(y, features, slopes, rows, shrink_fixed=shrink_fixed)
    ones = np.ones((len(y), 1))
    F = np.hstack([ones, X]) if fixed else np.empty((len(y), 0))
    design = np.hstack([ones, slopes])

    def lack(ratios, prior):
        root = np.sqrt(np.r_[ratios[0], np.full(n_slopes, ratios[1])])
        return dense_lack(y, F, design, rows, root, prior)

    assert (found.prior is None) == (not (fixed and shrink_fixed))
    top = lack(found.ratios, found.prior)
    for place in range(1 if n_slopes == 0 else 2):
        for factor in (0.9, 1.1):
            moved = found.ratios.copy()
            moved[place] *= factor
            assert lack(moved, found.prior) > top
    if found.prior is not None:
        assert min(lack(found.ratios, found.prior * f) for f in (0.9, 1.1)) > top


def test_the_value_of_the_likelihood_is_the_dense_one(data):
    X, y, rows = data
    F = np.hstack([np.ones((len(y), 1)), X])
    values = []
    for features in (X, X * [1.0, 1.0, 1.3]):
        # Differences of two values are free of the constant.
        found = fit_isotropic(y, X, features, rows, shrink_fixed=False)
        root = np.sqrt(found.ratios[[0, 1, 1, 1]])
        dense = dense_lack(y, F, np.hstack([F[:, :1], features]), rows, root)
        values.append(found.profile.lack - dense)
    np.testing.assert_allclose(values[0], values[1], atol=1e-8)


def test_a_full_covariance_is_the_top_of_the_dense_likelihood(data):
    X, y, rows = data
    ones = np.ones((len(y), 1))
    design, F = np.hstack([ones, X[:, :1]]), np.hstack([ones, X])
    products = TaskProducts.of_rows(design, np.hstack([F, y[:, None]]), rows)
    found = fit_correlated(products, np.array([1.0, 1.0]), None, 0.0)
    top = dense_lack(y, F, design, rows, found.root)
    for place in ((0, 0), (1, 0), (1, 1)):
        for step in (-0.05, 0.05):
            moved = found.root.copy()
            moved[place] += step
            assert dense_lack(y, F, design, rows, moved) > top


def test_a_shrunk_covariance_lies_between_the_others(data):
    X, y, rows = data
    roots = {
        kind: fit_mixed(y, X, X, rows, covariance=kind).root
        for kind in ("isotropic", "shrunk", "full")
    }
    assert roots["isotropic"].ndim == 1
    correlation = {}
    for kind in ("shrunk", "full"):
        covariance = roots[kind] @ roots[kind].T
        scale = size_of(roots[kind])
        np.testing.assert_allclose(np.diag(covariance), scale**2)
        correlation[kind] = np.abs(covariance / np.outer(scale, scale) - np.eye(4)).max()
    assert 0 < correlation["shrunk"] < correlation["full"]


def test_columns_that_others_add_up_to_get_no_fixed_effect(data):
    X, y, rows = data
    double = np.hstack([X, X[:, :1] + X[:, 1:2]])
    plain = fit_mixed(y, X, X, rows, shrink_fixed=False)
    found = fit_mixed(y, double, X, rows, shrink_fixed=False)
    assert (found.fixed == 0).sum() == 1
    F = np.hstack([np.ones((len(y), 1)), double])
    fit = np.hstack([np.ones((len(y), 1)), X]) @ plain.fixed
    np.testing.assert_allclose(F @ found.fixed, fit, rtol=1e-4)
    np.testing.assert_allclose(found.root, plain.root, rtol=1e-3)


def test_more_features_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 60))
    y = X[:, 0] * 3 + rng.normal(size=30)
    found = fit_mixed(y, X, X, sizes_to_rows(*[5] * 6))
    assert np.isfinite(found.fixed).all()
    assert np.argmax(np.abs(found.fixed[1:])) == 0


def test_a_constant_target_has_no_variance():
    found = fit_mixed(np.full(10, 7.0), np.ones((10, 1)), np.ones((10, 1)), sizes_to_rows(5, 5))
    assert found.sigma2 == 0
    np.testing.assert_array_equal(found.fixed, [7.0, 0.0])
    np.testing.assert_array_equal(found.root, [0.0, 0.0])


def test_blup_of_a_random_intercept_is_shrinkage():
    # n rows that lie r above the shared model: effect r·n tau² / (n tau² + s²).
    for n in (1, 2, 5):
        effects, explained = blup(np.ones((n, 1)), np.full(n, 3.0), np.array([0.5]))
        shrink = n * 0.25 / (n * 0.25 + 1)
        np.testing.assert_allclose(effects, 3.0 * shrink)
        # What is left of tau²/s² = 0.25.
        np.testing.assert_allclose(0.25 - explained.T @ explained, 0.25 * (1 - shrink))


@pytest.mark.parametrize("n_rows", [2, 4, 30])
@pytest.mark.parametrize("full", [False, True])
def test_blup_is_the_posterior_mean(n_rows, full):
    rng = np.random.default_rng(0)
    design, residual = rng.normal(size=(n_rows, 4)), rng.normal(size=n_rows)
    root = np.tril(rng.normal(size=(4, 4))) if full else np.array([1.0, 0.0, 0.5, 2.0])
    D = root @ root.T if full else np.diag(root**2)
    inverse = np.linalg.inv(design @ D @ design.T + np.eye(n_rows))
    effects, explained = blup(design, residual, root)
    np.testing.assert_allclose(effects, D @ design.T @ inverse @ residual)
    posterior = D - D @ design.T @ inverse @ design @ D
    np.testing.assert_allclose(D - explained.T @ explained, posterior, atol=1e-12)
    np.testing.assert_allclose(
        (times_root(design, root) ** 2).sum(axis=1), np.diag(design @ D @ design.T)
    )


def logit_task(n_rows, n_effects, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    design = np.hstack([np.ones((n_rows, 1)), rng.normal(size=(n_rows, n_effects - 1))])
    classes = rng.integers(n_classes, size=n_rows)
    hot = np.eye(n_classes)[classes] if n_classes > 2 else classes[:, None].astype(float)
    return LogitTask(design, rng.normal(size=hot.shape), hot)


def log_posterior(task, effects, root):
    covariance = root @ root.T if root.ndim == 2 else np.diag(root**2)
    logits = task.offset + task.design @ effects.T
    if logits.shape[1] == 1:
        fit = log_expit(np.where(task.target == 1, logits, -logits)).sum()
    else:
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        fit = np.log((chances * task.target).sum(axis=1)).sum()
    return fit - 0.5 * np.einsum("ci,ij,cj", effects, np.linalg.inv(covariance), effects)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("n_rows", [2, 6, 40])
@pytest.mark.parametrize("full", [False, True])
def test_the_mode_has_no_slope(n_classes, n_rows, full):
    task = logit_task(n_rows, 3, n_classes)
    root = np.array([1.5, 0.5, 0.5])
    if full:
        root = np.diag(root) + np.tril(np.full((3, 3), 0.3), -1)
    mode = posterior_mode(task, root).effects
    for place in np.ndindex(*mode.shape):
        step = np.zeros_like(mode)
        step[place] = 1e-4
        ends = [log_posterior(task, mode + sign * step, root) for sign in (1, -1)]
        assert abs(ends[0] - ends[1]) / 2e-4 < 1e-4
        assert max(ends) < log_posterior(task, mode, root)


@pytest.mark.parametrize("n_rows", [5, 40])
def test_the_determinant_of_many_classes_is_the_dense_one(n_rows):
    # Both ways of writing it, for fewer and for more rows than effects.
    task = logit_task(n_rows, 3, 4)
    mode = posterior_mode(task, np.ones(3))
    hessian = np.eye(12)
    for z, p in zip(task.design, mode.probability, strict=True):
        hessian += np.kron(np.diag(p) - np.outer(p, p), np.outer(z, z))
    expected = log_posterior(task, mode.effects, np.ones(3)) - np.linalg.slogdet(hessian)[1] / 2
    np.testing.assert_allclose(mode.log_evidence, expected, rtol=1e-6)


def test_one_class_support_has_a_mode_that_can_be_checked_by_hand():
    # n rows, all of class 1, offset 0: b solves n (1 − expit(b)) = b / tau².
    for n, tau in ((1, 1.0), (5, 0.7), (100, 2.0)):
        task = LogitTask(np.ones((n, 1)), np.zeros((n, 1)), np.ones((n, 1)))
        found = posterior_mode(task, np.array([tau])).effects
        expected = brentq(lambda b, n=n, tau=tau: n * (1 - expit(b)) - b / tau**2, 0, 50)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_extreme_supports_converge():
    task = LogitTask(
        np.array([[1.0, 50.0], [1.0, -80.0]]), np.array([[20.0], [-20.0]]), np.array([[0.0], [1.0]])
    )
    found = posterior_mode(task, np.array([30.0, 30.0])).effects
    assert np.isfinite(found).all()
    step = 1e-4 * np.eye(2)[:, None, :]
    assert log_posterior(task, found, np.full(2, 30.0)) >= max(
        log_posterior(task, found + sign * s, np.full(2, 30.0)) for s in step for sign in (1, -1)
    )


def test_laplace_is_close_to_the_integral():
    task = logit_task(8, 1, 2)

    def integrand(b):
        return np.exp(log_posterior(task, np.array([[b]]), np.array([0.8]))) / (
            0.8 * np.sqrt(2 * np.pi)
        )

    exact = np.log(quad(integrand, -10, 10)[0])
    # The mode's own density lacks the constant of the prior, which Laplace's factor brings back.
    np.testing.assert_allclose(posterior_mode(task, np.array([0.8])).log_evidence, exact, atol=0.02)


def test_rotation_changes_nothing():
    task = logit_task(4, 30, 3)
    root = np.full(30, 0.3)
    rotated = task.rotated()
    assert rotated.design.shape == (4, 5)
    mode, direct = posterior_mode(rotated, root[:5]), posterior_mode(task, root)
    np.testing.assert_allclose(rotated.turn_back(mode.effects), direct.effects, atol=1e-5)
    np.testing.assert_allclose(mode.log_evidence, direct.log_evidence)
    assert logit_task(40, 3, 2).rotated().basis is None


def simulated_logits(n_tasks, root, n_rows=40):
    rng = np.random.default_rng(1)
    tasks = []
    for seed in range(n_tasks):
        task = logit_task(n_rows, len(root), 2, seed)
        logits = task.offset + task.design @ (root @ rng.normal(size=len(root)))[:, None]
        target = (rng.random(logits.shape) < expit(logits)).astype(float)
        tasks.append(LogitTask(task.design, task.offset, target))
    return tasks


def test_scales_are_found_again():
    root = np.diag([1.0, 0.5, 0.5])
    scales = fit_scales(simulated_logits(150, root), slope_size=2.0)
    np.testing.assert_allclose(scales, [1.0, 0.5], rtol=0.25)
    only = fit_scales(
        [
            LogitTask(t.design[:, :1], t.offset, t.target)
            for t in simulated_logits(150, np.diag([1.0]))
        ],
        slope_size=0.0,
    )
    np.testing.assert_allclose(only, [1.0, 0.0], rtol=0.25)
    nothing = fit_scales(simulated_logits(50, np.diag([0.0, 0.0])), slope_size=1.0)
    assert nothing.max() < 0.2


def test_correlations_are_found_again():
    root = np.array([[1.0, 0.0], [0.8, 0.3]])
    tasks = simulated_logits(200, root)
    found = fit_correlated_logits(tasks, np.array([0.8, 0.8]), 0.0)
    covariance = found @ found.T
    np.testing.assert_allclose(covariance, root @ root.T, atol=0.25)
    shrunk = fit_correlated_logits(tasks, np.array([0.8, 0.8]), 200.0)
    assert 0 < (shrunk @ shrunk.T)[0, 1] < covariance[0, 1]


def test_large_problems_are_thinned():
    tasks = [logit_task(3, 2, 2)] * 700
    assert len(thinned(tasks)) == 234
    wide = logit_task(450, 260, 2)
    assert [len(part.design) for part in thinned([wide])] == [150]
    assert thinned(tasks[:5]) == tasks[:5]


def test_norm_is_the_yardstick_of_the_density():
    # Guards the helper above: without rows the log posterior is the prior's, less its constant.
    task = LogitTask(np.empty((0, 1)), np.empty((0, 1)), np.empty((0, 1)))
    value = log_posterior(task, np.array([[0.4]]), np.array([0.8]))
    np.testing.assert_allclose(value, norm.logpdf(0.4, scale=0.8) - norm.logpdf(0.0, scale=0.8))
