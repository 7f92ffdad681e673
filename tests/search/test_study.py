import time

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge

from metaskl import (
    AutoMetaRegressor,
    MAMLRegressor,
    PerTask,
    Pooled,
    compare,
    cross_validate_tasks,
    run_study,
)
from metaskl.errors import CandidateError, MetasklWarning, StudyError
from metaskl.search import driver
from metaskl.search.blaming import reason_of
from metaskl.search.spaces import suggest
from metaskl.search.watching import memory_held
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks().sample(12, 16, random_state=0)
SHORT = {"max_epochs": 2, "steps_per_epoch": 2}
RIDGE = {"learners": {"ridge": PerTask(Ridge())}}


def search(**settings):
    settings = {"n_shot": 5, "cv": 2, "n_trials": 4} | settings
    return run_study(LINES.X, LINES.y, LINES.groups, **settings)


def test_one_learner():
    result = search(learners=["maml"], learner_params=SHORT, n_trials=5)
    first = result.trials.iloc[0]
    assert first["learner_params__inner_lr"] == 0.05  # its defaults come first
    assert first["state"] == "complete"
    assert result.best_score == result.trials.query("state == 'complete'")["score"].max()
    assert set(result.best_params) >= {"learner_params__inner_lr", "outer_lr", "weight_decay"}
    best = result.make_best()
    assert best.learner_params["inner_lr"] == result.best_params["learner_params__inner_lr"]
    assert best.max_epochs == 2
    assert best.callbacks is None


@pytest.mark.parametrize("after_values", [False, True])
def test_an_interrupt_while_asking_leaves_nothing_running(after_values, monkeypatch, tmp_path):
    asked = []

    def interrupted(trial, candidates):
        asked.append(trial.number)
        if len(asked) == 3 and not after_values:
            raise KeyboardInterrupt
        found = suggest(trial, candidates)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(driver, "suggest", interrupted)
    settings = {**RIDGE, "storage": f"sqlite:///{tmp_path}/study.db"}
    *first, last = search(**settings).trials["state"]
    assert len(first) == 2
    assert set(first) <= {"complete", "pruned"}
    assert last == "waiting"
    states = search(**settings).trials["state"]
    assert len(states) == 4
    assert set(states) <= {"complete", "pruned"}


def test_score_is_that_of_cross_validation():
    result = search(**RIDGE, n_shot=(3, 5), n_trials=1)
    scores = cross_validate_tasks(
        PerTask(Ridge()), LINES.X, LINES.y, LINES.groups, n_shot=(3, 5), cv=2, n_repeats=1
    )
    key = ["fold", "task", "repeat", "n_shot"]
    ours = result.task_scores.sort_values(key)["score"].to_numpy()
    np.testing.assert_allclose(ours, scores.sort_values(key)["score"], rtol=1e-6)
    assert result.best_score == pytest.approx(scores.groupby("task")["score"].mean().mean())


def test_score_weighs_shot_counts_as_compare_does():
    # Half of the tasks have too few rows for the second shot count.
    X, y, groups = LINES.X, LINES.y, LINES.groups
    names, number = np.unique(groups, return_inverse=True)
    row = np.concatenate([np.arange(16)] * len(names))
    kept = (number % 2 == 0) | (row < 8)
    tasks = X[kept], y[kept], groups[kept]
    result = run_study(*tasks, **RIDGE, n_shot=(3, 10), cv=2, n_trials=1)
    settings = {"baselines": RIDGE["learners"], "n_shot": (3, 10), "cv": 2, "n_repeats": 1}
    board = compare(*tasks, learners={}, **settings)
    means = board.scores.groupby(["n_shot", "task"])["score"].mean().groupby("n_shot")
    assert means.size().tolist() == [12, 6]
    assert result.best_score == pytest.approx(means.mean().mean(), rel=1e-6)
    auto = AutoMetaRegressor(n_trials=0, learners=[], **settings)
    auto.fit(*tasks[:2], groups=tasks[2])
    assert auto.best_score_ == pytest.approx(result.best_score, rel=1e-6)


def test_several_learners_and_baselines_share_a_study():
    names = ["ridge_head", "maml", "per-task ridge"]
    result = search(
        learners=names[:2], baselines=names[2:], learner_params=SHORT, n_trials=9, n_repeats=2
    )
    trials = result.trials
    assert trials["learner"].head(3).tolist() == names  # the defaults of each
    of_maml = trials[trials["learner"] == "maml"]
    assert of_maml["maml.learner_params__inner_lr"].notna().all()
    assert of_maml.filter(like="ridge").isna().all(axis=None)
    assert result.best_learner in names
    assert not any("." in name for name in result.best_params)


