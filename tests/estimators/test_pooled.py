import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from metaskl.errors import GroupsError, ParameterError
from metaskl.estimators.pooled import Pooled


@pytest.fixture
def lines():
    """Two tasks with the slopes 1 and 3; the line through all rows has the slope 2."""
    X = np.array([[-1.0], [0.0], [1.0], [-1.0], [0.0], [1.0]])
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    return X, np.where(groups == "a", X[:, 0], 3 * X[:, 0]), groups


@parametrize_with_checks(
    [
        Pooled(Ridge()),
        Pooled(LogisticRegression()),
        Pooled(RandomForestRegressor(n_estimators=5, random_state=0)),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_is_the_wrapped_estimator_on_all_rows(lines):
    X, y, groups = lines
    pooled = Pooled(LinearRegression()).fit(X, y, groups=groups)
    np.testing.assert_allclose(pooled.predict([[1.0], [2.0]]), [2.0, 4.0])
    assert pooled.score(X, y) == pytest.approx(LinearRegression().fit(X, y).score(X, y))
    assert is_regressor(pooled)
    assert is_classifier(Pooled(LogisticRegression()))


def test_adapt_ignores_the_support_and_returns_a_copy(lines):
    X, y, groups = lines
    pooled = Pooled(Ridge()).fit(X, y, groups=groups)
    before = pooled.predict(X)
    adapted = pooled.adapt([[1.0]], [100.0])
    assert adapted is not pooled
    assert adapted.estimator_ is pooled.estimator_
    np.testing.assert_array_equal(adapted.predict(X), before)
    np.testing.assert_array_equal(pooled.predict(X), before)


def test_a_column_may_name_the_task(lines):
    X, y, groups = lines
    frame = pd.DataFrame({"x": X[:, 0], "task": groups})
    pooled = Pooled(LinearRegression()).fit(frame, y, groups="task")
    assert pooled.groups_column_ == "task"
    assert pooled.feature_names_in_.tolist() == ["x"]
    assert pooled.n_features_in_ == 1
    for given in (frame, frame[["x"]]):
        np.testing.assert_allclose(pooled.adapt(given, y).predict(given), 2 * X[:, 0], atol=1e-12)
        assert pooled.score(given, y) == pytest.approx(0.8)


def test_passes_on_what_the_wrapped_estimator_can_do(lines):
    X, y, _ = lines
    two = np.column_stack([y, -y])
    np.testing.assert_allclose(Pooled(LinearRegression()).fit(X, two).predict([[1.0]]), [[2, -2]])
    sparse = Pooled(Ridge()).fit(csr_matrix(X), y)
    np.testing.assert_allclose(sparse.predict(csr_matrix(X)), Ridge().fit(X, y).predict(X))
    svc = Pooled(LinearSVC())
    assert not hasattr(svc, "predict_proba")
    svc.fit(X, y > 0)
    assert svc.decision_function(X).shape == (6,)
    assert svc.classes_.tolist() == [False, True]
    logistic = Pooled(LogisticRegression()).fit(X, y > 0)
    np.testing.assert_allclose(logistic.predict_proba(X).sum(axis=1), 1.0)


def test_groups_are_routed_without_asking(lines):
    X, y, groups = (np.repeat(part, 5, axis=0) for part in lines)
    pipe = make_pipeline(StandardScaler(), Pooled(Ridge()))
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(pipe, X, y, params={"groups": groups}, cv=GroupKFold(2))
    assert np.isfinite(scores).all()


def test_clone_and_pickle(lines):
    X, y, groups = lines
    pooled = Pooled(Ridge(alpha=0.5))
    assert clone(pooled).get_params()["estimator__alpha"] == 0.5
    pooled.fit(X, y, groups=groups)
    loaded = pickle.loads(pickle.dumps(pooled))
    np.testing.assert_array_equal(loaded.predict(X), pooled.predict(X))


def test_bad_input_is_named(lines):
    X, y, groups = lines
    with pytest.raises(ParameterError, match=r"estimator must be a classifier or a regressor, got"):
        Pooled(StandardScaler()).fit(X, y)
    with pytest.raises(ParameterError, match=r"Pass an instance, for example Pooled\(Ridge\(\)\)"):
        Pooled(Ridge).fit(X, y)
    with pytest.raises(GroupsError, match="one entry for each of the 6 rows of X, got 5"):
        Pooled(Ridge()).fit(X, y, groups=groups[:5])
    with pytest.raises(GroupsError, match="names a column, but X is a ndarray"):
        Pooled(Ridge()).fit(X, y, groups="task")
