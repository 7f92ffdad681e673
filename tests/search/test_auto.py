import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder
from torch import nn

import metaskl
from metaskl import AutoMetaClassifier, AutoMetaRegressor, ProtoNetClassifier, compare
from metaskl.backbones import FromModule
from metaskl.errors import BudgetWarning, CandidateError, ParameterError, TaskError
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks().sample(12, 20, random_state=0)
ROWS = (LINES.X, LINES.y)
QUICK = {"max_epochs": 1, "steps_per_epoch": 2}
BASELINES = ["per-task ridge", "pooled ridge", "shrunk ridge"]


def automatic(**settings):
    few = {"learners": ["ridge_head"], "baselines": BASELINES, "learner_params": QUICK}
    return AutoMetaRegressor(**({"n_shot": 5, "cv": 2, "n_trials": 0} | few | settings))


class Interrupts(Ridge):
    """Gets Ctrl-C in its first fit."""

    def fit(self, X, y):
        raise KeyboardInterrupt


class Fails(Ridge):
    """Cannot be fitted."""

    def fit(self, X, y):
        raise ValueError("out of order")


def test_never_worse_than_a_baseline_and_scored_as_compare_scores():
    auto = automatic().fit(*ROWS, groups=LINES.groups)
    reference = compare(
        *ROWS,
        LINES.groups,
        learners=["ridge_head"],
        baselines=BASELINES,
        n_shot=5,
        n_repeats=1,
        cv=2,
        learner_params=QUICK,
    )
    expected = -reference.leaderboard()[(5, "mean")]
    found = -auto.leaderboard_[(5, "mean")]
    pd.testing.assert_series_equal(found, expected[found.index])
    assert len(found) == len(BASELINES) + 1
    assert auto.best_score_ == pytest.approx(expected.max())
    assert auto.best_name_ == expected.idxmax()
    assert str(auto.verdict_) == str(reference.verdict)


def test_the_best_is_fitted_on_all_rows():
    auto = automatic(baselines={"alone": PerTask(Ridge()), "all": Pooled(Ridge())}, learners=[])
    auto.fit(*ROWS, groups=LINES.groups)
    assert auto.best_name_ == "alone"
    same = PerTask(Ridge()).fit(*ROWS, groups=LINES.groups)
    support, query = (LINES.X[:5], LINES.y[:5]), LINES.X[5:9]
    np.testing.assert_allclose(
        auto.adapt(*support).predict(query), same.adapt(*support).predict(query)
    )
    np.testing.assert_allclose(auto.predict(query), same.predict(query))


def test_an_interrupt_leaves_the_best_so_far():
    stop = {"stop": PerTask(Interrupts())}
    auto = automatic(learners=stop, learner_params=None).fit(*ROWS, groups=LINES.groups)
    assert auto.interrupted_
    assert auto.best_name_ in BASELINES
    assert auto.adapt(*(part[:5] for part in ROWS)).predict(LINES.X[:2]).shape == (2,)
    with pytest.raises(KeyboardInterrupt):  # before anything is there
        automatic(baselines=stop).fit(*ROWS, groups=LINES.groups)


def test_a_search_follows_the_baselines_and_goes_on_in_its_storage(tmp_path):
    settings = {"storage": f"sqlite:///{tmp_path / 'studies.db'}", "pruning": None}
    auto = automatic(n_trials=3, **settings).fit(*ROWS, groups=LINES.groups)
    trials = auto.search_.trials
    assert trials["candidate"].tolist()[:3] == BASELINES
    # The study: the learner's defaults, those of the best baseline, one trial more.
    best = trials[:3].set_index("candidate")["score"].idxmax()
    assert set(trials["candidate"][3:]) <= {"ridge_head", best}
    assert trials["candidate"][3:5].tolist() == ["ridge_head", best]
    assert len(trials) == 6
    # The defaults of the baseline score in the study what they scored before it.
    assert trials["score"][4] == pytest.approx(trials["score"][:3].max(), abs=1e-6)
    assert auto.best_score_ == trials["score"].max()
    assert auto.best_score_ >= trials["score"][:3].max()
    assert set(auto.leaderboard_.index) == {*BASELINES, "ridge_head"}
    more = automatic(n_trials=5, **settings).fit(*ROWS, groups=LINES.groups)
    assert more.search_.trials["score"].tolist()[:6] == trials["score"].tolist()
    assert len(more.search_.trials) == 8


def test_an_interrupt_in_the_search_leaves_the_best_so_far():
    stop = {"stop": PerTask(Interrupts())}
    auto = automatic(learners=stop, learner_params=None, n_trials=3)
    auto.fit(*ROWS, groups=LINES.groups)
    assert auto.interrupted_
    assert auto.best_name_ in BASELINES


def test_a_search_in_which_all_fails_leaves_the_baselines():
    broken = {"broken": Pooled(Fails())}
    auto = automatic(learners=broken, learner_params=None, n_trials=1)
    auto.fit(*ROWS, groups=LINES.groups)
    assert "out of order" in auto.comparison_.failures["search"]
    assert auto.best_name_ in BASELINES