def test_same_seed_same_study():
    def columns(seed):
        trials = search(learners=["maml"], learner_params=SHORT, n_trials=8, random_state=seed)
        return trials.trials.drop(columns=["adapt_time", "seconds"])

    first = columns(3)
    pd.testing.assert_frame_equal(columns(3), first)
    assert not columns(4)["outer_lr"].equals(first["outer_lr"])


def test_study_goes_on_with_new_values(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    assert len(search(**RIDGE, storage=url, n_trials=3).trials) == 3
    result = search(**RIDGE, storage=url, n_trials=6)
    assert len(result.trials) == 6
    assert result.trials["estimator__alpha"].nunique() == 6
    assert len(search(**RIDGE, storage=url, n_trials=6).trials) == 6


def test_accuracy_against_adaptation_time():
    result = search(**RIDGE, objectives=("score", "adapt_time"))
    assert len(result.study.directions) == 2
    assert (result.trials["state"] == "complete").all()  # nothing is pruned
    assert (result.trials["adapt_time"] > 0).all()
    assert result.best_score == result.trials["score"].max()


@pytest.mark.slow
def test_pruning_by_task_saves_evaluations_and_finds_the_same():
    space = {"estimator__alpha": FloatDistribution(1e-3, 1e4, log=True)}
    tasks = LinearTasks().sample(60, 16, random_state=0)

    def run(pruning):
        return run_study(
            *(tasks.X, tasks.y, tasks.groups), **RIDGE, space=space, n_shot=5, cv=2, n_trials=30,
            pruning=pruning,
        )  # fmt: skip

    whole, pruned = run(None), run("tasks")
    assert whole.task_evaluations_saved == 0.0
    assert (whole.trials["n_scored"] == 60).all()
    assert pruned.task_evaluations_saved == 1 - pruned.trials["n_scored"].sum() / (30 * 60)
    assert pruned.task_evaluations_saved > 0.3
    assert pruned.best_score >= whole.best_score - 0.02 * abs(whole.best_score)
    cut = pruned.trials.query("state == 'pruned'")
    assert (cut["score"] < pruned.best_score).all()


def test_pruning_by_epoch():
    maml = MAMLRegressor(max_epochs=4, steps_per_epoch=2, random_state=0)
    settings = {"learners": {"maml": maml}}
    space = {"outer_lr": FloatDistribution(1e-5, 0.1, log=True)}
    result = search(**settings, space=space, pruning="epochs", n_trials=10)
    steps = [len(trial.intermediate_values) for trial in result.study.trials]
    states = result.trials["state"].tolist()
    assert all(n == 8 for n, state in zip(steps, states, strict=True) if state == "complete")
    assert min(steps) < 8
    assert "pruned" in states
    # Their loss is no score: the two have other units.
    assert result.trials.query("state == 'pruned'")["score"].isna().all()
    # Tasks are held out for the pruner alone: what is fitted in the end learns from all of them.
    assert result.make_best().validation_fraction == 0.0


def test_fidelity_lets_few_go_on():
    result = search(learners=["maml"], learner_params=SHORT, fidelity=0.5, pruning=None, n_trials=9)
    rungs = [trial.user_attrs["outcome"]["rungs"] for trial in result.study.trials]
    assert [len(scores) for scores in rungs] == [1] * 9
    assert 1 <= (result.trials["state"] == "pruned").sum() <= 6  # of three, all go on


def test_private_labels():
    blobs = BlobTasks().sample(8, 40, random_state=0)
    result = run_study(
        blobs.X, blobs.y, blobs.groups, learners=["protonet"], label_space="task", n_way=2,
        n_shot=2, cv=2, n_trials=2, learner_params=SHORT,
    )  # fmt: skip
    assert 0.5 < result.best_score <= 1


def test_two_jobs_begin_as_one_does(tmp_path):
    space = {"estimator__alpha": FloatDistribution(1e-3, 1e3, log=True)}
    result = search(**RIDGE, space=space, n_jobs=2, data_dir=tmp_path, pruning=None)
    again = search(**RIDGE, space=space, pruning=None)
    assert result.trials["score"].iloc[0] == again.trials["score"].iloc[0]  # the defaults
    assert list(tmp_path.iterdir()) == []


class Sleeper(Ridge):
    def fit(self, X, y):
        time.sleep(0.05)
        return super().fit(X, y)


def test_time_budget_ends_the_search_and_trials_wait(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    slow = {"learners": {"ridge": PerTask(Sleeper())}, "storage": url, "pruning": None}
    result = search(**slow, time_budget=3.0, n_trials=None)
    assert result.trials["state"].isin(["complete", "waiting"]).all()
    n_done = (result.trials["state"] == "complete").sum()  # on a busy machine maybe none
    more = search(**slow, n_trials=n_done + 1)
    assert (more.trials["state"] == "complete").sum() == n_done + 1


def test_memory_budget_is_said():
    with pytest.raises(CandidateError, match=r"MiB, more than memory_budget=1 MiB"):
        search(**RIDGE, memory_budget=2.0**20, n_trials=1)
    assert memory_held() > 2**20


class Faulty(RegressorMixin, BaseEstimator):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        if self.alpha > 1.5:
            raise RuntimeError("too large")
        self.model_ = Ridge(self.alpha).fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_trials_that_fail_are_told_and_the_rest_goes_on():
    space = {"estimator__alpha": FloatDistribution(0.1, 10.0)}
    result = search(learners={"f": PerTask(Faulty())}, space=space, n_trials=12, pruning=None)
    failed = result.trials["state"] == "fail"
    assert failed.any()
    assert (result.trials["estimator__alpha"] > 1.5).equals(failed)
    assert result.trials["error"][failed].unique().tolist() == ["RuntimeError: too large"]


class Fussy(Faulty):
    def fit(self, X, y):
        if self.alpha > 1.5:
            raise ValueError("alpha must be at most 1.5")
        return super().fit(X, y)


def test_a_value_that_an_estimator_refuses_is_named_with_its_place_in_the_search_space():
    space = {"estimator__alpha": CategoricalDistribution([3.0])}
    # Behind PerTask a refused task would get a constant; Pooled hands the error on.
    with pytest.raises(CandidateError, match="alpha must be") as caught:
        search(learners={"fussy": Pooled(Fussy())}, space=space, n_trials=1)
    assert (
        "ValueError: alpha must be at most 1.5 (sampled from the search space of 'fussy': "
        "estimator__alpha=3.0)" in str(caught.value)
    )


@pytest.mark.parametrize(
    ("said", "found"),
    [("inner_lr must be above 0", "a__inner_lr=0.0"), ("lr", "a__inner_lr=0.0, steps=3")],
)
def test_only_values_that_the_error_names_are_given_if_it_names_any(said, found):
    values = {"a__inner_lr": 0.0, "steps": 3}
    expected = f"ValueError: {said} (sampled from the search space of 'maml': {found})"
    assert reason_of(ValueError(said), "maml", values) == expected
    assert reason_of(OSError(said), "maml", values) == f"OSError: {said}"


def test_a_candidate_that_diverges_is_named_with_what_to_do():
    wild = MAMLRegressor(inner_lr=0.5, inner_clip=None, standardize=False, **SHORT)
    space = {"outer_lr": FloatDistribution(1e30, 1e38)}
    with pytest.raises(CandidateError, match="meta-training diverged"):
        search(learners={"wild": wild}, space=space, n_trials=1)


def test_shot_counts_that_no_task_has():
    with pytest.warns(MetasklWarning, match="n_shot=500 was left out"):
        search(**RIDGE, n_shot=(5, 500), n_trials=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": ("speed",)}, "objectives must be"),
        ({"n_trials": 0}, "n_trials must be a whole number, at least 1, got 0"),
        ({"n_trials": 2.5}, "n_trials must be a whole number, at least 1, got 2.5"),
        ({"time_budget": -1}, "time_budget must be"),
        ({"memory_budget": "2GB"}, "memory_budget must be a whole number of bytes above 0"),
        ({"fidelity": 1.5}, "fidelity must hold rising shares"),
        ({"fidelity": (0.5, 0.2)}, "fidelity must hold rising shares"),
        ({"pruning": "often"}, "pruning must be"),
        ({"learner_params": {"alpha": 1}}, "learner_params must be left out"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        search(**RIDGE | settings)


def test_no_time_at_all():
    result = search(**RIDGE, n_trials=None, time_budget=1e-9)
    with pytest.raises(StudyError, match="must have a complete trial"):
        _ = result.best_trial
    assert "waiting" in repr(result) or "no trials" in repr(result)


def test_repr_names_the_best():
    text = repr(search(**RIDGE, n_trials=2))
    assert "best root mean squared error: 0." in text
    assert "estimator__alpha = " in text
