import numpy as np
import pandas as pd
import pytest

from metaskl.errors import ParameterError
from metaskl.report import (
    ImportancesDisplay,
    LearningRatesDisplay,
    SearchHistoryDisplay,
    TaskScoresDisplay,
    write_report,
)
from metaskl.search import SearchRecord


def trials(scores=(-3.0, -1.0, -2.0, -0.5), states=("COMPLETE", "COMPLETE", "PRUNED", "COMPLETE")):
    return pd.DataFrame(
        {
            "number": range(len(scores)),
            "candidate": ["pooled ridge", "maml", "maml", "maml"],
            "state": states,
            "score": scores,
            "seconds": 1.0,
            "params": [
                {},
                {"inner_lr": 0.1, "outer_lr": 1e-3},
                {"inner_lr": 0.2, "outer_lr": 1e-3},
                {"step__learner_params__inner_lr": 0.3, "step__outer_lr": 1e-2},
            ],
        }
    )


def test_the_best_so_far_never_falls_and_leaves_pruned_trials_out():
    display = SearchHistoryDisplay(trials(), metric="error", lower_is_better=True).plot()
    assert display.best_.get_ydata().tolist() == [3.0, 1.0, 0.5]
    assert display.best_.get_xdata().tolist() == [0, 1, 3]
    assert display.ax_.get_ylabel() == "error (lower is better)"


def test_the_most_important_comes_first_and_few_are_drawn():
    shares = {f"p{i}": i / 100 for i in range(12)}
    display = ImportancesDisplay(shares, most=3).plot()
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["p11", "p10", "p9"]
    assert [bar.get_width() for bar in display.bars_] == [0.11, 0.10, 0.09]


def test_the_best_rates_are_ringed():
    display = LearningRatesDisplay([0.01, 0.1, 0.5], [1e-3, 1e-2, 1e-4], [-3, -1, -2]).plot()
    assert display.best_ == (0.1, 0.01)
    assert display.ax_.get_xscale() == display.ax_.get_yscale() == "log"


def test_tasks_are_counted_by_their_mean_over_shots(make_scores):
    scores = make_scores()
    display = TaskScoresDisplay.from_scores(scores, "maml", "pooled ridge", lower_is_better=True)
    assert display.n_better_ == 3
    # Over 5 and 20 rows maml has 1, 1.5 and 2, the per-task ridge 3, 4 and 6.5.
    other = TaskScoresDisplay.from_scores(scores, "per-task ridge", "maml")
    assert other.n_better_ == 0
    np.testing.assert_allclose(other.first.to_numpy(), [-3.0, -4.0, -6.5])
    with pytest.raises(ParameterError, match="candidate must be one of"):
        TaskScoresDisplay.from_scores(scores, "maml", "nobody")


def test_rates_are_found_under_any_prefix_and_of_complete_trials_only():
    rates = SearchRecord(trials(), {}, "").rates()
    assert rates.to_numpy().tolist() == [[0.1, 1e-3, -1.0], [0.3, 1e-2, -0.5]]


def test_a_record_comes_back_from_its_text():
    record = SearchRecord(trials(), {"inner_lr": 0.7}, "maml")
    again = SearchRecord.from_text(record.as_text())
    assert again.importances == record.importances
    assert again.learner == "maml"
    pd.testing.assert_frame_equal(again.trials, record.trials)


def test_the_page_shows_what_there_is(comparison, tmp_path):
    many = pd.concat([trials()] * 3, ignore_index=True).assign(number=range(12))
    full = SearchRecord(many, {"inner_lr": 0.7, "outer_lr": 0.3}, "maml")
    page = write_report(comparison, tmp_path / "full.html", search=full).read_text()
    headings = ("How the search went", "What mattered in maml", "Learning rates", "Task by task")
    assert all(f"<h2>{heading}</h2>" in page for heading in headings)
    bare = SearchRecord(trials(), {}, "")
    page = write_report(comparison, tmp_path / "bare.html", search=bare).read_text()
    assert "Learning rates" not in page
    assert "What mattered" not in page
    assert "How the search went" not in write_report(comparison, tmp_path / "no.html").read_text()
