from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from counting import stacks_adapted
from sklearn import config_context, set_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    mean_squared_error,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import (
    FewShotScorer,
    MAMLRegressor,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    ShrunkRegressor,
    cross_validate_tasks,
    shots_curve,
)
from metaskl.backbones import MLP
from metaskl.errors import GroupsError, GroupsWarning, MetasklWarning, ParameterError, TaskError
from metaskl.estimators import adapting
from metaskl.evaluation import episode_scores
from metaskl.evaluation.scoring import resolve_scorer
from metaskl.learners.maml import MAML
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks().sample(12, 30, random_state=0)


class Witness(RegressorMixin, BaseEstimator):
    """Predicts 1 where it saw a row's task in fit, and checks what adapt is given."""

    __metadata_request__fit: ClassVar = {"groups": True}

    def fit(self, X, y, groups=None):
        self.seen_ = set(groups.tolist())
        self.rows_ = {tuple(row) for row in X}
        return self

    def adapt(self, X, y):
        copy = Witness()
        copy.__dict__.update(self.__dict__)
        copy.support_ = {tuple(row) for row in X}
        return copy

    def predict(self, X):
        rows = {tuple(row) for row in X}
        assert not rows & self.support_
        return np.array([float(tuple(row) in self.rows_) for row in X])


def test_whole_tasks_are_held_out():
    y = np.zeros(len(LINES.X))  # so that any row seen in fit would cost an error of 1
    scores = cross_validate_tasks(Witness(), LINES.X, y, LINES.groups, cv=3, n_shot=5)
    assert (scores["score"] == 0.0).all()
    assert scores["task"].nunique() == 12


def test_with_held_out_rows_every_task_is_seen_but_not_its_query():
    y = np.zeros(len(LINES.X))
    scores = cross_validate_tasks(
        Witness(), LINES.X, y, LINES.groups, cv=2, n_shot=(0.5, 5), holdout="rows"
    )
    assert (scores["score"] == 0.0).all()
    assert scores.groupby("n_shot")["n_support"].unique().map(list).to_dict() == {0.5: [15], 5: [5]}
    assert len(scores) == 2 * 2 * 12


def test_scores_are_the_metric_of_the_query():
    # Pooled predicts the training mean; by hand: the error of a constant on each query.
    X, groups = np.zeros((40, 1)), np.repeat([0, 1], 20)
    y = np.repeat([0.0, 4.0], 20)
    scores = cross_validate_tasks(Pooled(Ridge()), X, y, groups, cv=2, n_shot=5)
    assert scores["score"].tolist() == [-4.0] * len(scores)
    assert scores["n_query"].unique().tolist() == [15]


def test_the_table_is_the_same_again_and_in_parallel():
    first, second = (
        cross_validate_tasks(
            PerTask(Ridge()), LINES.X, LINES.y, LINES.groups, cv=2, n_shot=5, n_jobs=n_jobs
        ).drop(columns=["fit_time", "score_time"])
        for n_jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(first, second)


def test_a_thousand_tasks_are_adapted_in_a_few_stacks_with_the_same_scores(monkeypatch):
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(1020), draw.integers(3, 9, 1020))
    X = draw.normal(size=(len(groups), 1))
    y = X[:, 0] * draw.normal(size=1020)[groups]
    stacks = stacks_adapted(monkeypatch, MAML)
    meta = MAMLRegressor(
        backbone=MLP((4,)), adaptation_steps=1, max_epochs=1, steps_per_epoch=2, random_state=0
    )
    how = {"n_shot": 4, "n_repeats": 1, "cv": GroupShuffleSplit(1, test_size=1000, random_state=0)}
    together = cross_validate_tasks(meta, X, y, groups, **how)
    n_scored = together["task"].nunique()
    assert sum(stacks) == n_scored > 500
    assert len(stacks) <= 17
    monkeypatch.setattr(
        adapting, "stacks_of_tasks", lambda sizes, *_, **__: np.arange(len(sizes))[:, None]
    )
    alone = cross_validate_tasks(meta, X, y, groups, **how)
    assert len(stacks) > n_scored
    np.testing.assert_allclose(together["score"], alone["score"], rtol=1e-3, atol=1e-5)


