import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from metaskl.evaluation.boosting import BoostingClassifier, BoostingRegressor


@pytest.mark.parametrize("n_rows", [2, 5, 9, 10, 30])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_are_those_of_all_iterations(n_rows, n_classes):
    rng = np.random.default_rng(n_rows)
    X, new = rng.normal(size=(n_rows, 3)), rng.normal(size=(20, 3))
    settings = {"min_samples_leaf": 5, "random_state": 0}
    y = X[:, 0] + rng.normal(size=n_rows)
    quick, full = (
        kind(**settings).fit(X, y) for kind in (BoostingRegressor, HistGradientBoostingRegressor)
    )
    np.testing.assert_allclose(quick.predict(new), full.predict(new), rtol=1e-12)
    labels = np.arange(n_rows) % n_classes
    quick, full = (
        kind(**settings).fit(X, labels)
        for kind in (BoostingClassifier, HistGradientBoostingClassifier)
    )
    np.testing.assert_allclose(quick.predict_proba(new), full.predict_proba(new), rtol=1e-9)


def test_the_iterations_asked_for_are_left_as_they_were():
    few = BoostingRegressor(min_samples_leaf=5, max_iter=30).fit(np.zeros((9, 1)), np.arange(9.0))
    assert (few.max_iter, few.n_iter_) == (30, 1)
    assert few.predict([[0.0]]) == pytest.approx(4.0)
    many = BoostingRegressor(min_samples_leaf=5, max_iter=30).fit(np.eye(10), np.arange(10.0))
    assert many.n_iter_ == 30


@pytest.mark.parametrize(
    ("n_columns", "asked", "share"), [(200, 1.0, 1.0), (400, 1.0, 20 / 400), (400, 0.5, 0.5)]
)
def test_with_many_columns_a_split_looks_at_the_root_of_their_number(n_columns, asked, share):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, n_columns)), rng.normal(size=30)
    settings = {"min_samples_leaf": 5, "max_iter": 5, "random_state": 0}
    found = BoostingRegressor(max_features=asked, **settings).fit(X, y)
    full = HistGradientBoostingRegressor(max_features=share, **settings).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), full.predict(X))
    assert found.max_features == asked


@pytest.mark.parametrize("kind", [BoostingRegressor, BoostingClassifier])
def test_sparse_features_are_refused_in_the_baselines_words(kind):
    with pytest.raises(TypeError, match=r"dense for the boosting baselines.*Give X\.toarray\(\)"):
        kind().fit(csr_matrix(np.eye(4)), [0, 1, 0, 1])
