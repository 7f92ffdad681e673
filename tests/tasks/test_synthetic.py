import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from metaskl.tasks import BlobTasks, GaussianProcessTasks, LinearTasks, SinusoidTasks

FAMILIES = [SinusoidTasks(), LinearTasks(), GaussianProcessTasks(), BlobTasks()]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_a_sample_is_a_table_of_tasks_and_the_seed_decides(family):
    first, again, other = (family.sample(3, 8, random_state=seed) for seed in (0, 0, 1))
    assert first.groups.tolist() == np.repeat([0, 1, 2], 8).tolist()
    assert len(first.X) == len(first.y) == 24
    assert np.array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)
    assert all(len(value) == 3 for value in first.parameters.values())
    assert len(first.task_set()) == 3


def test_sinusoids_follow_their_formula():
    family = SinusoidTasks(frequency=(0.8, 1.2))
    drawn = family.sample(200, 5, random_state=0)
    a, phi, f = (drawn.parameters[name] for name in ("amplitude", "phase", "frequency"))
    x, t = drawn.X[:, 0], drawn.groups
    np.testing.assert_allclose(drawn.y, a[t] * np.sin(f[t] * x - phi[t]), rtol=1e-12, atol=1e-12)
    for values, (low, high) in {
        "x": (x, (-5, 5)),
        "amplitude": (a, (0.1, 5)),
        "phase": (phi, (0, np.pi)),
        "frequency": (f, (0.8, 1.2)),
    }.values():
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


def test_family_a_of_sinusoids_has_one_frequency():
    assert (SinusoidTasks().sample(9, 2, random_state=0).parameters["frequency"] == 1).all()


@pytest.mark.parametrize("family", [SinusoidTasks(noise=0.5), LinearTasks(noise=0.5)])
def test_the_noise_has_its_standard_deviation(family):
    drawn = family.sample(50, 100, random_state=0)
    truth = np.concatenate([drawn.truth(t, drawn.X[drawn.groups == t]) for t in range(50)])
    error = drawn.y - truth
    assert abs(error.std() - 0.5) < 0.02  # 5,000 draws: standard error 0.005
    assert abs(error.mean()) < 0.03


def test_lines_share_a_common_one():
    drawn = LinearTasks(n_features=2, spread=0.5, noise=0.0).sample(4000, 1, random_state=0)
    around = drawn.parameters["coef"] - drawn.parameters["common"]
    assert np.abs(around.mean(0)).max() < 0.04
    assert np.abs(around.std(0) - 0.5).max() < 0.03
    assert abs(drawn.parameters["intercept"].std() - 0.5) < 0.03
    expected = (drawn.X * drawn.parameters["coef"]).sum(1) + drawn.parameters["intercept"]
    np.testing.assert_allclose(drawn.y, expected)


def test_the_posterior_of_a_gaussian_process_is_scikit_learns():
    family = GaussianProcessTasks(n_features=2, length_scale=0.7, scale=1.0, noise=0.2)
    drawn = family.sample(1, 30, random_state=0)
    X, y, new = drawn.X[:20], drawn.y[:20], drawn.X[20:]
    theirs = GaussianProcessRegressor(RBF(0.7), alpha=0.2**2, optimizer=None).fit(X, y)
    np.testing.assert_allclose(family.posterior_mean(X, y, new), theirs.predict(new), atol=1e-9)


def test_gaussian_process_draws_have_the_kernel_as_covariance():
    family = GaussianProcessTasks(length_scale=0.5, scale=2.0, noise=0.0)
    drawn = family.sample(4000, 2, random_state=0)
    values, X = drawn.parameters["values"], drawn.X.reshape(4000, 2)
    near = np.abs(X[:, 0] - X[:, 1]) < 0.25
    # Where two inputs are near, E[(f − f')²] = 2 (s² − k) is far below that of all, 2 s² at most.
    assert abs(values.var() - 4.0) < 0.3
    expected = 2 * (4 - 4 * np.exp(-((X[near, 0] - X[near, 1]) ** 2) / (2 * 0.25)))
    assert abs(((values[near, 0] - values[near, 1]) ** 2).mean() / expected.mean() - 1) < 0.15


def test_the_truth_of_a_gaussian_process_goes_through_its_values():
    drawn = GaussianProcessTasks(length_scale=0.2).sample(2, 6, random_state=0)
    found = drawn.truth(1, drawn.X[6:])
    np.testing.assert_allclose(found, drawn.parameters["values"][1], atol=1e-5)


def test_the_probabilities_of_blobs_are_bayes():
    drawn = BlobTasks(n_features=2, n_way=3).sample(2, 9, random_state=0)
    density = np.array(
        [
            [multivariate_normal.pdf(x, centre) for centre in drawn.parameters["centres"][1]]
            for x in drawn.X[9:]
        ]
    )
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(drawn.truth(1, drawn.X[9:]), expected, atol=1e-12)


def test_blobs_are_balanced_and_a_pool_has_one_task_a_class():
    drawn = BlobTasks(n_way=4).sample(3, 10, random_state=0)
    assert np.bincount(drawn.y[:10]).tolist() == [3, 3, 2, 2]
    pool = BlobTasks(n_features=5).sample_classes(7, 4, random_state=0)
    assert pool.sizes.tolist() == [4] * 7
    assert pool.X.shape == (28, 5)
