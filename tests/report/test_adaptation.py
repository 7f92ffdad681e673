import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from metaskl import MetaRegressor, PerTask, Pooled, ProtoNetClassifier, RidgeHeadRegressor
from metaskl.errors import ParameterError, TaskError
from metaskl.evaluation.cross_validate import fit_on_tasks
from metaskl.report import AdaptationDisplay
from metaskl.report.views import Curve, DecisionMap, PredictedTrue, ProbabilityBars
from metaskl.tasks import BlobTasks, LinearTasks, SinusoidTasks

QUICK = {"max_epochs": 1, "steps_per_epoch": 5, "random_state": 0}


def lines_by_label(display):
    return {line.get_label(): line for line in display.ax_.lines}


@pytest.fixture(scope="module")
def waves():
    return SinusoidTasks().sample(20, 20, random_state=0)


@pytest.fixture(scope="module")
def bayes(waves):
    return RidgeHeadRegressor(**QUICK).fit(waves.X, waves.y, groups=waves.groups)


def test_one_feature_is_drawn_as_a_curve_with_its_band(waves, bayes):
    support, query = slice(0, 5), slice(5, 20)
    X, y = waves.X, waves.y
    display = AdaptationDisplay.from_estimator(bayes, X[support], y[support], X[query], y[query])
    view = display.view
    assert isinstance(view, Curve)
    assert (view.grid[0], view.grid[-1]) == (X[:20].min(), X[:20].max())
    mean, std = bayes.adapt(X[support], y[support]).predict(view.grid[:, None], return_std=True)
    np.testing.assert_allclose(view.adapted, mean)
    np.testing.assert_allclose(view.std, std)
    np.testing.assert_allclose(view.prior, bayes.predict(view.grid[:, None]))
    drawn = lines_by_label(display)
    np.testing.assert_array_equal(drawn["adapted"].get_ydata(), view.adapted)
    np.testing.assert_array_equal(drawn["before"].get_ydata(), view.prior)
    np.testing.assert_array_equal(drawn["support"].get_xydata()[:, 1], y[support])
    np.testing.assert_array_equal(drawn["query"].get_xydata()[:, 0], X[query, 0])
    band = display.ax_.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx((mean + 1.96 * std).max())


def test_without_standard_deviations_there_is_no_band(waves):
    meta = MetaRegressor(learner="maml", **QUICK).fit(waves.X, waves.y, groups=waves.groups)
    task = waves.X[:5], waves.y[:5], waves.X[5:20]
    display = AdaptationDisplay.from_estimator(meta, *task)
    assert display.view.std is None
    assert len(display.ax_.collections) == 0
    assert "query" not in lines_by_label(display)


def test_a_pipeline_keeps_its_band(waves):
    pipeline = make_pipeline(StandardScaler(), MetaRegressor(learner="ridge_head", **QUICK))
    pipeline = fit_on_tasks(pipeline, waves.X, waves.y, waves.groups)
    display = AdaptationDisplay.from_estimator(pipeline, waves.X[:5], waves.y[:5], waves.X[5:20])
    assert (display.view.std > 0).all()


def test_several_features_are_drawn_as_predicted_against_true():
    lines = LinearTasks(n_features=3).sample(8, 20, random_state=0)
    pooled = Pooled(LinearRegression()).fit(lines.X, lines.y, groups=lines.groups)
    task = lines.X[:5], lines.y[:5], lines.X[5:20]
    display = AdaptationDisplay.from_estimator(pooled, *task, lines.y[5:20])
    assert isinstance(display.view, PredictedTrue)
    np.testing.assert_array_equal(display.view.truth, lines.y[5:20])
    np.testing.assert_allclose(display.view.adapted, pooled.predict(lines.X[5:20]))
    error = np.sqrt(np.mean((display.view.prior - lines.y[5:20]) ** 2))
    assert f"before (RMSE {error:.3g})" in lines_by_label(display)


def test_along_one_of_several_features_the_others_stay_in_the_middle():
    lines = LinearTasks(n_features=3).sample(8, 20, random_state=0)
    pooled = Pooled(LinearRegression()).fit(lines.X, lines.y, groups=lines.groups)
    task = lines.X[:5], lines.y[:5], lines.X[5:20]
    view = AdaptationDisplay.from_estimator(pooled, *task, feature=1).view
    rows = np.tile(np.median(lines.X[:5], axis=0), (200, 1))
    rows[:, 1] = view.grid
    np.testing.assert_allclose(view.adapted, pooled.predict(rows))


def test_a_frame_with_text_is_drawn_along_a_column_of_numbers():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"colour": list("rgb") * 20, "size": rng.normal(size=60)})
    y, school = 2 * frame["size"] + (frame["colour"] == "r"), np.repeat(list("abcdef"), 10)
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = fit_on_tasks(make_pipeline(encode, Pooled(Ridge())), frame, y, school)
    task = frame[:7], y[:7], frame[7:10]
    view = AdaptationDisplay.from_estimator(model, *task, feature="size").view
    assert view.feature == "size"
    rows = pd.DataFrame({"colour": "r", "size": view.grid})
    np.testing.assert_allclose(view.adapted, model.predict(rows))
    with pytest.raises(ParameterError, match="feature must be numeric, got 'colour'"):
        AdaptationDisplay.from_estimator(model, *task, feature="colour")


