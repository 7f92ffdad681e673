import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from metaskl.errors import GroupsError, GroupsWarning, ParameterError, SupportError
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.estimators.shrunk import ShrunkClassifier, ShrunkRegressor

FOREST = {"n_estimators": 5, "random_state": 0}


def tasks_of_lines(n_tasks=40, n_rows=10, *, noise=0.5, spread=(1.0, 0.5, 0.5), seed=0):
    """y = 1 + x₀ − x₁, shifted and tilted by task."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), 2))
    effects = rng.normal(size=(n_tasks, 3)) * spread
    design = np.hstack([np.ones((len(X), 1)), X])
    y = design @ [1.0, 1.0, -1.0] + (design * effects[groups]).sum(axis=1)
    return X, y + noise * rng.normal(size=len(y)), groups


def tasks_of_classes(n_tasks=40, n_rows=25, *, spread=(1.5, 0.7, 0.7), seed=0):
    rng = np.random.default_rng(seed + 1)
    X, logits, groups = tasks_of_lines(n_tasks, n_rows, noise=0.0, spread=spread, seed=seed)
    return X, np.where(rng.random(len(X)) < expit(logits - 1.0), "yes", "no"), groups


class ByRow:
    """Splits tasks."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return 2

    def split(self, X, y=None, groups=None):
        even = np.arange(len(X)) % 2 == 0
        yield np.flatnonzero(even), np.flatnonzero(~even)
        yield np.flatnonzero(~even), np.flatnonzero(even)


@parametrize_with_checks(
    [
        ShrunkRegressor(),
        ShrunkRegressor(random_effects="intercept"),
        ShrunkRegressor(Ridge()),
        ShrunkRegressor(Ridge(), random_effects="intercept"),
        ShrunkRegressor(RandomForestRegressor(**FOREST)),
        ShrunkClassifier(),
        ShrunkClassifier(random_effects="intercept"),
        ShrunkClassifier(LogisticRegression(), random_effects="intercept"),
        ShrunkClassifier(RandomForestClassifier(**FOREST)),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("random_effects", "covariance", "tau", "sigma"),
    [
        # lme4: (1 | Subject), (Days || Subject) and (Days | Subject).
        ("intercept", "isotropic", [37.12], 30.99),
        ("slopes", "isotropic", [25.05, 5.988], 25.57),
        ("slopes", "full", [24.74, 5.922], 25.59),
    ],
)
def test_lme4_on_sleepstudy(random_effects, covariance, tau, sigma):
    folder = os.environ.get("METASKL_DATA")
    if not folder:
        pytest.skip("METASKL_DATA does not name the folder of the real data")
    frame = pd.read_csv(Path(folder) / "sleepstudy.csv")
    model = ShrunkRegressor(
        random_effects=random_effects, covariance=covariance, standardize=False, shrink_fixed=False
    ).fit(frame[["task", "Days"]], frame["y"], groups="task")
    assert model.estimator_.intercept_ == pytest.approx(251.405, abs=1e-3)
    np.testing.assert_allclose(model.estimator_.coef_, [10.467], atol=1e-3)
    np.testing.assert_allclose(model.tau_, tau, rtol=3e-4)
    assert model.sigma_ == pytest.approx(sigma, abs=6e-3)
    # The fixed slopes are hardly shrunk when there is much to tell them from.
    prior = clone(model).set_params(shrink_fixed=True).fit(frame[["Days"]], frame["y"], frame.task)
    np.testing.assert_allclose(prior.estimator_.coef_, [10.467], rtol=0.05)


def test_adapt_shrinks_the_mean_of_the_support():
    X, y, groups = tasks_of_lines(spread=(1.0, 0.0, 0.0))
    model = ShrunkRegressor(random_effects="intercept").fit(X, y, groups=groups)
    np.testing.assert_allclose(model.tau_, 1.0, rtol=0.3)
    assert model.sigma_ == pytest.approx(0.5, rel=0.1)
    for n in (1, 3, 50):
        support = np.zeros((n, 2))
        base = model.predict(support)
        adapted = model.adapt(support, base + 2.0)
        tau2, sigma2 = model.tau_[0] ** 2, model.sigma_**2
        weight = n * tau2 / (n * tau2 + sigma2)
        np.testing.assert_allclose(
            adapted.predict([[1.0, 2.0]]) - model.predict([[1.0, 2.0]]), 2.0 * weight
        )
        _, std = adapted.predict([[1.0, 2.0]], return_std=True)
        np.testing.assert_allclose(std, np.sqrt(sigma2 + tau2 * (1 - weight)))
    _, std = model.predict([[1.0, 2.0]], return_std=True)
    np.testing.assert_allclose(std, np.sqrt(sigma2 + tau2))


@pytest.mark.parametrize("covariance", ["isotropic", "shrunk", "full"])
@pytest.mark.parametrize("estimator", [None, LinearRegression()])
def test_slopes_are_learned_and_the_uncertainty_is_honest(covariance, estimator):
    X, y, groups = tasks_of_lines(60, 12)
    model = ShrunkRegressor(estimator, covariance=covariance).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.tau_, [1.0, 0.5, 0.5], rtol=0.35)
    np.testing.assert_allclose(model.estimator_.coef_, [1.0, -1.0], atol=0.25)
    X, y, groups = tasks_of_lines(200, 20, seed=7)
    errors, scaled = [], []
    for task in range(200):
        rows = np.flatnonzero(groups == task)
        adapted = model.adapt(X[rows[:5]], y[rows[:5]])
        mean, std = adapted.predict(X[rows[5:]], return_std=True)
        errors += [y[rows[5:]] - mean]
        scaled += [(y[rows[5:]] - mean) / std]
    assert np.mean(np.square(scaled)) == pytest.approx(1.0, abs=0.15)
    assert np.mean(np.abs(scaled) < 1.96) == pytest.approx(0.95, abs=0.02)
    # The noise alone has 0.25, the shared model 0.25 + 1 + 2 · 0.25.
    assert np.mean(np.square(errors)) < 0.6


