import json
import re
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import (
    PerTask,
    Pooled,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    ShrunkRegressor,
    compare,
    cross_validate_tasks,
    registry,
)
from metaskl.backbones import MLP, Conv4
from metaskl.errors import CandidateError, ParameterError, TaskError
from metaskl.evaluation import recommended_learners
from metaskl.evaluation.candidates import family_of, make_baselines, make_learners
from metaskl.evaluation.protocol import make_protocol
from metaskl.learners import MetaLearner
from metaskl.registry import get_learner
from metaskl.tasks import BlobTasks, LinearTasks
from metaskl.testing import registered_learners

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
    assert str(result.verdict).startswith("Verdict: against the baselines given: yes")
    assert "paired over 30 tasks, with" in str(result.verdict)
    assert result.compared
    assert result.families["per-task line"] == "per-task"
    assert result.leaderboard().index[0] == "bayes"
    assert result.lower_is_better
    assert result.verdict.no_gain_over_per_task_from is None


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
    assert "Verdict: against the baselines given: no, " in str(result)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_every_registered_learner_and_baseline_is_compared(kind):
    quick = {"n_shot": 5, "n_repeats": 1, "cv": 2, "learner_params": QUICK}
    quick["n_jobs"] = 2 if kind == "regression" else None
    y = LINES.y if kind == "regression" else (LINES.y > 0).astype(int)
    result = compare(LINES.X, y, LINES.groups, learners="all", **quick)
    learners = {name for name, family in result.families.items() if family == "learner"}
    every = registered_learners(builtin=False)
    assert learners == {name for name, cls in every.items() if kind in cls.kinds} < set(every)
    assert set(result.families) - learners == set(make_baselines(kind))
    assert result.failures == {}
    counts = result.scores.groupby("candidate").size()
    assert counts.nunique() == 1  # the same draws for all
    assert f"pooled {'forest' if kind == 'regression' else 'logistic'}" in str(result)
    assert result.as_dict()["protocol"]["n_tasks"] == 30
    for point in result.as_dict()["curve"]:  # positive, with its bounds in order
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
    said = str(result.verdict)
    assert said.startswith("Verdict: nothing was compared: no learner could be fitted.")
    assert re.search("broken failed: .*hidden_layer_sizes must hold positive", said)
    assert str(result).count("hidden_layer_sizes") == 1
    assert not result.compared
    assert result.as_dict()["verdict"]["compared"] is False
    alone = replace(result, scores=result.scores[result.scores["task"] == 0], seconds={"a": np.inf})
    found = json.loads(json.dumps(alone.as_dict(), allow_nan=False))
    assert (found["curve"][0]["n_tasks"], found["curve"][0]["low"]) == (1, None)
    assert found["seconds"] == {"a": None}


def lines(**changed):
    settings = {"learners": [], "baselines": ["pooled ridge"], "n_shot": 5, "n_repeats": 1, "cv": 2}
    return compare(LINES.X, LINES.y, LINES.groups, **settings | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"baselines": ["pooled rigde"]}, "got 'pooled rigde'. Did you mean 'pooled ridge'"),
        ({"baselines": "pooled rigde"}, "baselines must be among 'per-task ridge'"),
        ({"learners": ["protonet"]}, "learners must be able to do regression, got 'proto"),
        ({"learners": ["mamml"]}, "got 'mamml'. Did you mean 'maml'"),
        ({"learners": {"plain": Ridge()}}, "the candidate 'plain' must be able to adapt"),
        ({"baselines": {"plain": Ridge}}, r"got the class Ridge; give an object, Ridge\(\)"),
        ({"learners": {"pooled ridge": PerTask(Ridge())}}, "got 'pooled ridge' in both"),
        ({"kind": "numbers"}, "kind must be one of"),
        ({"label_space": "own"}, "label_space must be one of"),
        ({"label_space": "task", "kind": "regression"}, "must be 'shared' for regression"),
        ({"learners": [], "baselines": []}, "must name at least one candidate, got .. and .."),
        ({"preprocess": "scale"}, "preprocess must be a transformer"),
        ({"preprocess": StandardScaler}, "preprocess must be a transformer"),
        ({"scoring": "rmse"}, "Did you mean 'neg_root_mean_squared_error'"),
        (
            {"learners": {"own": PerTask(Ridge())}, "learner_params": {"max_epochs": 1}},
            "learner_params must be left out where learners are estimators of your own",
        ),
        (
            {"learners": ["maml"], "learner_params": {"iner_lr": 0.1}},
            "got 'iner_lr'. Did you mean 'inner_lr'",
        ),
        (
            {"learners": ["ridge_head"], "learner_params": {"inner_lr": 0.1}},
            "hyper-parameters of the learners ridge_head, got 'inner_lr'",
        ),
    ],
)
def test_bad_settings_get_one_clear_error(changed, message):
    with pytest.raises(ValueError, match=message):
        lines(**changed)


