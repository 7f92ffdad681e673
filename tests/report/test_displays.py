import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.linear_model import Ridge

from metaskl import PerTask, cross_validate_tasks
from metaskl.errors import ParameterError
from metaskl.evaluation import shots_curve
from metaskl.evaluation.comparison import four_digits
from metaskl.report import LeaderboardDisplay, ShotsCurveDisplay
from metaskl.report.display import (
    PALETTE,
    QUIET,
    per_class,
    robust_limits,
    shots_text,
    spread,
)
from metaskl.tasks import LinearTasks


def test_lines_are_the_shots_curve_with_errors_shown_positive(comparison, errors):
    display = ShotsCurveDisplay.from_comparison(comparison, bands=True)
    curve = shots_curve(comparison.scores, by="candidate").set_index("candidate")
    for name, by_shot in errors.items():
        line, band = display.lines_[name], display.bands_[name]
        assert line.get_xdata().tolist() == [5, 20]
        np.testing.assert_allclose(line.get_ydata(), [np.mean(v) for v in by_shot.values()])
        np.testing.assert_allclose(line.get_ydata(), -curve.loc[name, "mean"])
        corners = band.get_paths()[0].vertices
        for n_shot, low, high in zip(
            (5, 20), -curve.loc[name, "high"], -curve.loc[name, "low"], strict=True
        ):
            drawn = corners[corners[:, 0] == n_shot, 1]
            np.testing.assert_allclose((drawn.min(), drawn.max()), (low, high))


def test_scores_that_are_no_errors_keep_their_sign(make_scores):
    scores = make_scores().query("candidate == 'maml'").drop(columns="candidate")
    display = ShotsCurveDisplay.from_scores(scores, name="mine", metric="R²")
    np.testing.assert_allclose(display.lines_["mine"].get_ydata(), [-2, -1])
    assert display.ax_.get_ylabel() == "R² (higher is better)"


def test_learners_are_told_from_baselines_by_line_and_colour(comparison):
    lines = ShotsCurveDisplay.from_comparison(comparison).lines_
    looks = {name: (line.get_linestyle(), line.get_color()) for name, line in lines.items()}
    assert looks == {
        "maml": ("-", PALETTE[0]),
        "pooled ridge": (":", QUIET),
        "per-task ridge": ("--", QUIET),
    }


def test_a_candidate_looks_the_same_in_every_figure():
    families = {"maml": "learner", "per-task ridge": "per-task", "ridge_head": "learner"}
    # In each figure the candidates stand in another order.
    worst_first = dict.fromkeys(reversed(families), 1.0)
    curve = pd.DataFrame(
        [
            {"candidate": name, "n_shot": k, "mean": 1.0, "low": 0.5, "high": 1.5}
            for name in families
            for k in (5, 10)
        ]
    )
    table = pd.DataFrame(
        {"family": families, "mean": worst_first, "low": worst_first, "high": worst_first}
    ).loc[list(worst_first)]
    lines = ShotsCurveDisplay(curve, families).plot().lines_
    points = LeaderboardDisplay(table, 5).plot().points_
    found = {
        name: {(drawn.get_color(), drawn.get_marker()) for drawn in (lines[name], points[name][0])}
        for name in families
    }
    assert found == {
        "maml": {(PALETTE[0], "o")},
        "ridge_head": {(PALETTE[1], "s")},
        "per-task ridge": {(QUIET, "^")},
    }


def test_scores_of_cross_validation_bring_their_metric_and_sign():
    lines = LinearTasks().sample(6, 20, random_state=0)
    shots = (5, 10)
    scores = cross_validate_tasks(
        PerTask(Ridge()), lines.X, lines.y, lines.groups, cv=2, n_shot=shots
    )
    display = ShotsCurveDisplay.from_scores(scores)
    assert display.ax_.get_ylabel() == "root mean squared error (lower is better)"
    assert (display.curve["mean"] > 0).all()


def test_rows_of_each_class_are_called_so(make_scores):
    scores = make_scores({"protonet": {1: (1, 1, 1), 5: (2, 2, 2)}})
    scores["n_support"] = 5 * scores["n_shot"]
    assert ShotsCurveDisplay.from_scores(scores).ax_.get_xlabel() == "labelled rows of each class"
    assert per_class(scores)
    assert not per_class(scores.assign(n_support=scores["n_shot"]))
    assert not per_class(scores.assign(n_shot=0.5))
    assert shots_text(1, per_class=True) == "1 row of each class"
    assert [shots_text(k) for k in (1, 5, 0.25)] == ["1 row", "5 rows", "25% of rows"]