def test_it_is_at_least_as_good_as_pooled_and_per_task():
    X, y, groups = tasks_of_lines(60, 12)
    candidates = [ShrunkRegressor(), Pooled(Ridge()), PerTask(Ridge())]
    new_X, new_y, new_groups = tasks_of_lines(100, 30, seed=5)
    for n_shot in (2, 5, 10):
        errors = []
        for model in candidates:
            model.fit(X, y, groups=groups)
            lost = []
            for task in range(100):
                rows = np.flatnonzero(new_groups == task)
                support, query = rows[:n_shot], rows[10:]
                adapted = model.adapt(new_X[support], new_y[support])
                lost.append(np.mean((adapted.predict(new_X[query]) - new_y[query]) ** 2))
            errors.append(np.mean(lost))
        assert errors[0] < min(errors[1:])


def test_probabilities_are_better_than_pooled_and_per_task():
    X, y, groups = tasks_of_classes(60)
    new_X, new_y, new_groups = tasks_of_classes(40, 60, seed=5)
    candidates = [
        ShrunkClassifier(),
        Pooled(LogisticRegression()),
        PerTask(LogisticRegression()),
    ]
    for n_shot in (3, 10):
        losses = []
        for model in candidates:
            model.fit(X, y, groups=groups)
            lost = []
            for task in range(40):
                rows = np.flatnonzero(new_groups == task)
                adapted = model.adapt(new_X[rows[:n_shot]], new_y[rows[:n_shot]])
                chances = adapted.predict_proba(new_X[rows[10:]])
                lost.append(log_loss(new_y[rows[10:]], chances, labels=["no", "yes"]))
            losses.append(np.mean(lost))
        assert losses[0] < min(losses[1:])


def test_a_support_of_one_class_moves_the_odds_but_not_to_the_end():
    X, y, groups = tasks_of_classes()
    model = ShrunkClassifier(random_effects="intercept").fit(X, y, groups=groups)
    chances = [model.predict_proba([[0.0, 0.0]])[0, 1]]
    for n in (1, 3, 10):
        adapted = model.adapt(np.zeros((n, 2)), ["yes"] * n)
        chances.append(adapted.predict_proba([[0.0, 0.0]])[0, 1])
    assert chances == sorted(chances)
    assert chances[-1] < 0.99
    other = model.adapt(np.zeros((10, 2)), ["no"] * 10)
    assert other.predict([[0.0, 0.0]]).tolist() == ["no"]


