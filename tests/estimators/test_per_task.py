import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from counting import stacks_adapted
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from metaskl import MAMLRegressor, RidgeHeadClassifier
from metaskl.backbones import MLP
from metaskl.errors import GroupsError, GroupsWarning, TrainedAnewWarning
from metaskl.estimators.adapt import adapt_groups
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.estimators.shrunk import ShrunkRegressor
from metaskl.learners.maml import MAML
from metaskl.tasks import BlobTasks


class Shift(RegressorMixin, BaseEstimator):
    """A meta-learner: the mean of all rows; a task is shifted to its own mean."""

    __metadata_request__fit: ClassVar = {"groups": True}

    def fit(self, X, y, groups=None):
        self.seen_groups_ = None if groups is None else sorted(set(groups))
        self.mean_ = np.mean(y)
        self.n_features_in_ = X.shape[1]
        return self

    def adapt(self, X, y):
        new = clone(self)
        new.mean_, new.n_features_in_ = np.mean(y), self.n_features_in_
        return new

    def predict(self, X):
        return np.full(len(X), self.mean_)


class StackedShift(Shift):
    """Adapts to all tasks in one call, and counts the calls."""

    __metadata_request__fit: ClassVar = {"groups": True}

    calls = 0

    def adapt_groups(self, X, y, groups):
        StackedShift.calls += 1
        return {t: self.adapt(X[groups == t], y[groups == t]) for t in np.unique(groups).tolist()}


@pytest.fixture
def lines():
    """Two tasks with the slopes 1 and 3; the line through all rows has the slope 2."""
    X = np.array([[-1.0], [0.0], [1.0], [-1.0], [0.0], [1.0]])
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    return X, np.where(groups == "a", X[:, 0], 3 * X[:, 0]), groups