@pytest.fixture(scope="module")
def blobs():
    return BlobTasks().sample(12, 40, random_state=0)


def test_classes_over_two_features_are_drawn_as_a_map(blobs):
    model = PerTask(LogisticRegression()).fit(blobs.X, blobs.y, groups=blobs.groups)
    new = BlobTasks().sample(1, 40, random_state=1)
    task = new.X[:12], new.y[:12], new.X[12:], new.y[12:]
    display = AdaptationDisplay.from_estimator(model, *task)
    view = display.view
    assert isinstance(view, DecisionMap)
    adapted = model.adapt(new.X[:12], new.y[:12])
    for row, column in [(0, 0), (149, 3), (70, 149)]:
        point = [[view.grid[0][column], view.grid[1][row]]]
        assert view.classes[view.adapted[row, column]] == adapted.predict(point)[0]
    assert view.grid[0].min() < new.X[:, 0].min() < new.X[:, 0].max() < view.grid[0].max()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[:3] == ["0", "1", "2"]


def test_other_classes_are_drawn_as_bars(blobs):
    X = np.column_stack([blobs.X, blobs.X[:, 0]])
    model = Pooled(LogisticRegression()).fit(X, blobs.y, groups=blobs.groups)
    display = AdaptationDisplay.from_estimator(model, X[:9], blobs.y[:9], X[9:79], blobs.y[9:79])
    view = display.view
    assert isinstance(view, ProbabilityBars)
    assert len(view.labels) == 40
    rows = np.linspace(0, 69, 40).astype(int) + 9
    expected = model.predict_proba(X[rows])[np.arange(40), blobs.y[rows]]
    np.testing.assert_allclose(view.adapted, expected)
    np.testing.assert_allclose(view.prior, expected)
    heights = [bar.get_height() for bar in display.ax_.patches]
    np.testing.assert_allclose(np.sort(heights), np.sort(expected))
    assert display.ax_.get_xlabel() == "40 of 70 query rows, by true class"


def test_without_true_classes_bars_show_the_predicted_ones(blobs):
    model = Pooled(LogisticRegression()).fit(blobs.X, blobs.y, groups=blobs.groups)
    task = blobs.X[:9], blobs.y[:9], blobs.X[9:20]
    view = AdaptationDisplay.from_estimator(model, *task, kind="bars").view
    np.testing.assert_array_equal(view.labels, model.predict(blobs.X[9:20]))
    np.testing.assert_allclose(view.adapted, model.predict_proba(blobs.X[9:20]).max(axis=1))


def test_private_classes_have_nothing_before_adapting():
    classes = BlobTasks().sample_classes(8, 12, random_state=0)
    X, y = classes.X.numpy(), np.array([f"c{i}" for i in np.repeat(classes.task_ids, 12)])
    meta = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(X, y)
    rows = np.arange(36)
    support, query = rows[rows % 12 < 4], rows[rows % 12 >= 4]
    for kind in ("map", "bars"):
        view = AdaptationDisplay.from_estimator(
            meta, X[support], y[support], X[query], y[query], kind=kind
        ).view
        assert view.prior is None


def test_a_task_is_held_out_and_adapted_to():
    # Every task is a constant of its own: a pooled model cannot know the one held out.
    X, school = np.zeros((30, 1)), np.repeat([1, 2, 3], 10)
    X[:, 0] = np.tile(np.arange(10), 3)
    y = np.repeat([0.0, 10.0, 500.0], 10)
    display = AdaptationDisplay.from_task(
        PerTask(Ridge()), X, y, school, task=3, n_shot=4, ax=Figure().add_subplot()
    )
    assert display.title == "Task 3, adapted to 4 of its rows"
    np.testing.assert_allclose(display.view.prior, 5, atol=1e-6)
    np.testing.assert_allclose(display.view.adapted, 500)
    assert len(display.view.support[0]) == 4
    assert len(display.view.query[0]) == 6


def test_a_task_of_middle_size_is_chosen():
    sizes = {"a": 4, "b": 30, "c": 12, "d": 20}
    school = np.repeat(list(sizes), list(sizes.values()))
    X = np.arange(len(school), dtype=float)[:, None]
    display = AdaptationDisplay.from_task(PerTask(Ridge()), X, X[:, 0], school, n_shot=5)
    assert display.title == "Task d, adapted to 5 of its rows"


def test_the_task_must_be_there():
    X, school = np.arange(20.0)[:, None], np.repeat(["a", "b"], 10)
    with pytest.raises(TaskError, match="task 'z' must be there with more than n_shot=5 rows"):
        AdaptationDisplay.from_task(Pooled(Ridge()), X, X[:, 0], school, task="z")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pie", r"kind must be one of \('auto', .*\), got 'pie'"),
        ("map", r"got 'map' for a RidgeHeadRegressor .* \['curve', 'predicted-true'\] can be"),
    ],
)
def test_the_kind_must_fit(kind, message, waves, bayes):
    task = waves.X[:5], waves.y[:5], waves.X[5:9], waves.y[5:9]
    with pytest.raises(ParameterError, match=message):
        AdaptationDisplay.from_estimator(bayes, *task, kind=kind)