def test_three_classes():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 30)
    X = rng.normal(size=(900, 2))
    logits = (
        np.stack([X[:, 0], X[:, 1], 0 * X[:, 0]], axis=1) + 2 * rng.normal(size=(30, 3))[groups]
    )
    y = np.array(["a", "b", "c"])[(logits + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    model = ShrunkClassifier().fit(X[150:], y[150:], groups=groups[150:])
    assert model.effects_.shape == (3, 3)
    before, after = [], []
    for task in range(5):
        support = np.flatnonzero(groups == task)[:15]
        query = np.flatnonzero(groups == task)[15:]
        adapted = model.adapt(X[support], y[support])
        chances = adapted.predict_proba(X[query])
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)
        before.append(log_loss(y[query], model.predict_proba(X[query]), labels=model.classes_))
        after.append(log_loss(y[query], chances, labels=model.classes_))
    assert np.mean(after) < np.mean(before)


@pytest.mark.parametrize("groups", [None, "one task"])
def test_without_tasks_it_is_the_shared_model(groups):
    X, y, _ = tasks_of_lines()
    groups = None if groups is None else [groups] * len(X)
    ridge = Ridge().fit(X, y)
    model = ShrunkRegressor(Ridge()).fit(X, y, groups=groups)
    np.testing.assert_array_equal(model.predict(X), ridge.predict(X))
    np.testing.assert_array_equal(model.adapt(X, y + 9).predict(X), ridge.predict(X))
    assert np.isnan(model.tau_).all()
    assert model.adapted_tasks() == {}
    with pytest.raises(ParameterError, match="return_std must be False after a fit with fewer"):
        model.predict(X, return_std=True)
    linear = ShrunkRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(linear.predict(X), ridge.predict(X), atol=0.02)
    _, std = linear.predict(X, return_std=True)
    np.testing.assert_allclose(std, np.std(y - linear.predict(X)), rtol=0.01)
    logistic = LogisticRegression().fit(X, y > 1)
    model = ShrunkClassifier(LogisticRegression()).fit(X, y > 1, groups=groups)
    np.testing.assert_array_equal(model.predict_proba(X), logistic.predict_proba(X))
    adapted = model.adapt(X[:3], [True] * 3)
    np.testing.assert_array_equal(adapted.predict_proba(X), logistic.predict_proba(X))


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (ShrunkRegressor(), tasks_of_lines(16)),
        (ShrunkRegressor(Ridge(), covariance="isotropic"), tasks_of_lines(16)),
        (ShrunkClassifier(), tasks_of_classes(16)),
        (ShrunkClassifier(covariance="isotropic"), tasks_of_classes(16)),
    ],
)
class TestCopies:
    def test_adapt_leaves_the_original(self, model, data):
        X, y, groups = data
        model = clone(model).fit(X, y, groups=groups)
        before = pickle.dumps(model)
        adapted = model.adapt(X[:5], y[:5])
        assert pickle.dumps(model) == before
        assert adapted.estimator_ is model.estimator_
        again = adapted.adapt(X[10:15], y[10:15])
        direct = model.adapt(X[10:15], y[10:15])
        np.testing.assert_array_equal(again.effects_, direct.effects_)
        assert not np.array_equal(again.effects_, adapted.effects_)

    def test_many_tasks_are_adapted_as_one_by_one(self, model, data):
        X, y, groups = data
        model = clone(model).fit(X, y, groups=groups)
        rows = np.r_[40:48, 0:6, 90]
        many = model.adapt_groups(X[rows], y[rows], groups=groups[rows])
        assert list(many) == sorted(set(groups[rows].tolist()))
        for task, adapted in many.items():
            own = rows[groups[rows] == task]
            alone = model.adapt(X[own], y[own])
            np.testing.assert_allclose(adapted.effects_, alone.effects_, atol=1e-12)
        with pytest.raises(GroupsError, match="groups must name the task of each row, got None"):
            model.adapt_groups(X[rows], y[rows], None)

    def test_order_of_the_support_does_not_matter(self, model, data):
        X, y, groups = data
        model = clone(model).fit(X, y, groups=groups)
        for n in (3, 8):
            one, other = model.adapt(X[:n], y[:n]), model.adapt(X[:n][::-1], y[:n][::-1])
            np.testing.assert_allclose(one.effects_, other.effects_, atol=1e-6)

    def test_round_trips(self, model, data):
        X, y, groups = data
        model = clone(model).fit(X, y, groups=groups)
        for fitted in (model, model.adapt(X[:5], y[:5])):
            loaded = pickle.loads(pickle.dumps(fitted))
            np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
        same = clone(model).fit(X, y, groups=groups)
        np.testing.assert_array_equal(same.tau_, model.tau_)

    def test_order_of_tasks_and_rows_does_not_matter(self, model, data):
        X, y, groups = data
        mixed = np.random.default_rng(0).permutation(len(X))
        one, two = (clone(model).set_params(cv=16) for _ in range(2))
        one.fit(X, y, groups=groups)
        two.fit(X[mixed], y[mixed], groups=groups[mixed])
        np.testing.assert_allclose(one.tau_, two.tau_, rtol=0.02)

    def test_groups_are_routed_and_columns_are_dropped(self, model, data):
        X, y, groups = data
        pipe = make_pipeline(StandardScaler(), clone(model))
        with config_context(enable_metadata_routing=True):
            scores = cross_val_score(pipe, X, y, params={"groups": groups}, cv=GroupKFold(2))
        assert np.isfinite(scores).all()
        frame = pd.DataFrame(X, columns=["x0", "x1"])
        direct = clone(model).fit(frame, y, groups=groups)
        named = clone(model).fit(frame.assign(task=groups), y, groups="task")
        assert named.feature_names_in_.tolist() == ["x0", "x1"]
        for given in (frame, frame.assign(task=groups)):
            np.testing.assert_array_equal(named.predict(given), direct.predict(frame))
            np.testing.assert_array_equal(
                named.adapt(given[:4], y[:4]).predict(given),
                direct.adapt(frame[:4], y[:4]).predict(frame),
            )

    def test_tasks_of_fit(self, model, data):
        X, y, groups = data
        model = clone(model).fit(X, y, groups=groups)
        copies = model.adapted_tasks()
        assert list(copies) == list(range(16))
        np.testing.assert_array_equal(copies[3].effects_, model.task_effects_[3])
        per_task = PerTask(clone(model)).fit(X, y, groups=groups)
        rows = groups == 3
        np.testing.assert_array_equal(
            per_task.predict(X, groups=groups)[rows], copies[3].predict(X[rows])
        )
        assert per_task.score(X, y, groups=groups) > model.score(X, y)