@parametrize_with_checks(
    [
        PerTask(Ridge()),
        PerTask(LogisticRegression()),
        PerTask(RandomForestRegressor(n_estimators=5, random_state=0)),
        PerTask(ShrunkRegressor()),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_each_task_has_its_own_model(lines):
    X, y, groups = lines
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    per_task = PerTask(LinearRegression()).fit(X[shuffled], y[shuffled], groups=groups[shuffled])
    assert sorted(per_task.estimators_) == ["a", "b"]
    rows = np.array([[1.0], [1.0], [1.0], [2.0]])
    found = per_task.predict(rows, groups=["b", "never seen", "a", "b"])
    np.testing.assert_allclose(found, [3.0, 2.0, 1.0, 6.0])
    np.testing.assert_allclose(per_task.predict(rows), [2.0, 2.0, 2.0, 4.0])
    assert per_task.score(X, y, groups=groups) == pytest.approx(1.0)
    assert per_task.score(X, y) == pytest.approx(0.8)
    assert per_task.fallback_tasks_ == []


def test_without_groups_it_is_the_wrapped_estimator(lines):
    X, y, groups = lines
    per_task = PerTask(Ridge()).fit(X, y)
    assert per_task.estimators_ == {}
    np.testing.assert_array_equal(per_task.predict(X, groups), Ridge().fit(X, y).predict(X))


def test_a_column_may_name_the_task(lines):
    X, y, groups = lines
    frame = pd.DataFrame({"x": X[:, 0], "task": groups})
    per_task = PerTask(LinearRegression()).fit(frame, y, groups="task")
    assert per_task.feature_names_in_.tolist() == ["x"]
    np.testing.assert_allclose(per_task.predict(frame), y, atol=1e-12)
    np.testing.assert_allclose(per_task.predict(frame[["x"]]), 2 * X[:, 0], atol=1e-12)
    np.testing.assert_allclose(per_task.predict(frame[["x"]], groups=groups), y, atol=1e-12)
    with pytest.warns(GroupsWarning, match="got 2 values of 'task'"):
        adapted = per_task.adapt(frame, 7 * X[:, 0])
    np.testing.assert_allclose(adapted.predict(frame), 7 * X[:, 0], atol=1e-12)


def test_adapt_knows_the_support_alone_and_leaves_the_original(lines):
    X, y, groups = lines
    per_task = PerTask(LinearRegression()).fit(X, y, groups=groups)
    before = pickle.dumps(per_task)
    adapted = per_task.adapt([[0.0], [1.0]], [5.0, 4.0])
    again = adapted.adapt([[0.0], [1.0]], [0.0, 9.0])
    assert pickle.dumps(per_task) == before
    np.testing.assert_allclose(adapted.predict([[2.0]]), [3.0])
    # One model for one new task: ids are of no use to it.
    np.testing.assert_allclose(adapted.predict([[2.0]], groups=["a"]), [3.0])
    np.testing.assert_allclose(again.predict([[2.0]]), [18.0])
    refitted = adapted.fit(X, y, groups=groups)
    np.testing.assert_allclose(refitted.predict([[2.0]], groups=["a"]), [2.0])


def test_probabilities_stand_in_the_columns_of_all_classes():
    X = np.array([[0.0], [1.0], [0.0], [1.0], [0.0], [1.0]])
    y = np.array(["x", "y", "y", "zzz", "zzz", "zzz"])
    groups = np.array([1, 1, 2, 2, 3, 3])
    per_task = PerTask(DecisionTreeClassifier()).fit(X, y, groups=groups)
    assert per_task.classes_.tolist() == ["x", "y", "zzz"]
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_array_equal(per_task.predict_proba(X, groups=groups), expected)
    assert per_task.predict(X, groups=groups).tolist() == y.tolist()
    assert per_task.score(X, y, groups=groups) == 1.0
    adapted = per_task.adapt([[0.0], [1.0]], ["new", "x"])
    assert adapted.classes_.tolist() == ["new", "x", "y", "zzz"]
    np.testing.assert_array_equal(adapted.predict_proba([[1.0]]), [[0, 1, 0, 0]])
    assert per_task.classes_.tolist() == ["x", "y", "zzz"]
    assert not hasattr(PerTask(LinearSVC()), "predict_proba")


def test_rows_that_the_estimator_refuses_get_a_constant():
    X = np.arange(8.0).reshape(-1, 1)
    y = np.array([0, 1, 0, 1, 1, 1, 1, 1])
    groups = np.array(["both"] * 4 + ["one class"] * 3 + ["one row"])
    per_task = PerTask(LogisticRegression()).fit(X, y, groups=groups)
    assert per_task.fallback_tasks_ == ["one class", "one row"]
    np.testing.assert_array_equal(per_task.predict_proba(X, groups=groups)[4:], [[0, 1]] * 4)
    adapted = per_task.adapt(X[:1], [0])
    assert adapted.fallback_tasks_ == ["support"]
    assert adapted.predict(X).tolist() == [0] * 8
    assert per_task.adapt(X[:2], [0, 1]).fallback_tasks_ == []


@pytest.mark.parametrize("n_rows", [1, 2])
@pytest.mark.parametrize("cv", [None, 3])
def test_regression_survives_tiny_tasks(lines, n_rows, cv):
    X, y, groups = (np.repeat(part, 4, axis=0) for part in lines)
    X, y = np.concatenate([X, X[:n_rows]]), np.concatenate([y, y[:n_rows]])
    groups = np.append(groups, ["tiny"] * n_rows)
    estimator = RidgeCV(alphas=[0.1, 1.0], cv=cv, scoring="neg_mean_squared_error")
    per_task = PerTask(estimator).fit(X, y, groups=groups)
    assert np.isfinite(per_task.predict(X, groups=groups)).all()
    assert per_task.fallback_tasks_ == (["tiny"] if n_rows == 1 or cv else [])
    found = per_task.predict([[7.0]], groups=["tiny"])
    np.testing.assert_allclose(found, np.mean(y[-n_rows:]))


def test_other_faults_are_not_swallowed(lines):
    X, y, groups = lines
    per_task = PerTask(Ridge()).fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="contains NaN"):
        per_task.adapt([[np.nan], [1.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match="contains NaN"):
        per_task.adapt([[0.0], [1.0]], [np.nan, 1.0])
    with pytest.raises(ValueError, match="expecting 1 features"):
        per_task.adapt([[0.0, 1.0]], [0.0])
    with pytest.raises(ValueError, match="contains NaN"):
        PerTask(Ridge()).fit(np.where(X > 0, np.nan, X), y, groups=groups)

    class Broken(Ridge):
        def fit(self, X, y):
            if len(X) < 6:
                raise RuntimeError("broken")
            return super().fit(X, y)

    with pytest.raises(RuntimeError, match="broken"):
        PerTask(Broken()).fit(X, y, groups=groups)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda meta: meta,
        lambda meta: make_pipeline(StandardScaler(), meta),
        lambda meta: GridSearchCV(meta, {}, cv=GroupKFold(2)),
        lambda meta: TransformedTargetRegressor(meta, func=np.negative, inverse_func=np.negative),
    ],
)
def test_a_meta_learner_is_trained_once_and_adapted_to_each_task(lines, wrap):
    X, y, groups = lines
    y = y + np.where(groups == "a", 10.0, 20.0)
    per_task = PerTask(wrap(Shift())).fit(X, y, groups=groups)
    np.testing.assert_allclose(per_task.predict(X, groups), [10] * 3 + [20] * 3)
    np.testing.assert_allclose(per_task.predict(X), 15.0)
    np.testing.assert_allclose(per_task.predict(X[:1], groups=["c"]), 15.0)
    np.testing.assert_allclose(per_task.adapt(X[:2], [1.0, 2.0]).predict(X), 1.5)
    np.testing.assert_allclose(per_task.predict(X), 15.0)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
def test_a_fitted_meta_learner_is_trained_anew_with_a_warning_that_says_how_not_to(lines, wrap):
    X, y, groups = lines
    with config_context(enable_metadata_routing=True):
        meta = wrap(Shift()).fit(X, y, groups=groups)
    how_not_to = r"trained anew.*PerTask\(FrozenEstimator\(meta\)\)"
    with pytest.warns(TrainedAnewWarning, match=how_not_to) as told:
        per_task = PerTask(meta).fit(X[:40], y[:40], groups[:40])
    assert told[0].filename == __file__
    last = per_task.shared_[-1] if hasattr(per_task.shared_, "steps") else per_task.shared_
    assert last.mean_ == np.mean(y[:40])
    # What is not fitted, or shall stay as it is, or is no meta-learner, is told nothing.
    for quiet in (wrap(Shift()), FrozenEstimator(meta), clone(meta), Ridge().fit(X, y)):
        PerTask(quiet).fit(X[:40], y[:40], groups[:40])
    clone(PerTask(meta)).fit(X[:40], y[:40], groups[:40])
    frozen_last = make_pipeline(StandardScaler(), FrozenEstimator(Shift().fit(X, y, groups)))
    PerTask(frozen_last.fit(X, y)).fit(X[:40], y[:40])


def test_a_meta_learner_gets_the_task_ids(lines):
    X, y, groups = lines
    assert PerTask(Shift()).fit(X, y, groups=groups).shared_.seen_groups_ == ["a", "b"]
    assert PerTask(Shift()).fit(X, y).shared_.seen_groups_ is None
    frozen = FrozenEstimator(Shift().fit(X, y + 1.0))
    np.testing.assert_allclose(PerTask(frozen).fit(X, y, groups=groups).predict(X), 1.0)


def test_all_tasks_are_adapted_in_one_call_where_possible(lines):
    X, y, groups = lines
    StackedShift.calls = 0
    per_task = PerTask(make_pipeline(StandardScaler(), StackedShift())).fit(X, y + 1, groups=groups)
    assert StackedShift.calls == 1
    np.testing.assert_allclose(per_task.predict(X, groups), 1.0)


def test_a_thousand_tasks_are_adapted_in_a_few_stacks_with_the_same_numbers(monkeypatch):
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(1000), draw.integers(1, 9, 1000))
    X = draw.normal(size=(len(groups), 2))
    y = X[:, 0] * draw.normal(size=1000)[groups]
    stacks = stacks_adapted(monkeypatch, MAML)
    meta = MAMLRegressor(
        backbone=MLP((4,)), adaptation_steps=2, max_epochs=1, steps_per_epoch=2, random_state=0
    )
    per_task = PerTask(meta).fit(X, y, groups=groups)
    assert sum(stacks) == 1000
    assert len(stacks) <= 17
    together = per_task.predict(X, groups)
    for task in range(0, 1000, 20):
        own = groups == task
        alone = per_task.shared_.adapt(X[own], y[own]).predict(X[own])
        np.testing.assert_allclose(together[own], alone, rtol=1e-4, atol=1e-5)