def test_groups_may_be_a_column_and_the_estimator_a_pipeline():
    frame = pd.DataFrame(LINES.X, columns=["a", "b", "c"])
    frame["line"] = LINES.groups.astype(str)
    pipe = make_pipeline(StandardScaler(), RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5))
    scores = cross_validate_tasks(pipe, frame, LINES.y, "line", cv=2, n_shot=5, n_repeats=1)
    assert sorted(scores["task"]) == sorted(map(str, range(12)))
    assert np.isfinite(scores["score"]).all()


def test_an_undefined_score_is_missing_and_left_out_of_the_curve():
    X = np.random.default_rng(0).normal(size=(60, 2))
    groups = np.repeat([0, 1, 2], 20)
    y = (X[:, 0] > 0).astype(int)
    y[groups == 1] = 0  # a task of one class has no area under the curve
    scores = cross_validate_tasks(
        PerTask(LogisticRegression()), X, y, groups, cv=3, n_shot=5, scoring="roc_auc"
    )
    assert scores.loc[scores["task"] == 1, "score"].isna().all()
    curve = shots_curve(scores)
    assert curve["n_tasks"].tolist() == [2]
    undefined = int(scores["score"].isna().sum())
    assert curve["n_undefined"].tolist() == [undefined]
    assert undefined >= 3


def test_intervals_of_a_fraction_stay_in_its_bounds():
    # Mean 0.9, standard deviation √0.02 of two: Student's half-interval is 12.7 · 0.1.
    scores = pd.DataFrame({"task": ["a", "b"], "n_shot": 5, "score": [0.8, 1.0]})
    assert shots_curve(scores)["high"].iloc[0] == pytest.approx(2.1706, abs=1e-4)
    scores.attrs["metric"] = "accuracy"
    curve = shots_curve(scores)
    assert (curve["low"].iloc[0], curve["high"].iloc[0]) == (0.0, 1.0)


def test_a_curve_without_any_score_says_so():
    scores = pd.DataFrame({"task": ["a", "b"], "n_shot": 5, "score": [np.nan, np.nan]})
    (row,) = shots_curve(scores).to_dict("records")
    assert (row["n_tasks"], row["n_undefined"]) == (0, 2)
    assert np.isnan(row["mean"])


def test_private_classes_are_drawn_as_n_way_episodes():
    classes = BlobTasks(spread=20.0).sample_classes(24, 15, random_state=0)
    y = np.repeat(classes.task_ids, classes.sizes)
    parents = y // 6
    meta = ProtoNetClassifier(label_space="task", n_way=4, max_epochs=1, steps_per_epoch=2)
    scores = cross_validate_tasks(meta, classes.X.numpy(), y, parents, cv=2, n_shot=(1, 5))
    assert scores["n_support"].unique().tolist() == [4, 20]
    assert scores["score"].mean() > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cv": 13}, "cv must be from 2 to the number of tasks, got cv=13 for 12"),
        ({"holdout": "columns"}, "holdout must be 'tasks'"),
        (
            {"n_shot": 30},
            "tasks must be larger than the shot count, got n_shot=.30,.*n_shot to .* at most",
        ),
        ({"n_shot": 0}, "n_shot must hold numbers of labelled rows"),
        ({"n_shot": "5,10"}, "n_shot must hold numbers of labelled rows, at least 1, got '5,10'"),
        ({"n_shot": True}, "n_shot must hold numbers of labelled rows"),
        ({"n_repeats": 0}, "n_repeats must be a whole number, at least 1, got 0"),
        ({"random_state": None}, "random_state must be a whole number, at least 0, got None"),
        ({"n_way": 1}, "n_way must be a whole number, at least 2, got 1"),
        ({"cv": "5"}, "cv must be a number of folds or a scikit-learn splitter .* got '5'"),
        ({"cv": KFold(5)}, "cv must keep each task whole, got KFold.* rows of the task 2 both"),
        ({"cv": 0, "holdout": "rows"}, "cv must be at least 1 with holdout='rows'"),
        ({"cv": GroupKFold(3), "holdout": "rows"}, "number of random splits with holdout='rows'"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(TaskError, match=message):
        cross_validate_tasks(PerTask(Ridge()), LINES.X, LINES.y, LINES.groups, **change)


def test_targets_of_another_length_are_refused():
    with pytest.raises(TaskError, match="y must have one target for each of the 360 rows of X"):
        cross_validate_tasks(PerTask(Ridge()), LINES.X, LINES.y[:-1], LINES.groups)


def test_held_out_rows_of_the_one_task_that_is_large_enough_are_scored():
    groups = np.repeat(["a", "b", "c"], [20, 2, 2])
    data = LINES.X[:24], LINES.y[:24], groups
    found = [
        cross_validate_tasks(model, *data, n_shot=5, cv=1, holdout="rows")["score"].tolist()
        for model in (ShrunkRegressor(Ridge()), Pooled(Ridge()))
    ]
    assert found[0] == found[1]  # of one task nothing is known of how tasks differ


def test_fewer_than_two_tasks_are_refused():
    with pytest.raises(TaskError, match="groups must hold at least 2 tasks, got 1"):
        cross_validate_tasks(PerTask(Ridge()), LINES.X, LINES.y, np.zeros(len(LINES.y)))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Ridge(), r"estimator must be able to adapt to a task, got a Ridge\. Wrap .* PerTask"),
        (make_pipeline(StandardScaler(), Ridge()), "got a Ridge"),
        (TransformedTargetRegressor(Ridge()), "got a Ridge"),
        (GridSearchCV(Ridge(), {}), "got a Ridge"),
        (Ridge, r"got the class Ridge; give an object, Ridge\(\)"),
    ],
)
def test_an_estimator_that_cannot_adapt_is_refused_before_the_fit(estimator, message):
    with pytest.raises(ParameterError, match=message):
        cross_validate_tasks(estimator, LINES.X, LINES.y, LINES.groups)