def test_task_effects_of_a_linear_model_are_those_of_adapt():
    X, y, groups = tasks_of_lines()
    model = ShrunkRegressor().fit(X, y, groups=groups)
    rows = groups == 3
    np.testing.assert_allclose(
        model.adapt(X[rows], y[rows]).effects_, model.task_effects_[3], atol=1e-10
    )


def test_a_task_of_fit_stands_on_a_model_that_had_not_seen_it():
    X, y, groups = tasks_of_lines()
    model = ShrunkRegressor(Ridge(), random_effects="intercept", cv=2)
    model.fit(X, y, groups=groups)
    (tau,), sigma = model.tau_, model.sigma_
    for train, test in GroupKFold(2).split(X, y, groups):
        alone = Ridge().fit(X[train], y[train])
        for task in np.unique(groups[test]):
            copy, rows = model.adapted_tasks()[task], groups == task
            np.testing.assert_allclose(copy.estimator_.coef_, alone.coef_)
            # The best linear unbiased prediction of an intercept from n rows: r n τ² / (n τ² + s²).
            n, above = rows.sum(), (y[rows] - alone.predict(X[rows])).mean()
            expected = above * n * tau**2 / (n * tau**2 + sigma**2)
            np.testing.assert_allclose(copy.effects_, [expected], rtol=1e-6)
            np.testing.assert_allclose(copy.predict(X[rows]), alone.predict(X[rows]) + expected)


def test_a_forest_that_knows_its_rows_by_heart_is_asked_about_others():
    X, y, groups = tasks_of_lines(30, 20, spread=(3.0, 0.0, 0.0))
    # A feature from which a forest can tell the tasks.
    X = np.column_stack([X, groups])
    train = np.arange(len(X)) % 2 == 0
    forest = RandomForestRegressor(n_estimators=30, random_state=0)
    model = ShrunkRegressor(forest, random_effects="intercept")
    with pytest.warns(GroupsWarning, match="groups equals the column 2 of X"):
        per_task = PerTask(model).fit(X[train], y[train], groups=groups[train])
    found = per_task.predict(X[~train], groups=groups[~train])
    in_sample = [
        per_task.shared_.adapt(X[train & (groups == task)], y[train & (groups == task)])
        for task in range(30)
    ]
    assert np.std([copy.effects_ for copy in in_sample]) < 1
    assert np.std([copy.effects_ for copy in per_task.shared_.adapted_tasks().values()]) > 2
    assert r2_score(y[~train], found) > 0.85