def test_a_shrunk_estimator_gives_each_task_its_effect():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 30)
    shift = rng.normal(size=20) * 5
    X = rng.normal(size=(600, 1))
    y = X[:, 0] + shift[groups] + 0.1 * rng.normal(size=600)
    for inner in (ShrunkRegressor(), make_pipeline(StandardScaler(), ShrunkRegressor())):
        per_task = PerTask(inner).fit(X, y, groups=groups)
        assert per_task.score(X, y, groups=groups) > 0.999
        np.testing.assert_allclose(
            per_task.predict(np.zeros((20, 1)), groups=np.arange(20)), shift, atol=0.1
        )


def test_pooled_inside_is_pooled(lines):
    X, y, groups = lines
    per_task = PerTask(Pooled(LinearRegression())).fit(X, y, groups=groups)
    np.testing.assert_allclose(per_task.predict(X, groups), 2 * X[:, 0], atol=1e-12)


def test_several_outputs(lines):
    X, y, groups = lines
    two = np.column_stack([y, -y])
    per_task = PerTask(LinearRegression()).fit(X, two, groups=groups)
    np.testing.assert_allclose(per_task.predict(X, groups), two, atol=1e-12)


def test_groups_are_routed_to_predictions_too(lines):
    X, y, groups = (np.repeat(part, 4, axis=0) for part in lines)
    params, folds = {"groups": groups}, KFold(3, shuffle=True, random_state=0)
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(PerTask(LinearRegression()), X, y, params=params, cv=folds)
    np.testing.assert_allclose(scores, 1.0)