def test_the_budget_ends_the_contest_after_one_candidate():
    with pytest.warns(BudgetWarning, match="0 of 1 learners and 1 of 3 baselines were"):
        auto = automatic(time_budget=1e-9).fit(*ROWS, groups=LINES.groups)
    assert auto.best_name_ == "per-task ridge"
    assert list(auto.leaderboard_.index) == ["per-task ridge"]
    untried = {name for name, why in auto.comparison_.failures.items() if "time budget" in why}
    assert untried == {"pooled ridge", "shrunk ridge", "ridge_head"}
    assert not auto.interrupted_
    nothing = "nothing was compared: no learner was tried: the time budget ended before."
    assert str(auto.verdict_).startswith(f"Verdict: {nothing}\n")
    assert "\n  ridge_head not tried: the time budget was spent" in str(auto.verdict_).replace(
        "pooled ridge, shrunk ridge, ", ""
    )
    with pytest.warns(BudgetWarning, match=r"Not tried: ridge_head\. Raise time_budget"):
        auto = automatic(time_budget=1e-9, n_trials=None).fit(*ROWS, groups=LINES.groups)
    assert "no time was left; raise time_budget" in auto.comparison_.failures["ridge_head"]


@pytest.mark.parametrize("n_trials", [0, 2])
def test_slow_baselines_wait_for_the_learners_where_time_is_limited(n_trials):
    quick, slow = ["own", "pooled forest"], ["shrunk boosting", "per-task forest"]
    models = {name: PerTask(Ridge()) for name in (*reversed(slow), *reversed(quick))}
    for seconds, expected in (
        (600, [*quick, "ridge_head", *slow]),
        (None, [*quick, *slow, "ridge_head"]),
    ):
        auto = automatic(baselines=models, n_trials=n_trials, time_budget=seconds)
        auto.fit(*ROWS, groups=LINES.groups)
        order = auto.search_.trials["candidate"].tolist()
        assert order[:5] == expected
        assert order[5:] == (["own"] if n_trials else [])  # the best of the quick is tuned
        assert auto.comparison_.families["per-task forest"] == "per-task"
        assert auto.comparison_.failures == {}


class Constant(Ridge):
    """Far worse than anything."""

    def predict(self, X):
        return np.full(len(X), 1e6)


def test_a_learner_given_up_early_is_named():
    mine = {"good": PerTask(Ridge()), "bad": PerTask(Constant())}
    auto = automatic(learners=mine, learner_params=None, n_trials=2, n_shot=5)
    auto.fit(*ROWS, groups=LINES.groups)
    assert "bad" not in auto.leaderboard_.index
    assert auto.comparison_.failures["bad"] == "given up early or failed in all of its trials, 1"
    assert auto.verdict_.compared


def test_a_transductive_learner_of_the_search_is_reported():
    blobs = BlobTasks().sample(8, 20, random_state=0)
    body = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False))
    net = ProtoNetClassifier(backbone=FromModule(body), **QUICK)
    auto = AutoMetaClassifier(
        learners={"mixes": net}, baselines=["pooled logistic"], n_trials=1, n_shot=5, cv=2
    ).fit(blobs.X, blobs.y, groups=blobs.groups)
    assert auto.comparison_.protocol["transductive_candidates"] == ["mixes #0"]


def test_one_that_fails_is_named_and_the_rest_goes_on():
    models = {"broken": PerTask(Fails()), "sound": PerTask(Ridge())}
    auto = automatic(baselines=models).fit(*ROWS, groups=LINES.groups)
    # PerTask falls back to a constant for a task, but its shared model cannot.
    assert "out of order" in auto.comparison_.failures["broken"]
    assert auto.search_.trials.set_index("candidate")["state"]["broken"] == "FAIL"
    with pytest.raises(CandidateError, match=r"(?s)nothing that was tried.*broken: .*out of order"):
        automatic(baselines={"broken": PerTask(Fails())}, learners=[]).fit(
            *ROWS, groups=LINES.groups
        )


def test_tasks_keep_their_names_and_the_draws_do_not_depend_on_them():
    names = np.array([f"line {number:02}" for number in LINES.groups])
    named = automatic().fit(*ROWS, groups=names)
    plain = automatic().fit(*ROWS, groups=LINES.groups)
    assert set(named.comparison_.scores["task"]) == set(names)
    assert named.best_score_ == plain.best_score_


def test_one_task_is_an_ordinary_choice_of_a_model():
    X = np.random.default_rng(0).normal(size=(60, 2))
    auto = AutoMetaRegressor(n_trials=0).fit(X, X @ [1.0, -1.0])
    assert auto.best_name_ == "per-task ridge"
    assert set(auto.leaderboard_.index) == {
        "per-task ridge",
        "per-task forest",
        "per-task boosting",
    }
    assert auto.score(X, X @ [1.0, -1.0]) > 0.99
    assert not auto.verdict_.compared