def test_a_shot_count_too_large_for_every_task_is_left_out_with_a_warning():
    with pytest.warns(MetasklWarning, match=r"n_shot=50 was left out: .* largest has 30 rows"):
        scores = cross_validate_tasks(
            PerTask(Ridge()), LINES.X, LINES.y, LINES.groups, n_shot=(5, 50), cv=2
        )
    assert scores["n_shot"].unique().tolist() == [5]


def test_splitters_over_groups_are_accepted():
    model, data = PerTask(Ridge()), (LINES.X, LINES.y, LINES.groups)
    four = cross_validate_tasks(model, *data, cv=GroupKFold(4), n_shot=5)
    for number, (_, test) in enumerate(GroupKFold(4).split(*data)):
        held_out = four.loc[four["fold"] == number, "task"]
        assert set(held_out) == set(LINES.groups[test])
    alone = cross_validate_tasks(model, *data, cv=LeaveOneGroupOut(), n_shot=5)
    assert alone["fold"].nunique() == 12
    some = cross_validate_tasks(model, *data, cv=GroupShuffleSplit(1, test_size=4), n_shot=5)
    assert some["task"].nunique() == 4


def test_labels_are_scored_by_predict_and_areas_by_probabilities():
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(120, 2)), np.repeat(np.arange(6), 20)
    y = (X[:, 0] + 0.3 * rng.normal(size=120) > 0).astype(int)
    model = Pooled(Contrary())
    score = {
        name: cross_validate_tasks(model, X, y, groups, cv=3, n_shot=5, scoring=name)["score"]
        for name in ("accuracy", "roc_auc", both)
    }
    assert score["accuracy"].mean() < 0.5  # what predict says, the opposite of the likeliest
    assert score["roc_auc"].mean() > 0.8
    assert score[both].tolist() == pytest.approx((score["accuracy"] + score["roc_auc"]).tolist())


def both(estimator, X, y):
    """A scorer of one's own, which asks for labels and probabilities."""
    area = roc_auc_score(y, estimator.predict_proba(X)[:, 1])
    return accuracy_score(y, estimator.predict(X)) + area


class Contrary(LogisticRegression):
    def predict(self, X):
        return 1 - super().predict(X)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rmse", "'neg_root_mean_squared_error'"),
        ("mae", "'neg_mean_absolute_error'"),
        ("auc", "'roc_auc'"),
        ("accuracies", "'accuracy'"),
        ("mean_squared_error", "'neg_mean_squared_error'"),
    ],
)
def test_near_names_of_scorers_are_told(name, meant):
    with pytest.raises(ParameterError, match=rf"got '{name}'\. Did you mean .*{meant}"):
        resolve_scorer(name, classification=False)