def test_every_line_is_named_and_the_metric_is_on_the_axis(comparison, errors):
    ax = ShotsCurveDisplay.from_comparison(comparison).ax_
    assert {text.get_text() for text in ax.texts} == set(errors)
    assert ax.get_ylabel() == "root mean squared error (lower is better)"
    assert ax.get_xlabel() == "labelled rows of the task"


def many_candidates(n_candidates, gap):
    curve = [
        {"candidate": f"per-task model {i}", "n_shot": k, "mean": 1 + gap * i, "low": 1, "high": 2}
        for i in range(n_candidates)
        for k in (5, 10, 40)
    ]
    families = {row["candidate"]: "per-task" for row in curve}
    return ShotsCurveDisplay(pd.DataFrame(curve), families).plot()


def test_names_do_not_overlap_however_close_the_lines_are():
    display = many_candidates(14, gap=1e-3)
    canvas = FigureCanvasAgg(display.figure_)
    canvas.draw()
    boxes = sorted(
        (Text.get_window_extent(text, canvas.get_renderer()) for text in display.ax_.texts),
        key=lambda box: box.y0,
    )
    # The boxes hold room for accents and descenders; a quarter of it may be shared.
    for below, above in itertools.pairwise(boxes):
        assert above.y0 - below.y0 > 0.75 * below.height
    assert all(box.x1 <= display.figure_.bbox.x1 for box in boxes)


def test_the_axis_is_logarithmic_where_that_helps():
    display = many_candidates(2, gap=1.0)
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "labelled rows of the task, log scale"
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["5", "10", "40"]


def test_fractions_of_rows_are_shown_as_percentages(make_scores):
    scores = make_scores({"maml": {0.1: (1, 2, 3), 0.5: (1, 1, 1)}})
    ax = ShotsCurveDisplay.from_scores(scores, lower_is_better=True).ax_
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10%", "50%"]


def test_the_bands_of_the_best_are_whole_and_changing_numbers_of_tasks_are_told():
    mean = {"maml": (1.0, 0.9), "pooled ridge": (1.1, 1.0), "per-task ridge": (9.0, 1.5)}
    curve = [
        {"candidate": name, "n_shot": k, "mean": value, "low": value - 0.6, "high": value + 0.6}
        | {"n_tasks": n_tasks}
        for name, values in mean.items()
        for k, value, n_tasks in zip((3, 10), values, (37, 14), strict=True)
    ]
    families = {"maml": "learner", "pooled ridge": "pooled", "per-task ridge": "per-task"}
    ax = ShotsCurveDisplay(pd.DataFrame(curve), families, lower_is_better=True).plot().ax_
    assert [label.get_text() for label in ax.get_xticklabels()] == ["3\n37 tasks", "10\n14 tasks"]
    low, high = ax.get_ylim()
    assert low <= 0.9 - 0.6
    assert 1.1 + 0.6 <= high < 9


def test_many_candidates_get_the_bands_of_the_best_two_only(make_scores):
    errors = {f"pooled {i}": {5: (i, i, i + 1)} for i in range(2, 6)}
    errors |= {"maml": {5: (1, 2, 3)}, "worse": {5: (7, 8, 9)}}
    families = {name: "pooled" if name.startswith("pooled") else "learner" for name in errors}
    drawn = {
        bands: set(
            ShotsCurveDisplay.from_scores(
                make_scores(errors), families=families, lower_is_better=True, bands=bands
            ).bands_
        )
        for bands in ("auto", True, False)
    }
    assert drawn == {"auto": {"maml", "pooled 2"}, True: set(errors), False: set()}


def test_a_hopeless_candidate_does_not_flatten_the_others(make_scores):
    errors = {f"pooled {i}": {5: (i, i, i + 1)} for i in range(1, 5)}
    errors["per-task"] = {5: (1e6, 1e6, 1e6)}
    display = ShotsCurveDisplay.from_scores(make_scores(errors), lower_is_better=True)
    assert display.ax_.get_ylim()[1] < 20
    assert "per-task (off the axis)" in [text.get_text() for text in display.ax_.texts]