def test_a_learners_own_parameters_go_to_the_learners_that_have_them():
    mine = {"max_epochs": 1, "inner_lr": 0.3, "noise": 0.7}
    made = make_learners(["maml", "ridge_head"], kind="regression", **mine)
    assert made["maml"].learner_params == {"inner_lr": 0.3}
    assert made["ridge_head"].learner_params == {"noise": 0.7}
    assert {model.max_epochs for model in made.values()} == {1}
    result = lines(learners=["maml", "ridge_head"], learner_params=QUICK | {"inner_lr": 0.3})
    assert result.failures == {}


def test_what_fails_everywhere_is_one_error():
    broken = {"broken": RidgeHeadRegressor(backbone=MLP((0,)))}
    with pytest.raises(CandidateError, match=r"1 were tried:\n  broken failed: .*hidden_layer"):
        lines(learners=broken, baselines={})
    two = {"a": Pooled(Refuses()), "b": Pooled(Refuses())}
    with pytest.raises(CandidateError, match=r"tried:\n  a, b failed: ValueError: no such luck$"):
        lines(baselines=two)


def test_a_preprocessing_that_fails_is_named_once():
    columns = ColumnTransformer([("scaled", StandardScaler(), [7])])
    with pytest.raises(
        CandidateError, match=r"preprocess must fit .* ColumnTransformer raised"
    ) as failure:
        lines(baselines="all", preprocess=columns)
    assert len(str(failure.value)) < 500
    assert "pooled ridge" not in str(failure.value)


class Refuses(DummyRegressor):
    def fit(self, X, y):
        raise ValueError("no such luck\nand more of it")


def test_shot_counts_that_fit_no_task_are_told():
    learner = {"bayes": RidgeHeadRegressor(n_shot=3, random_state=0, **LINEAR)}
    result = lines(learners=learner, baselines=["per-task ridge"], n_shot=(3, 50))
    why = "50 labelled rows: no task is large enough (the largest has 20 rows"
    assert why in str(result.verdict)
    assert result.protocol["n_shot"] == [3]
    assert result.protocol["n_shot_left_out"] == [50]
    head = str(result.verdict).splitlines()[0]
    assert "at 3 labelled rows" in head
    assert "every shot count" not in head
    assert result.verdict.as_dict()["left_out"][0]["n_shot"] == 50


def test_the_tasks_behind_each_shot_count_are_told_where_they_differ():
    keep = (LINES.groups < 10) | (np.arange(len(LINES.y)) % 20 < 8)  # 10 tasks of 20 rows, 20 of 8
    result = compare(
        LINES.X[keep],
        LINES.y[keep],
        LINES.groups[keep],
        learners={"none": PerTask(LinearRegression())},
        baselines=["pooled ridge"],
        n_shot=(3, 12),
        n_repeats=1,
    )
    few, many = [d.n_tasks for d in result.verdict.against_baselines]
    assert (few, many) == (30, 10)
    assert "] over 30 tasks." in str(result.verdict)
    assert "] over 10 tasks." in str(result.verdict)
    assert "paired over as many tasks as each line names" in str(result.verdict)


def test_seconds_are_kept_and_shown(capsys):
    result = lines(baselines=["pooled ridge", "per-task ridge"], verbose=1)
    assert set(result.seconds) == {"pooled ridge", "per-task ridge"}
    for name, seconds in result.seconds.items():
        part = result.scores[result.scores["candidate"] == name].drop_duplicates("fold")
        assert seconds == pytest.approx(part[["fit_time", "score_time"]].to_numpy().sum())
        assert seconds > 0
    assert result.leaderboard()[("", "seconds")].to_dict() == result.seconds
    told = capsys.readouterr()
    assert re.search(r"per-task ridge took \d+\.\d s", told.err)
    assert told.out == ""


def test_a_comparison_shows_itself_in_a_notebook():
    result = lines(baselines={"<ours>": PerTask(Ridge())})
    assert repr(result) == str(result)
    assert "mean [95 % interval over tasks]" in repr(result)
    page = result._repr_html_()
    assert "<table" in page
    assert "&lt;ours&gt;" in page
    assert "<ours>" not in page
    assert "Verdict: there is nothing to compare" in page


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_every_baseline_is_in_the_guide(kind):
    guide = Path(__file__).parents[2] / "docs" / "guide" / "verdict.md"
    text = guide.read_text("utf-8")
    assert [name for name in make_baselines(kind) if f"`{name}`" not in text] == []