def test_only_scorers_are_accepted():
    with pytest.raises(ParameterError, match=r"got the metric mean_squared_error.*make_scorer"):
        resolve_scorer(mean_squared_error, classification=False)
    with pytest.raises(ParameterError, match="scoring must be one scorer"):
        resolve_scorer(["r2", "max_error"], classification=False)


def test_the_scorer_draws_n_way_episodes_of_private_classes():
    classes = BlobTasks(spread=50.0).sample_classes(24, 12, random_state=0)
    X, y = classes.X.numpy(), np.repeat(classes.task_ids, classes.sizes)
    meta = ProtoNetClassifier(label_space="task", n_way=3, max_epochs=1, steps_per_epoch=2)
    set_config(enable_metadata_routing=True)
    scores = cross_val_score(
        *(meta, X, y), scoring=FewShotScorer(n_shot=1), cv=GroupKFold(2), params={"groups": y // 6}
    )
    # Far apart: nearly all is right, if the support holds a row of each class of the query. A
    # draw of one row of a group, as where classes are shared, would know one class of six.
    assert scores.min() > 0.95
    with pytest.raises(TaskError, match="n_shot=12 leaves no query"):
        FewShotScorer(n_shot=12)(meta.fit(X, y, groups=y // 6), X, y, groups=y // 6)


def test_the_scorer_serves_scikit_learns_tools():
    set_config(enable_metadata_routing=True)  # the fixture of every test takes it back
    scorer = FewShotScorer(n_shot=5)
    folds, groups = GroupKFold(3), {"groups": LINES.groups}
    few = cross_val_score(
        PerTask(Ridge()), LINES.X, LINES.y, scoring=scorer, cv=folds, params=groups
    )
    many = cross_val_score(
        PerTask(Ridge()),
        LINES.X,
        LINES.y,
        scoring=FewShotScorer(n_shot=20),
        cv=folds,
        params=groups,
    )
    assert (many > few).all()
    search = GridSearchCV(
        PerTask(Ridge()), {"estimator__alpha": [1e-3, 1e6]}, scoring=scorer, cv=folds
    ).fit(LINES.X, LINES.y, groups=LINES.groups)
    assert search.best_params_ == {"estimator__alpha": 1e-3}


def test_the_scorer_takes_the_mean_over_shot_counts_a_task_is_large_enough_for():
    small = np.flatnonzero(LINES.groups == LINES.groups[0])[:4]  # of the first task 4 rows remain
    rows = np.concatenate([small, np.flatnonzero(LINES.groups != LINES.groups[0])])
    X, y, groups = LINES.X[rows], LINES.y[rows], LINES.groups[rows]
    scorer = FewShotScorer(n_shot=(2, 10), n_repeats=2)
    found = scorer(PerTask(Ridge()).fit(X, y, groups=groups), X, y, groups=groups)
    errors: dict = {}
    for draw in scorer.draws(PerTask(Ridge()), y, groups):
        model = Ridge().fit(X[draw.support], y[draw.support])
        error = root_mean_squared_error(y[draw.query], model.predict(X[draw.query]))
        errors.setdefault(draw.task, {}).setdefault(draw.n_shot, []).append(error)
    shots = {task: [*of_task] for task, of_task in errors.items()}
    assert shots.pop(LINES.groups[0]) == [2]
    assert all(of_task == [2, 10] for of_task in shots.values())
    means = [np.mean([np.mean(e) for e in of_task.values()]) for of_task in errors.values()]
    assert found == pytest.approx(-np.mean(means))
    with pytest.raises(TaskError, match="n_shot=40 leaves no query in any of these tasks"):
        FewShotScorer(n_shot=(2, 40)).draws(PerTask(Ridge()), y, groups)


def test_the_scorer_refuses_to_work_without_groups():
    fitted = PerTask(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(
        GroupsError,
        match=r"got None\. Turn .* cross_val_score\(.*params=.* GridSearchCV\(.*groups=",
    ):
        FewShotScorer()(fitted, LINES.X, LINES.y)
    with pytest.raises(
        TaskError, match="n_shot must hold numbers of labelled rows, at least 1, got '5'"
    ):
        FewShotScorer(n_shot="5")(fitted, LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(TaskError, match="n_shot=29 leaves no query"):
        FewShotScorer(n_shot=29)(fitted, LINES.X, LINES.y, groups=LINES.groups)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("scoring", [FewShotScorer(), {"few": FewShotScorer()}])
def test_a_search_without_routed_groups_stops_instead_of_scoring_nan(scoring, routing):
    space = {"estimator__alpha": [1.0]}
    # Without routing they reach the splitter alone; with it, none were given.
    cv, given = (2, {}) if routing else (GroupKFold(2), {"groups": LINES.groups})
    search = GridSearchCV(PerTask(Ridge()), space, scoring=scoring, refit=False, cv=cv)
    reason = r"FewShotScorer must be given groups, got None\. Turn metadata routing on"
    with config_context(enable_metadata_routing=routing):
        with pytest.raises(ValueError, match=f"must return a number, got none, for {reason}"):
            search.fit(LINES.X, LINES.y, **given)
        with pytest.raises(GroupsError, match=f"^{reason}"):
            search.set_params(error_score="raise").fit(LINES.X, LINES.y, **given)


def test_episode_scores_of_separate_blobs_are_perfect():
    classes = BlobTasks(spread=100.0).sample_classes(20, 10, random_state=0)
    y = np.repeat(classes.task_ids, classes.sizes)
    X = classes.X.numpy()
    meta = ProtoNetClassifier(label_space="task", max_epochs=1, steps_per_epoch=1).fit(X, y)
    scores = episode_scores(meta, X, y, n_episodes=20, n_shot=5)
    assert scores.shape == (20,)
    assert scores.mean() > 0.97
    with pytest.raises(TaskError, match="n_way=30 classes with more than n_shot=1 rows are needed"):
        episode_scores(meta, X, y, n_way=30)
    with pytest.raises(TaskError, match="n_shot must be a whole number, at least 1, got '5'"):
        episode_scores(meta, X, y, n_shot="5")
    with pytest.raises(TaskError, match="over all groups"):
        episode_scores(meta, X, y, n_way=5, groups=y // 4)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        episode_scores(meta, X, y, groups=[0, 1])


def test_the_curve_averages_repeats_before_tasks():
    scores = pd.DataFrame(
        {"task": ["a", "a", "a", "b"], "n_shot": 5, "score": [0.0, 0.0, 3.0, 3.0]}
    )
    assert shots_curve(scores)["mean"].tolist() == [2.0]  # (1 + 3) / 2, not 6 / 4


@pytest.mark.parametrize("around", [[], [StandardScaler()], [PerTask]])
def test_a_splitter_that_tears_tasks_apart_is_told(around):
    meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=1, random_state=0)
    meta = PerTask(meta) if around == [PerTask] else make_pipeline(*around, meta)
    settings = {"scoring": FewShotScorer(n_shot=3), "params": {"groups": LINES.groups}}
    with config_context(enable_metadata_routing=True):
        with pytest.warns(GroupsWarning, match=r"all seen in fit.*cv=GroupKFold\(5\)"):
            cross_val_score(meta, LINES.X, LINES.y, cv=KFold(2, shuffle=True), **settings)
        cross_val_score(meta, LINES.X, LINES.y, cv=GroupKFold(2), **settings)


def test_a_training_score_is_no_torn_task():
    search = GridSearchCV(
        RidgeHeadRegressor(max_epochs=1, steps_per_epoch=1, random_state=0),
        {"noise": [0.5]},
        cv=GroupKFold(2),
        scoring=FewShotScorer(n_shot=3),
        return_train_score=True,
    )
    with config_context(enable_metadata_routing=True):
        search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert np.isfinite(search.cv_results_["mean_train_score"]).all()


def test_the_task_column_that_stays_a_feature_is_told_once():
    table = pd.DataFrame(LINES.X).assign(task=LINES.groups)
    table.columns = [f"x{c}" for c in table.columns[:-1]] + ["task"]
    with pytest.warns(GroupsWarning, match="the column 'task'") as told:
        cross_validate_tasks(
            PerTask(Ridge()), table, LINES.y, LINES.groups, n_shot=5, cv=2, n_repeats=1
        )
    assert len(told) == 1