def test_bands_must_be_known(make_scores):
    with pytest.raises(ParameterError, match="bands must be True, False or 'auto', got 'all'"):
        ShotsCurveDisplay.from_scores(make_scores(), bands="all")


def test_the_leaderboard_shows_means_and_intervals_from_best_to_worst(comparison, errors):
    display = LeaderboardDisplay.from_comparison(comparison)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["maml", "pooled ridge", "per-task ridge"]
    board = comparison.leaderboard()[5]
    for place, name in enumerate(labels):
        point, _, (bar,) = display.points_[name]
        np.testing.assert_allclose(point.get_xydata(), [[np.mean(errors[name][5]), place]])
        ends = bar.get_segments()[0][:, 0]
        np.testing.assert_allclose(ends, board.loc[name, ["low", "high"]].to_list())
    assert display.ax_.get_xlabel() == (
        "root mean squared error with 5 rows labelled (lower is better)"
    )
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["learner", "pooled", "per-task"]


def test_the_leaderboard_of_another_shot_count(comparison):
    display = LeaderboardDisplay.from_comparison(comparison, n_shot=20)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [
        "maml",
        "per-task ridge",
        "pooled ridge",
    ]
    with pytest.raises(ParameterError, match=r"n_shot must be one of \[5, 20\], got 7"):
        LeaderboardDisplay.from_comparison(comparison, n_shot=7)


@pytest.mark.parametrize("display", [ShotsCurveDisplay, LeaderboardDisplay])
def test_displays_draw_where_they_are_told_and_leave_pyplot_alone(display, comparison):
    before = pyplot.get_fignums()
    ax = Figure().add_subplot()
    drawn = display.from_comparison(comparison, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is ax.figure
    assert drawn.plot() is drawn
    assert drawn.ax_ is not ax
    assert drawn._repr_svg_().startswith("<svg")
    assert pyplot.get_fignums() == before


places = st.lists(st.floats(-0.5, 1.5), max_size=20)


@given(places, st.floats(0, 1))
def test_places_are_spread_in_their_order_and_stay_inside(wanted, gap):
    found = spread(wanted, gap)
    assert len(found) == len(wanted)
    assert ((found >= -1e-9) & (found <= 1 + 1e-9)).all()
    if len(wanted) > 1:
        gap = min(gap, 1 / (len(wanted) - 1))
        assert (np.diff(np.sort(found)) >= gap - 1e-9).all()
        order = np.argsort(np.clip(wanted, 0, 1), kind="stable")
        assert (np.diff(found[order]) >= -1e-9).all()


def test_places_are_moved_as_little_as_possible():
    np.testing.assert_allclose(spread([0.5, 0.5], 0.2), [0.4, 0.6])
    np.testing.assert_allclose(spread([0.9, 0.1], 0.2), [0.9, 0.1])
    np.testing.assert_allclose(spread([0.0, 0.0, 0.9], 0.1), [0.0, 0.1, 0.9])
    np.testing.assert_allclose(spread([0.2, 0.1, 0.3], 9), [0.5, 0.0, 1.0])


def test_limits_cut_the_bad_end_only():
    assert robust_limits([1, 2, 3, 4], lower_is_better=True) == (None, None)
    low, high = robust_limits([1, 2, 2, 2, 100], lower_is_better=True)
    assert (low, high) == pytest.approx((0.85, 4))
    assert robust_limits([-1, -2, -2, -2, -100], lower_is_better=False) == pytest.approx(
        (-4, -0.85)
    )
    assert robust_limits([-100, 1, 2, 2, 2], lower_is_better=True) == (None, None)


@pytest.mark.parametrize(
    ("value", "text"), [(10.4, "10.40"), (0.5, "0.5000"), (1234, "1234"), (0.01, "0.01000")]
)
def test_numbers_have_four_digits(value, text):
    assert four_digits(value) == text


@pytest.mark.parametrize(
    ("library", "call"),
    [
        ("matplotlib", "metaskl.report.display.Display()._open(None, 1, 1)"),
        ("jinja2", "metaskl.report.write_report(None, 'report.html')"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(library, call):
    code = f"""
import sys
sys.modules[{library!r}] = None
import metaskl.report
try:
    {call}
except metaskl.errors.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"need {library}, which cannot be imported" in done.stdout
    assert 'pip install "metaskl[report]"' in done.stdout