def test_any_estimator_and_any_features():
    X, y, groups = tasks_of_lines()
    classes = y > 1
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    small = {"max_iter": 5, "random_state": 0}
    model = ShrunkRegressor(HistGradientBoostingRegressor(**small)).fit(holes, y, groups=groups)
    assert np.isfinite(model.adapt(holes[:5], y[:5]).predict(holes)).all()
    other = ShrunkClassifier(HistGradientBoostingClassifier(**small))
    other.fit(holes, classes, groups=groups)
    assert np.isfinite(other.adapt(holes[:5], classes[:5]).predict_proba(holes)).all()
    with pytest.raises(ValueError, match="contains NaN"):
        ShrunkRegressor().fit(holes, y, groups=groups)
    with pytest.raises(ValueError, match="contains NaN"):
        ShrunkClassifier().fit(holes, classes, groups=groups)

    intercept = {"random_effects": "intercept"}
    dense = ShrunkRegressor(Ridge(solver="lsqr"), **intercept).fit(X, y, groups=groups)
    sparse = clone(dense).fit(csr_matrix(X), y, groups=groups)
    support = csr_matrix(X[:4])
    np.testing.assert_allclose(
        sparse.adapt(support, y[:4]).predict(support),
        dense.adapt(X[:4], y[:4]).predict(X[:4]),
        rtol=1e-4,
    )
    with pytest.raises(
        TypeError, match=r"Sparse data was passed for X.*random_effects='intercept'"
    ):
        ShrunkRegressor(Ridge()).fit(csr_matrix(X), y, groups=groups)


def test_columns_of_text_have_no_slope():
    X, y, groups = tasks_of_lines()
    frame = pd.DataFrame(X, columns=["x0", "x1"]).assign(kind=np.where(X[:, 0] > 0, "p", "q"))
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = ShrunkRegressor(make_pipeline(encode, Ridge())).fit(frame, y, groups=groups)
    assert model.effects_.shape == (3,)
    assert model.adapt(frame[:5], y[:5]).predict(frame).shape == y.shape
    only = ShrunkRegressor(make_pipeline(OneHotEncoder(), Ridge())).fit(
        frame[["kind"]], y, groups=groups
    )
    assert only.effects_.shape == (1,)
    assert only.adapt(frame[["kind"]][:5], y[:5]).effects_[0] != 0


def test_many_features_few_rows():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 6)
    X = rng.normal(size=(72, 300))
    y = X[:, 0] + rng.normal(size=12)[groups]
    for model, target in ((ShrunkRegressor(), y), (ShrunkClassifier(), y > 0)):
        model.fit(X, target, groups=groups)
        adapted = model.adapt(X[:6], target[:6])
        assert np.isfinite(adapted.effects_).all()
        assert np.ptp(model.tau_[1:]) == 0
        per_task = PerTask(clone(model)).fit(X, target, groups=groups)
        assert per_task.score(X, target, groups=groups) > 0.5


def test_a_fold_may_lack_a_class():
    X, _, groups = tasks_of_lines(4, 10)
    y = np.where(groups == 0, "only here", "elsewhere")
    model = ShrunkClassifier(random_effects="intercept", cv=4).fit(X, y, groups=groups)
    assert np.isfinite(model.tau_).all()
    per_task = PerTask(clone(model)).fit(X, y, groups=groups)
    np.testing.assert_allclose(per_task.predict_proba(X, groups=groups).sum(axis=1), 1.0)
    two = np.isin(groups, [0, 1])
    model.set_params(cv=2).fit(X[two], y[two], groups=groups[two])
    assert np.isfinite(model.tau_).all()


