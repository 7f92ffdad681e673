"""A pool of classes without groups: dealt out into sets, which are held out and scored."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import (
    AutoMetaClassifier,
    FewShotScorer,
    PerTask,
    ProtoNetClassifier,
    TaskSearchCV,
    compare,
    cross_validate_tasks,
)
from metaskl.errors import GroupsError, TaskError
from metaskl.evaluation.class_sets import class_sets
from metaskl.report import AdaptationDisplay
from metaskl.search import run_study
from metaskl.tasks import BlobTasks

POOL = BlobTasks(spread=3.0).sample_classes(13, 8, random_state=0)
X, Y = POOL.X.numpy(), np.repeat(POOL.task_ids, POOL.sizes)
SETS = class_sets(Y, n_way=3)
QUICK = {"max_epochs": 1, "steps_per_epoch": 2}
OWN = {"label_space": "task", "n_way": 3, "n_shot": 2}


def prototypes(kind=ProtoNetClassifier, **parameters):
    settings = {"n_shot": 2, "n_query": 2, "random_state": 0} | QUICK | parameters
    return kind(label_space="task", n_way=3, **settings)


class Recording(ProtoNetClassifier):
    """It keeps what each fit was given."""

    def fit(self, X, y, groups=None):
        self.given_.append((set(np.unique(y).tolist()), groups))
        return super().fit(X, y, groups)


def test_classes_are_dealt_out_whole_and_the_rest_goes_to_the_last_set():
    # 13 classes in threes: sets of 3, 3, 3 and 3 + 1.
    members = [np.unique(Y[number == SETS]).tolist() for number in range(4)]
    assert sorted(map(len, members)) == [3, 3, 3, 4]
    assert sorted(np.concatenate(members)) == np.unique(Y).tolist()


def test_the_deal_is_random_and_repeatable():
    assert (class_sets(Y, n_way=3) == SETS).all()
    assert (class_sets(Y, n_way=3, random_state=1) != SETS).any()
    names = np.array([f"class {label:02}" for label in Y])
    assert (class_sets(names, n_way=3) == SETS).all()


def test_scarce_classes_come_together():
    # Four classes of 9 rows, and two of one: in pairs, the scarce ones are one of three sets.
    y = np.array(list("abcd") * 9 + ["p", "q"])
    sets = class_sets(y, n_way=2)
    assert sets[-1] == sets[-2]
    assert np.bincount(sets).tolist() == [18, 18, 2]


@pytest.mark.parametrize(
    ("n_way", "message"),
    [
        (7, r"at least 2 \* n_way = 14 classes where there are no groups, got 13.*Lower n_way"),
        ("all", "n_way must be a number of classes where there are no groups, got 'all'"),
        (1, "n_way must be a whole number, at least 2, got 1"),
    ],
)
def test_what_cannot_be_dealt_out_is_told(n_way, message):
    with pytest.raises(TaskError, match=message):
        class_sets(Y, n_way=n_way)


def test_a_model_of_its_own_rows_scores_as_if_the_sets_were_the_groups():
    logistic = PerTask(LogisticRegression())
    pool = cross_validate_tasks(logistic, X, Y, n_way=3, n_shot=(1, 3), cv=2)
    sets = cross_validate_tasks(logistic, X, Y, SETS, n_way=3, n_shot=(1, 3), cv=2)
    columns = ["fold", "task", "repeat", "n_shot", "n_support", "n_query", "score"]
    assert pool[columns].equals(sets[columns])
    assert len(pool) == 4 * 3 * 2  # sets, draws, shot counts


def test_fits_see_one_pool_without_the_classes_that_are_scored(monkeypatch):
    monkeypatch.setattr(Recording, "given_", [], raising=False)
    scores = cross_validate_tasks(prototypes(Recording), X, Y, n_shot=2, cv=2)
    assert len(Recording.given_) == 2
    for fold, (classes, groups) in enumerate(Recording.given_):
        tasks = scores.loc[scores["fold"] == fold, "task"].unique()
        assert groups is None
        assert classes == set(Y.tolist()) - set(Y[np.isin(SETS, tasks)].tolist())


def test_rows_cannot_be_held_out_of_a_pool():
    with pytest.raises(TaskError, match="holdout must be 'tasks' where there are no groups"):
        cross_validate_tasks(prototypes(), X, Y, holdout="rows")


def test_shared_classes_need_groups():
    with pytest.raises(GroupsError, match="groups must name the task of each row, got None"):
        compare(X, Y % 2)


def test_compare_says_that_its_tasks_are_sets_of_classes():
    result = compare(
        X, Y, learners=["protonet"], baselines=["per-task logistic"], learner_params=QUICK, **OWN
    )
    assert not result.failures
    assert result.protocol["n_tasks"] == 4
    assert "interval over sets of classes" in str(result)


def test_a_study_over_a_pool_scores_as_compare_does():
    arguments = {"learners": ["protonet"], "learner_params": QUICK, "n_repeats": 1, **OWN}
    study = run_study(X, Y, n_trials=1, **arguments)
    scores = compare(X, Y, baselines=[], **arguments).scores
    per_task = scores.groupby("task")["score"].mean()
    assert study.best_score == pytest.approx(per_task.mean(), abs=1e-6)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_search_over_a_pool_scores_as_cross_validation_does(in_pipeline, monkeypatch):
    monkeypatch.setattr(Recording, "given_", [], raising=False)
    meta = prototypes(Recording)
    if in_pipeline:
        meta = make_pipeline(StandardScaler(), meta)
    search = TaskSearchCV(meta, n_trials=1, n_shot=2, cv=2).fit(X, Y)
    assert [groups for _, groups in Recording.given_] == [None] * 3  # two folds, and all rows
    scores = cross_validate_tasks(meta, X, Y, n_shot=2, n_repeats=1, cv=2)
    folds = scores.groupby("fold")["score"].mean()
    assert search.best_score_ == pytest.approx(folds.mean(), abs=1e-6)
    assert 0 <= search.score(X, Y) <= 1
    adapted = search.adapt(X[:16:4], ["cat", "cat", "dog", "dog"])
    assert set(adapted.predict(X[:16])) <= {"cat", "dog"}


def test_a_search_takes_the_draws_of_a_scorer_of_ones_own():
    search = TaskSearchCV(prototypes(), n_trials=1, cv=2, scoring=FewShotScorer(n_shot=3))
    assert search.fit(X, Y).scorer_.n_shot == 3


def test_the_automatic_classifier_learns_from_a_pool():
    auto = AutoMetaClassifier(
        n_trials=2,
        learners=["protonet"],
        baselines=["per-task logistic"],
        learner_params=QUICK,
        ensemble=True,
        **OWN,
    ).fit(X, Y)
    assert set(auto.leaderboard_.index) == {"protonet", "per-task logistic"}
    assert auto.comparison_.protocol["holdout"] == "tasks"
    assert auto.comparison_.tasks == "sets of classes"
    adapted = auto.adapt(X[:16:4], ["cat", "cat", "dog", "dog"])
    assert set(adapted.predict(X[:16])) <= {"cat", "dog"}


def test_a_figure_shows_new_classes_of_a_pool():
    display = AdaptationDisplay.from_task(prototypes(), X, Y, n_shot=2)
    assert display.title == "New classes, adapted to 6 of their rows"
