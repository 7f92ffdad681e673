import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge

from metaskl import PerTask, Pooled, RidgeHeadRegressor, compare
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.evaluation.candidates import make_baselines
from metaskl.registry import list_learners
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks(n_features=2, spread=1.0, noise=0.3).sample(30, 20, random_state=0)
QUICK = {"max_epochs": 1, "steps_per_epoch": 3, "n_query": 5}
LINEAR = {"backbone": MLP(()), "max_epochs": 6, "noise": 0.3, "prior_precision": 1.0}


def test_it_says_yes_where_the_tasks_are_alike_but_not_equal():
    result = compare(
        LINES.X,
        LINES.y,
        LINES.groups,
        learners={"bayes": RidgeHeadRegressor(n_shot=3, random_state=0, **LINEAR)},
        baselines={"pooled ridge": Pooled(Ridge()), "per-task line": PerTask(LinearRegression())},
        n_shot=3,
    )
    assert result.verdict.pays
    assert str(result.verdict).startswith("Verdict: yes")
    assert result.families["per-task line"] == "per-task"
    assert result.leaderboard().index[0] == "bayes"
    assert result.lower_is_better
    assert result.verdict.per_task_is_as_good_from is None


def test_it_says_no_where_every_task_is_the_same():
    same = LinearTasks(n_features=2, spread=0.0, noise=0.3).sample(20, 20, random_state=0)
    result = compare(
        same.X,
        same.y,
        same.groups,
        learners={"young": RidgeHeadRegressor(n_shot=5, random_state=0, **QUICK)},
        baselines=["pooled ridge"],
        n_shot=5,
    )
    assert not result.verdict.pays
    assert "Verdict: no" in str(result)


def test_every_registered_learner_and_baseline_is_compared():
    result = compare(
        LINES.X, LINES.y, LINES.groups, n_shot=5, n_repeats=1, cv=2, learner_params=QUICK, n_jobs=2
    )
    kinds = {name: family for name, family in result.families.items() if family == "learner"}
    assert set(kinds) == {i.name for i in list_learners() if i.name != "protonet"}
    assert set(result.families) - set(kinds) == set(make_baselines("regression"))
    assert result.failures == {}
    counts = result.scores.groupby("candidate").size()
    assert counts.nunique() == 1  # the same draws for all
    assert "pooled forest" in str(result)
    assert result.as_dict()["protocol"]["n_tasks"] == 30
    for point in result.as_dict()["curve"]:  # an error: positive, with its bounds in order
        assert 0 < point["low"] <= point["mean"] <= point["high"]


def test_classification_is_recognised_and_served():
    blobs = BlobTasks(n_way=2).sample(12, 24, random_state=0)
    result = compare(
        blobs.X,
        np.array(["no", "yes"])[blobs.y],
        blobs.groups,
        learners=["protonet", "ridge_head"],
        baselines=["per-task logistic", "shrunk logistic"],
        n_shot=(4, 8),
        n_repeats=1,
        cv=2,
        learner_params=QUICK,
    )
    assert result.metric == "accuracy"
    assert result.scores["score"].between(0, 1).all()
    assert result.failures == {}


def test_a_candidate_that_fails_is_named_and_the_rest_goes_on():
    result = compare(
        LINES.X,
        LINES.y,
        LINES.groups,
        learners={"broken": RidgeHeadRegressor(backbone=MLP((0,)))},
        baselines={"pooled mean": Pooled(DummyRegressor()), "pooled ridge": Pooled(Ridge())},
        n_shot=5,
        n_repeats=1,
        cv=2,
    )
    assert list(result.failures) == ["broken"]
    assert "hidden_layer_sizes must hold positive" in str(result)
    assert "nothing to compare" in str(result.verdict)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="baselines must be among"):
        compare(LINES.X, LINES.y, LINES.groups, baselines=["pooled magic"], learners=["maml"])
    with pytest.raises(ParameterError, match="learners must be able to do regression, got 'proto"):
        compare(LINES.X, LINES.y, LINES.groups, learners=["protonet"])
    with pytest.raises(ValueError, match="no candidate could be fitted"):
        compare(
            LINES.X,
            LINES.y,
            LINES.groups,
            learners={"broken": RidgeHeadRegressor(backbone=MLP((0,)))},
            baselines={},
            n_shot=5,
            cv=2,
        )


def test_private_classes_are_compared_with_per_task_models():
    classes = BlobTasks(spread=10.0).sample_classes(24, 12, random_state=0)
    y = np.repeat(classes.task_ids, classes.sizes)
    result = compare(
        classes.X.numpy(),
        y,
        y // 6,
        kind="classification",
        label_space="task",
        n_way=3,
        learners=["protonet", "transfer"],
        baselines=["per-task logistic"],
        n_shot=(1, 5),
        n_repeats=1,
        cv=2,
        learner_params=QUICK,
    )
    assert set(result.families) == {"protonet", "transfer", "per-task logistic"}
    assert result.failures == {}
