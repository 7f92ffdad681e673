from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn import set_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import (
    FewShotScorer,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    cross_validate_tasks,
    shots_curve,
)
from metaskl.errors import GroupsError, TaskError
from metaskl.evaluation import episode_scores
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
        ).drop(columns="fit_time")
        for n_jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(first, second)


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
    assert shots_curve(scores)["n_tasks"].tolist() == [2]


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
        ({"n_shot": 30}, "tasks must be larger than the shot count, got n_shot=.30,."),
        ({"n_shot": 0}, "n_shot must hold numbers of labelled rows"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(TaskError, match=message):
        cross_validate_tasks(PerTask(Ridge()), LINES.X, LINES.y, LINES.groups, **change)


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


def test_the_scorer_refuses_to_work_without_groups():
    fitted = PerTask(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(
        GroupsError, match=r"must be given groups, got None\. Turn metadata routing"
    ):
        FewShotScorer()(fitted, LINES.X, LINES.y)
    with pytest.raises(TaskError, match="n_shot=29 leaves no query"):
        FewShotScorer(n_shot=29)(fitted, LINES.X, LINES.y, groups=LINES.groups)


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
    with pytest.raises(TaskError, match="over all groups"):
        episode_scores(meta, X, y, n_way=5, groups=y // 4)


def test_the_curve_averages_repeats_before_tasks():
    scores = pd.DataFrame(
        {"task": ["a", "a", "a", "b"], "n_shot": 5, "score": [0.0, 0.0, 3.0, 3.0]}
    )
    assert shots_curve(scores)["mean"].tolist() == [2.0]  # (1 + 3) / 2, not 6 / 4