def test_tasks_of_one_row_and_a_constant_target():
    X, y, _ = tasks_of_lines(3, 10)
    alone = ShrunkRegressor().fit(X, y, groups=np.arange(30))
    assert np.isfinite(alone.adapt(X[:2], y[:2]).predict(X)).all()
    flat = ShrunkRegressor().fit(X, np.full(30, 2.0), groups=np.repeat([0, 1, 2], 10))
    np.testing.assert_allclose(flat.adapt(X[:2], [5.0, 5.0]).predict(X), 2.0)
    mean, std = flat.predict(X, return_std=True)
    np.testing.assert_array_equal(std, 0.0)
    np.testing.assert_allclose(mean, 2.0)


def test_standardize_sets_the_units_of_the_slopes():
    X, y, groups = tasks_of_lines(60, 20)
    scaled = X * [100.0, 100.0] + 7.0
    same = [
        ShrunkRegressor().fit(given, y, groups=groups).adapt(given[:5], y[:5]).predict(given)
        for given in (X, scaled)
    ]
    np.testing.assert_allclose(*same, atol=1e-3)
    raw = ShrunkRegressor(standardize=False, covariance="isotropic").fit(scaled, y, groups=groups)
    np.testing.assert_allclose(raw.tau_[1:], 0.005, rtol=0.3)


def test_the_type_follows_the_estimator():
    assert is_regressor(ShrunkRegressor())
    assert is_classifier(ShrunkClassifier())
    X, y, groups = tasks_of_classes(10)
    model = ShrunkClassifier().fit(X, y, groups=groups)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.n_features_in_ == 2


def test_bad_parameters_are_named():
    X, y, groups = tasks_of_lines()

    def refuses(model, match, error=ParameterError):
        target = y > 1 if isinstance(model, ShrunkClassifier) else y
        with pytest.raises(error, match=match):
            model.fit(X, target, groups=groups)

    refuses(
        ShrunkRegressor(random_effects="slope"),
        "random_effects must be 'slopes' or 'intercept', got 'slope'. Take",
    )
    refuses(
        ShrunkClassifier(covariance="diagonal"),
        "covariance must be 'shrunk', 'full' or 'isotropic', got 'diagonal'. Take",
    )
    refuses(ShrunkRegressor(cv=1), "cv must be a whole number of at least 2, or a splitter, got 1")
    refuses(ShrunkRegressor(cv="five"), "cv must be a whole number .* got 'five'")
    for cv in (ByRow(), GroupShuffleSplit(2, random_state=0)):
        refuses(ShrunkRegressor(Ridge(), cv=cv), "cv must hold out each task once, with all its")
    refuses(
        ShrunkRegressor(LogisticRegression()),
        r"estimator must be a regressor, got LogisticRegression\(\). Use ShrunkClassifier",
    )
    refuses(ShrunkRegressor(Ridge), "estimator must be a classifier or a regressor, got .* Pass an")
    refuses(ShrunkClassifier(LinearSVC()), "must be a classifier with predict_proba, got LinearSVC")
    refuses(ShrunkClassifier(Ridge()), "must be a classifier with predict_proba, got Ridge")
    with pytest.raises(ParameterError, match=r"shrink_fixed must be True .* 3 rows and 3 coeff"):
        ShrunkRegressor(shrink_fixed=False).fit(X[:3], y[:3])
    with pytest.raises(GroupsError, match="one entry for each of the 400 rows of X, got 4"):
        ShrunkRegressor().fit(X, y, groups=groups[:4])
    for model in (ShrunkRegressor(), ShrunkRegressor(Ridge())):
        with pytest.raises(ValueError, match="y should be a 1d array"):
            model.fit(X, np.column_stack([y, y]), groups=groups)


def test_bad_supports_are_named():
    X, y, groups = tasks_of_lines()
    model = ShrunkRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.adapt(X[:3], y[:2])
    with pytest.raises(ValueError, match="y contains NaN"):
        model.adapt(X[:2], [1.0, np.nan])
    with pytest.raises(ValueError, match="expecting 2 features"):
        model.adapt(X[:2, :1], y[:2])
    X, y, groups = tasks_of_classes(10)
    model = ShrunkClassifier().fit(X, y, groups=groups)
    with pytest.raises(SupportError, match=r"seen in fit, \['no', 'yes'\], got also \['perhaps'\]"):
        model.adapt(X[:2], ["no", "perhaps"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.adapt(X[:3], y[:2])
