"""A pool of classes without groups: dealt out into sets, which are held out and scored."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
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
from metaskl.errors import GroupsError, GroupsWarning, OneTaskWarning, TaskError
from metaskl.evaluation import class_sets
from metaskl.evaluation.folds import split_tasks
from metaskl.evaluation.protocol import make_protocol
from metaskl.report import AdaptationDisplay
from metaskl.search import TaskEnsemble, run_study
from metaskl.search.ensemble import choose_ensemble
from metaskl.search.entries import protocol_of
from metaskl.search.objective import draws_frame, units_of
from metaskl.tasks import BlobTasks

optuna = pytest.importorskip("optuna")
POOL = BlobTasks(spread=3.0).sample_classes(13, 8, random_state=0)
X, Y = POOL.X.numpy(), np.repeat(POOL.task_ids, POOL.sizes)
SETS = class_sets(Y, n_way=3, n_shot=2)
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
    assert (class_sets(Y, n_way=3, n_shot=2) == SETS).all()
    assert (class_sets(Y, n_way=3, n_shot=2, random_state=1) != SETS).any()
    names = [f"class {label:02}" for label in Y]
    assert (class_sets(names, n_way=3, n_shot=2) == SETS).all()


def sets_of(sizes, **settings):
    """Return the set of each class, of so many rows."""
    y = np.repeat(np.arange(len(sizes)), sizes)
    return class_sets(y, **settings)[np.cumsum(sizes) - 1]


def test_it_is_random_whatever_the_sizes_if_they_are_large_enough():
    deals = [sets_of(range(4, 16), n_way=3, n_shot=3, random_state=seed) for seed in range(5)]
    assert len({tuple(deal) for deal in deals}) == 5


@pytest.mark.parametrize("seed", range(5))
def test_scarce_classes_come_together(seed):
    # Of ten rows: 0 to 3; of three: 4 to 7; of one, which no episode can have: 8 to 12.
    found = sets_of([10] * 4 + [3] * 4 + [1] * 5, n_way=2, n_shot=(2, 5), random_state=seed)
    assert sorted(found[:4]) == [0, 0, 1, 1]
    assert sorted(found[4:8]) == [2, 2, 3, 3]
    assert set(found[8:]) == {3}
    # With 20 rows, which none has, nothing is dealt out by them: the largest count that fits is 5.
    more = sets_of([10] * 4 + [3] * 4 + [1] * 5, n_way=2, n_shot=(2, 5, 20), random_state=seed)
    assert (more == found).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"n_way": 7},
            r"2 \* n_way = 14 classes of more than n_shot=2 rows.*, got 13.*Lower",
        ),
        ({"n_way": 3, "n_shot": 8}, "classes of more than n_shot=8 rows .* got 0"),
        (
            {"n_way": "all"},
            "n_way must be a number of classes where there are no groups",
        ),
        ({"n_way": 1}, "n_way must be a whole number, at least 2, got 1"),
        ({"n_way": 3, "n_shot": 0.5}, "n_shot must hold numbers of labelled rows, at least 1, got"),
        ({"n_way": 3, "random_state": -1}, "random_state must be a whole number, at least 0, got"),
        ({"n_way": 3, "random_state": "a"}, "random_state must be a whole number, at least 0, got"),
    ],
)
def test_what_cannot_be_dealt_out_is_told(settings, message):
    with pytest.raises(TaskError, match=message):
        class_sets(Y, **{"n_shot": 2} | settings)


def scored(X, y):
    return cross_validate_tasks(prototypes(), X, y, n_shot=2, cv=2)


@pytest.mark.parametrize(
    "use",
    [
        scored,
        lambda X, y: compare(X, y, learners=["protonet"], baselines=[], **OWN),
        lambda X, y: run_study(X, y, learners=["protonet"], n_trials=1, **OWN),
        lambda X, y: AdaptationDisplay.from_task(prototypes(), X, y),
        lambda X, y: TaskSearchCV(prototypes(), n_trials=1, cv=2).fit(X, y),
    ],
)
@pytest.mark.parametrize("few", [slice(-8), slice(0)])
def test_rows_and_targets_must_be_as_many(use, few):
    with pytest.raises(TaskError, match="y must have one target for each of the 104 rows of X"):
        use(X, Y[few])
    with pytest.raises(TaskError, match="rows of X, got 104"):
        use(X[few], Y)


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
@pytest.mark.parametrize(
    "use", [scored, lambda X, y: TaskSearchCV(prototypes(), n_trials=1, cv=2).fit(X, y)]
)
def test_missing_classes_are_told(use, gap):
    names = np.array([f"class {label}" for label in Y], object)
    names[[0, 5]] = gap
    with pytest.raises(ValueError, match="y must not hold missing values, got 2 of them"):
        use(X, names)
    meta = prototypes().fit(X, Y)
    with pytest.raises(ValueError, match="y must not hold missing values, got 1 of them"):
        meta.adapt(X[:4], names[:4])


def test_a_model_of_its_own_rows_scores_as_if_the_sets_were_the_groups():
    logistic = PerTask(LogisticRegression())
    pool = cross_validate_tasks(logistic, X, Y, n_way=3, n_shot=(1, 2), cv=2)
    sets = cross_validate_tasks(logistic, X, Y, SETS, n_way=3, n_shot=(1, 2), cv=2)
    columns = ["fold", "task", "repeat", "n_shot", "n_support", "n_query", "score"]
    assert pool[columns].equals(sets[columns])
    assert len(pool) == 4 * 3 * 2  # sets, draws, shot counts


@pytest.fixture
def given(monkeypatch):
    """Return the classes and groups of each fit of a `Recording`."""
    monkeypatch.setattr(Recording, "given_", [], raising=False)
    return Recording.given_


def folds_of(n_folds):
    """Return the classes that each fold trains on, and all of them."""
    tasks = split_tasks(Y, SETS, n_folds)
    return [set(Y[train].tolist()) for train, _ in tasks], set(Y.tolist())


def test_fits_see_one_pool_without_the_classes_that_are_scored(given):
    scores = cross_validate_tasks(prototypes(Recording), X, Y, n_shot=2, cv=2)
    assert len(given) == 2
    for fold, (classes, groups) in enumerate(given):
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
    text = str(result)
    for told in ("interval over sets of classes", "2 rows of each class", "paired over 4 sets of"):
        assert told in text
    assert result.protocol["preprocess"] is None


def test_the_fits_of_a_study_see_one_pool(given):
    own = {"mine": prototypes(Recording)}
    space = {"outer_lr": [1e-3, 1e-2]}
    run_study(
        X, Y, learners=own, space=space, n_trials=2, cv=2, pruning="both", fidelity=0.5, **OWN
    )
    training, _ = folds_of(2)
    assert len(given) >= 4
    assert all(groups is None and any(seen <= fold for fold in training) for seen, groups in given)


def test_rows_that_are_held_out_are_counted_by_task():
    arguments = {"learners": [], "baselines": ["per-task logistic"], "n_repeats": 1, **OWN}
    rows = compare(X, Y, SETS, holdout="rows", **arguments | {"n_shot": 6, "cv": 1})
    tasks = compare(X, Y, SETS, **arguments | {"cv": 2})
    assert " 6 rows" in str(rows)
    assert "of each class" not in str(rows)
    assert "2 rows of each class" in str(tasks)


def test_what_is_too_small_is_told_with_what_would_help():
    two = Y % 2 + 2 * SETS  # two classes in each group
    with pytest.raises(TaskError, match="Lower n_way: no task has more than 2 classes"):
        cross_validate_tasks(prototypes(), X, two, SETS, n_shot=1, cv=2)
    with pytest.raises(TaskError, match="Bring a second row of more classes, or lower n_way"):
        cross_validate_tasks(prototypes(), X[::8], Y[::8], SETS[::8], n_shot=1, cv=2)


def test_a_study_of_a_pool_is_not_that_of_the_sets_as_groups():
    storage = optuna.storages.InMemoryStorage()
    arguments = {"learners": {"mine": prototypes()}, "n_trials": 1, "storage": storage, **OWN}
    names = {run_study(X, Y, g, **arguments).study.study_name for g in (None, None, SETS)}
    assert len(names) == 2


def test_what_compare_search_and_automatic_classifier_score_is_the_same():
    settings = {"n_shot": (2, 50), "n_repeats": 2, "cv": 2, "scoring": None, "random_state": 3}
    auto = AutoMetaClassifier(label_space="task", n_way=3, **settings)
    kind = {"kind": "classification", "label_space": "task", "n_way": 3, "holdout": "tasks"}
    inner = settings | kind | {"n_shot": [2]}  # a search is told the counts that fit
    protocols = [
        make_protocol(X, Y, None, **settings, **kind),
        make_protocol(X, Y, None, **inner),
        protocol_of(auto, X, Y, None),
    ]
    first, *others = [draws_frame(units_of(protocol)) for protocol in protocols]
    assert len(first) == 4 * 2
    assert all(first.equals(other) for other in others)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_search_over_a_pool_scores_as_cross_validation_does(in_pipeline, given):
    meta = prototypes(Recording)
    if in_pipeline:
        meta = make_pipeline(StandardScaler(), meta)
    search = TaskSearchCV(meta, n_trials=1, n_shot=2, cv=2).fit(X, Y)
    training, every = folds_of(2)
    assert given == [(classes, None) for classes in [*training, every]]
    scores = cross_validate_tasks(meta, X, Y, n_shot=2, n_repeats=1, cv=2)
    folds = scores.groupby("fold")["score"].mean()
    assert search.best_score_ == pytest.approx(folds.mean(), abs=1e-6)
    assert 0 <= search.score(X, Y) <= 1
    adapted = search.adapt(X[:16:4], ["cat", "cat", "dog", "dog"])
    assert set(adapted.predict(X[:16])) <= {"cat", "dog"}


class Half(FewShotScorer):
    """Somebody's own scorer, of another class and with a parameter more."""

    def __init__(self, factor=0.5, n_shot=3):
        super().__init__(n_shot=n_shot)
        self.factor = factor

    def __call__(self, *arguments, **named):
        return self.factor * super().__call__(*arguments, **named)