def test_families_are_told_by_what_a_model_is():
    scaled = make_pipeline(StandardScaler(), PerTask(Ridge()))
    assert family_of(scaled) == "per-task"
    assert family_of(Pooled(Ridge())) == "pooled"
    assert family_of(ShrunkRegressor(Ridge())) == "shrunk"
    assert family_of(PerTask(RidgeHeadRegressor())) == "baseline"
    held = TransformedTargetRegressor(RidgeHeadRegressor())
    assert family_of(PerTask(held)) == "baseline"


def test_fractions_and_counts_go_together():
    result = lines(n_shot=(0.5, 5), holdout="rows", baselines=["pooled ridge", "per-task ridge"])
    assert "50% rows" in str(result)
    assert " 5 rows" in str(result)
    assert "500%" not in str(result)


class Faulty(MetaLearner):
    """A learner of somebody else's, which breaks when it is used."""

    def __init__(self, backbone, n_outputs, *, kind, private_labels=False, n_pool_classes=0):
        super().__init__(backbone, n_outputs, kind=kind, private_labels=private_labels)
        self.backbone = backbone

    def adapt(self, X_support, y_support, weight=None):
        raise RuntimeError("this learner is broken\nand says much about it")

    def predict(self, adapted, X_query):
        return X_query


def test_a_broken_plugin_is_named_and_the_rest_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_session", {})
    registry.register("faulty", Faulty)
    info = tmp_path / "metaskl_torn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metaskl-torn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[metaskl.learners]\ntorn = metaskl_torn:Torn\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = lines(learners="all", learner_params=QUICK)
    assert set(result.failures) == {"faulty", "metaskl-torn:torn"}
    assert "this learner is broken" in result.failures["faulty"]
    assert "No module named 'metaskl_torn'" in result.failures["metaskl-torn:torn"]
    assert {"maml", "ridge_head", "pooled ridge"} <= set(result.families)
    assert result.compared
    assert re.search(r"faulty failed: RuntimeError: this learner is broken$", str(result), re.M)


def test_a_baseline_that_failed_is_a_condition_of_the_verdict():
    learner = {"bayes": RidgeHeadRegressor(n_shot=3, random_state=0, **LINEAR)}
    baselines = {"bad": Pooled(Refuses()), "pooled ridge": Pooled(Ridge())}
    result = lines(learners=learner, baselines=baselines, n_shot=3)
    start = "Verdict: against those of the baselines given that could be fitted: "
    assert str(result.verdict).startswith(start)


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


def test_all_classes_of_a_held_out_task():
    groups = np.where(LETTER < 5, 0, np.where(LETTER < 12, 1, 2 + LETTER % 3))  # 5, 7, 4, 4, 4
    result = compare(
        LETTERS.X.numpy(),
        LETTER,
        groups,
        **OWN | {"n_way": "all"},
        learners=["protonet", "maml"],
        baselines=["per-task logistic"],
        learner_params=QUICK | {"n_way": 4},
        n_repeats=1,
    )
    assert result.protocol["n_way"] == "all"
    scores = result.scores.query("candidate == 'protonet'").set_index("task")
    assert scores["n_support"].to_dict() == {0: 10, 1: 14, 2: 8, 3: 8, 4: 8}
    assert set(result.scores["candidate"]) == {"protonet", "per-task logistic"}
    assert "at most n_way=4 classes" in result.failures["maml"]