def test_clone_and_pickle(lines):
    X, y, groups = lines
    per_task = PerTask(Ridge(alpha=0.5))
    assert clone(per_task).get_params()["estimator__alpha"] == 0.5
    per_task.fit(X, y, groups=groups)
    loaded = pickle.loads(pickle.dumps(per_task.adapt(X, y)))
    np.testing.assert_array_equal(loaded.predict(X), per_task.adapt(X, y).predict(X))
    loaded = pickle.loads(pickle.dumps(per_task))
    np.testing.assert_array_equal(loaded.predict(X, groups), per_task.predict(X, groups))


def test_task_ids_of_another_kind_are_refused(lines):
    X, y, groups = lines
    numbers = np.where(groups == "a", 1, 2)
    with pytest.raises(GroupsError, match=r"task ids like those of fit, such as 1, got '1'"):
        PerTask(Ridge()).fit(X, y, groups=numbers).predict(X, groups=numbers.astype(str))
    with pytest.raises(GroupsError, match="one entry for each of the 6 rows of X, got 2"):
        PerTask(Ridge()).fit(X, y, groups=numbers).predict(X, groups=[1, 2])


def test_boosting_adapts_to_a_support_of_one_class():
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.tile([0, 1], 30)
    model = PerTask(HistGradientBoostingClassifier()).fit(X, y, groups=np.repeat(range(3), 20))
    probabilities = model.adapt(X[:8], np.ones(8, int)).predict_proba(X[8:])
    np.testing.assert_array_equal(probabilities, np.tile([0.0, 1.0], (52, 1)))


def test_a_meta_learner_inside_takes_a_support_of_one_class_among_many_tasks_as_it_does_bare():
    blobs = BlobTasks(n_way=2).sample(6, 12, random_state=0)
    meta = RidgeHeadClassifier(max_epochs=1, steps_per_epoch=2, random_state=0)
    y = np.where(blobs.groups == blobs.groups[0], blobs.y[0], blobs.y)
    bare = meta.fit(blobs.X, blobs.y, groups=blobs.groups).adapt_groups(blobs.X, y, blobs.groups)
    per_task = PerTask(clone(meta)).fit(blobs.X, blobs.y, groups=blobs.groups)
    found = adapt_groups(per_task, blobs.X, y, blobs.groups)
    for task, model in bare.items():
        expected = model.predict_proba(blobs.X)
        np.testing.assert_allclose(found[task].predict_proba(blobs.X), expected, rtol=1e-5)
    assert not hasattr(PerTask(Ridge()).fit([[0.0], [1.0]], [0.0, 1.0]), "adapt_groups")