def test_a_search_scores_by_a_scorer_of_ones_own():
    settings = {"n_trials": 1, "cv": 2}
    plain = TaskSearchCV(prototypes(), scoring=FewShotScorer(n_shot=3), **settings).fit(X, Y)
    half = TaskSearchCV(prototypes(), scoring=Half(), **settings).fit(X, Y)
    assert half.best_score_ == pytest.approx(plain.best_score_ / 2)
    assert not half.scoring.scores_class_sets  # it stays as it was given


def test_baselines_are_tuned_on_the_episodes_of_a_scorer():
    logistic = PerTask(LogisticRegression())
    scorer = FewShotScorer(n_way=3, n_shot=2, n_repeats=1)
    search = TaskSearchCV(logistic, {"estimator__C": [1.0]}, n_trials=1, cv=2, scoring=scorer)
    scores = cross_validate_tasks(logistic, X, Y, n_way=3, n_shot=2, n_repeats=1, cv=2)
    folds = scores.groupby("fold")["score"].mean()
    assert search.fit(X, Y).best_score_ == pytest.approx(folds.mean(), abs=1e-6)


def test_classes_of_training_episodes_may_be_searched():
    search = TaskSearchCV(prototypes(), {"n_way": [3, 5]}, n_trials=2, n_shot=2, cv=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.scorer_.n_way == 3


def test_new_classes_are_scored_and_those_of_fit_warned_of():
    old, new = Y < 9, Y >= 9  # four classes, of which one set can be made
    search = TaskSearchCV(prototypes(), n_trials=1, n_shot=2, cv=2).fit(X[old], Y[old])
    assert 0 <= search.score(X[new], Y[new]) <= 1
    with pytest.warns(GroupsWarning, match="y should hold classes that fit has not seen, got none"):
        search.score(X[old][::2], Y[old][::2])


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_automatic_classifier_learns_from_a_pool(ensemble, given):
    auto = AutoMetaClassifier(
        n_trials=2,
        learners={"mine": prototypes(Recording), "other": prototypes(Recording, outer_lr=0.1)},
        baselines=["per-task logistic"],
        ensemble=ensemble,
        cv=9,  # more than there are sets
        **OWN,
    ).fit(X, Y)
    training, every = folds_of(4)
    assert all(groups is None for _, groups in given)
    assert all(seen == every or seen in training for seen, _ in given)
    assert auto.comparison_.held_out == "sets of classes"
    assert auto.comparison_.protocol["folds"] == 4
    adapted = auto.adapt(X[:16:4], ["cat", "cat", "dog", "dog"])
    assert set(adapted.predict(X[:16])) <= {"cat", "dog"}


def test_what_is_found_is_fitted_to_the_pool(given):
    settings = {"n_trials": 0, "baselines": {"mine": prototypes(Recording)}, "learners": []}
    AutoMetaClassifier(cv=2, **settings, **OWN).fit(X, Y)
    training, every = folds_of(2)
    assert given == [(classes, None) for classes in [*training, every]]


def test_an_ensemble_is_chosen_by_fits_to_the_pool(given):
    settings = {"n_way": 3, "n_shot": 2, "n_repeats": 1, "cv": 2, "holdout": "tasks"}
    kind = {"kind": "classification", "label_space": "task", "scoring": None, "random_state": 0}
    protocol = make_protocol(X, Y, None, **settings, **kind)
    own = {"mine": prototypes(Recording)}
    choose_ensemble(own, X, Y, protocol.ids, protocol.folds, protocol.scorer, n_rounds=1)
    assert given == [(classes, None) for classes in folds_of(2)[0]]


def test_a_forgotten_label_space_is_warned_of():
    auto = AutoMetaClassifier(
        learners=["protonet"], baselines=["per-task logistic"], n_trials=1, n_shot=2
    )
    with pytest.warns(OneTaskWarning, match="13 classes without groups.*label_space='task'"):
        auto.fit(X, Y)
    assert auto.comparison_.failures == {"protonet": "not tried: there is one task only, no groups"}
    assert "no learner was tried" in str(auto.verdict_)


def test_an_ensemble_and_a_wrapped_learner_are_scored_on_episodes():
    several = TaskEnsemble([prototypes(), prototypes(random_state=1)])
    for model in (several, PerTask(prototypes())):
        assert len(cross_validate_tasks(model, X, Y, n_shot=2, n_repeats=1, cv=2)) == 4
        search = TaskSearchCV(model, {}, n_trials=1, n_shot=2, cv=2)
        assert np.isfinite(search.fit(X, Y).best_score_)


def test_a_pipeline_whose_learner_declined_groups_is_given_none():
    with config_context(enable_metadata_routing=True):
        meta = make_pipeline(StandardScaler(), prototypes().set_fit_request(groups=False))
    assert len(cross_validate_tasks(meta, X, Y, n_shot=2, n_repeats=1, cv=2)) == 4


def test_meta_validation_holds_out_classes_for_an_episode():
    # A tenth of 13 classes would be one; three are an episode.
    meta = prototypes(validation_fraction=0.1).fit(X, Y)
    assert np.isfinite(meta.history_[-1]["valid_loss"])
    with pytest.raises(TaskError, match=r"at least 2 \* n_way = 6 classes to hold some out, got 5"):
        prototypes(validation_fraction=0.1).fit(X[Y < 5], Y[Y < 5])


def test_more_folds_than_sets_are_told_in_these_words():
    with pytest.raises(TaskError, match="number of sets of classes, got cv=5 for 4 sets of"):
        cross_validate_tasks(prototypes(), X, Y, n_shot=2, cv=5)


def test_a_figure_shows_a_set_of_a_pool(given):
    display = AdaptationDisplay.from_task(prototypes(Recording), X, Y, n_shot=2, task=1)
    assert display.title == "Set of classes 1, adapted to 6 of its rows"
    assert given == [(set(Y[SETS != 1].tolist()), None)]