@pytest.mark.slow
def test_an_ensemble_is_kept_only_if_it_scores_higher():
    blobs = BlobTasks().sample(10, 30, random_state=0)
    settings = {
        "learners": ["protonet", "ridge_head"],
        "baselines": ["per-task logistic", "shrunk logistic"],
        "learner_params": QUICK,
        "scoring": "neg_log_loss",
        "n_shot": 10,
        "n_trials": 0,
        "cv": 2,
    }
    alone = AutoMetaClassifier(**settings).fit(blobs.X, blobs.y, groups=blobs.groups)
    mixed = AutoMetaClassifier(ensemble=True, **settings)
    mixed.fit(blobs.X, blobs.y, groups=blobs.groups)
    assert mixed.best_score_ >= alone.best_score_
    assert (mixed.best_name_ == "ensemble") == (mixed.best_score_ > alone.best_score_)
    assert "ensemble" not in mixed.leaderboard_.index
    share = mixed.adapt(blobs.X[:10], blobs.y[:10]).predict_proba(blobs.X[10:14])
    np.testing.assert_allclose(share.sum(axis=1), 1.0)


def test_a_transformer_before_every_candidate():
    frame = pd.DataFrame(LINES.X, columns=["a", "b", "c"])
    frame["text"] = np.where(LINES.X[:, 0] > 0, "up", "down")
    frame["line"] = LINES.groups
    encode = make_column_transformer((OneHotEncoder(), ["text"]), remainder="passthrough")
    auto = automatic(preprocess=encode, ensemble=True).fit(frame, LINES.y, groups="line")
    assert auto.feature_names_in_.tolist() == ["a", "b", "c", "text"]
    assert auto.adapt(frame[:5], LINES.y[:5]).predict(frame[5:8]).shape == (3,)
    with pytest.raises(ValueError, match=r"could not be fitted|X must hold numbers"):
        automatic().fit(frame, LINES.y, groups="line")


@pytest.mark.parametrize("way", ["pickle", "file"])
def test_the_leaderboard_and_the_record_are_stored_too(way, tmp_path):
    auto = automatic().fit(*ROWS, groups=LINES.groups)
    if way == "pickle":
        again = pickle.loads(pickle.dumps(auto))
    else:
        again = metaskl.load(metaskl.save(auto, tmp_path / "model"))
    pd.testing.assert_frame_equal(again.leaderboard_, auto.leaderboard_)
    assert again.verdict_ == auto.verdict_
    pd.testing.assert_frame_equal(
        again.search_.trials, auto.search_.trials, check_dtype=False, check_exact=False
    )


@pytest.mark.parametrize("model", ["ridge", "forest", "boosting"])
@pytest.mark.parametrize("family", ["per-task", "pooled", "shrunk"])
def test_every_baseline_can_be_stored(family, model, tmp_path):
    few = LINES.groups < 4  # a forest a task
    auto = automatic(baselines=[f"{family} {model}"], learners=[])
    auto.fit(LINES.X[few], LINES.y[few], groups=LINES.groups[few])
    again = metaskl.load(metaskl.save(auto, tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(LINES.X), auto.predict(LINES.X))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"time_budget": 0}, ParameterError, "time_budget must be a number of seconds above 0"),
        ({"time_budget": None, "n_trials": None}, ParameterError, "must not both be None"),
        ({"n_trials": -1}, TaskError, "n_trials must be a whole number, at least 0"),
        ({"baselines": []}, ParameterError, "baselines must name at least one"),
        ({"baselines": ["ridge"]}, ParameterError, "baselines must be among"),
        ({"learners": ["protonet"]}, ParameterError, "learners must be able to do regression"),
        ({"n_shot": 100}, TaskError, "tasks must be larger than the shot count"),
        ({"scoring": "rmse"}, ParameterError, "scoring must be the name of a scikit-learn scorer"),
    ],
)
def test_messages(change, error, message):
    with pytest.raises(error, match=message):
        automatic(**change).fit(*ROWS, groups=LINES.groups)


SCRIPT = """
import sys, threading, time
import numpy as np
from sklearn.linear_model import Ridge
from metaskl import AutoMetaRegressor
from metaskl.estimators.per_task import PerTask
from metaskl.tasks import LinearTasks

class Slow(Ridge):
    def fit(self, X, y):
        print("searching", flush=True)
        time.sleep(60)
        return super().fit(X, y)

lines = LinearTasks().sample(10, 20, random_state=0)
auto = AutoMetaRegressor(baselines=["per-task ridge"], learners={"slow": PerTask(Slow())}, n_shot=5)
auto.fit(lines.X, lines.y, groups=lines.groups)
adapted = auto.adapt(lines.X[:5], lines.y[:5])
print(auto.best_name_, auto.interrupted_, adapted.predict(lines.X[:3]).shape)
"""


@pytest.mark.slow
def test_ctrl_c_in_a_process_leaves_a_fitted_estimator():
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert running.stdout.readline() == "searching\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=50)
    finally:
        running.kill()
    assert out.splitlines()[-1] == "per-task ridge True (3,)"
    assert running.returncode == 0