@pytest.mark.parametrize("asked", [{"label_space": "task"}, {"kind": "classification"}])
def test_numbers_with_fractions_are_no_classes(asked):
    y = LETTER + 0.5 * (LETTER % 2)
    with pytest.raises(ValueError, match=r"Unknown label type: continuous.*classifier"):
        compare(LETTERS.X.numpy(), y, LETTER // 6, **asked)


def test_learners_train_by_as_many_classes_as_a_training_task_of_each_fold_has():
    sizes = {0: 5, 1: 4, 2: 3, 3: 3, 4: 3}  # where task 0 is held out, 4 are the most
    groups = np.repeat([*sizes], [*sizes.values()])
    few = np.isin(LETTER, np.arange(18))
    protocol = make_protocol(
        LETTERS.X.numpy()[few],
        LETTER[few],
        groups[LETTER[few]],
        n_shot=2,
        n_repeats=1,
        cv=5,
        holdout="tasks",
        scoring=None,
        kind="auto",
        label_space="task",
        n_way="all",
        random_state=0,
    )
    found, _ = protocol.candidates(["protonet"], [], None, None)
    assert found["protonet"].n_way == 4
    found, _ = protocol.candidates(["protonet"], [], {"n_way": 3}, None)
    assert found["protonet"].n_way == 3


def test_a_candidate_whose_query_rows_inform_each_other_is_told():
    rng = np.random.default_rng(0)
    X, y, groups = rng.normal(size=(48, 1, 8, 8)), np.tile([0, 1], 24), np.repeat(range(4), 12)
    small = {"max_epochs": 1, "steps_per_epoch": 1, "allow_single_class": True}
    learners = {
        norm: PerTask(
            ProtoNetClassifier(backbone=Conv4(n_channels=8, norm=norm, n_blocks=2), **small)
        )
        for norm in ("group", "batch_statistics")
    }
    result = compare(X, y, groups, learners=learners, baselines=[], n_shot=4, cv=2, n_repeats=1)
    assert result.protocol["transductive"]
    assert result.protocol["transductive_candidates"] == ["batch_statistics"]
    scores = cross_validate_tasks(learners["group"], X, y, groups, n_shot=4, cv=2)
    assert not scores.attrs["transductive"]


@pytest.mark.parametrize(
    ("kind", "label_space"),
    [("regression", "shared"), ("classification", "shared"), ("classification", "task")],
)
def test_recommended_learners_can_do_what_they_are_recommended_for(kind, label_space):
    names = recommended_learners(kind, label_space=label_space)
    assert len(set(names)) == 5
    assert all(kind in get_learner(name).kinds for name in names)


def test_the_recommended_learners_are_the_default():
    result = lines(learners="recommended", learner_params=QUICK, baselines=["pooled ridge"])
    learners = {name for name, family in result.families.items() if family == "learner"}
    assert learners == set(recommended_learners("regression"))
    assert signature(compare).parameters["learners"].default == "recommended"


LETTERS = BlobTasks().sample_classes(24, 12, random_state=0)
LETTER = np.repeat(LETTERS.task_ids, LETTERS.sizes)
OWN = {"label_space": "task", "n_way": 3, "kind": "classification", "n_shot": 2, "cv": 2}


def test_groups_that_are_the_class_itself_are_told():
    with pytest.raises(TaskError, match="one class a group only: they name the class itself"):
        compare(LETTERS.X.numpy(), LETTER, LETTER, **OWN)


def test_a_forgotten_label_space_is_told_before_any_fit():
    with pytest.raises(TaskError, match=r"each class lies in one task only.*label_space='task'"):
        compare(LETTERS.X.numpy(), LETTER, LETTER // 6, kind="classification")


@pytest.mark.parametrize("learners", [[RidgeHeadRegressor()], RidgeHeadRegressor()])
def test_estimators_without_a_name_are_told_of_the_dict(learners):
    with pytest.raises(ParameterError, match=r"learners=\{'mine': RidgeHeadRegressor\(\.\.\.\)\}"):
        lines(learners=learners)


def test_gaps_are_told_of_preprocess():
    X = LINES.X.copy()
    X[3, 0] = np.nan
    settings = {"n_shot": 5, "cv": 2, "n_repeats": 1, "learner_params": QUICK}
    baselines = ["pooled ridge", "pooled forest"]
    result = compare(
        X, LINES.y, LINES.groups, learners=["ridge_head"], baselines=baselines, **settings
    )
    told = "contains NaN. Fill the gaps for every candidate alike with preprocess=SimpleImputer"
    assert told in str(result)
    assert list(result.families) == ["pooled forest"]


def test_one_row_is_a_row_and_an_accuracy_is_at_most_1():
    classes = np.repeat([0, 1], 30)
    rows = np.column_stack([classes, np.zeros(60)]).astype(float)
    rows[0, 0] = 1.0  # one mistake in one of three tasks: a mean near 1, an interval beyond it
    groups = np.tile([0, 1, 2], 20)
    result = compare(
        rows,
        classes,
        groups,
        learners=[],
        baselines=["pooled logistic"],
        n_shot=1,
        cv=3,
        kind="classification",
    )
    assert " 1 row\n" in str(result)
    (best,) = result.leaderboard()[1].itertuples()
    assert best.mean < 1.0
    assert best.high == 1.0
    assert result.as_dict()["curve"][0]["high"] == 1.0
