"""The figures of a search, for the report's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaskl.report.display import Display
from metaskl.report.importances import ImportancesDisplay
from metaskl.report.learning_rates import LearningRatesDisplay
from metaskl.report.search_history import SearchHistoryDisplay
from metaskl.report.task_scores import TaskScoresDisplay

if TYPE_CHECKING:
    from metaskl.evaluation import Comparison
    from metaskl.search.record import SearchRecord

# Fewer points than this make no landscape.
_FEW_POINTS = 5


def search_figures(
    comparison: Comparison, search: SearchRecord
) -> list[tuple[Display, dict[str, str]]]:
    """Return each figure of a search, with its heading and caption.

    Parameters
    ----------
    comparison : Comparison
        What the search found.
    search : SearchRecord
        What it did.

    Returns
    -------
    list of (Display, dict)
        Those for which there is enough to draw.
    """
    metric: dict[str, Any] = {
        "metric": comparison.metric,
        "lower_is_better": comparison.lower_is_better,
    }
    found: list[tuple[Display, dict[str, str]]] = []
    families = {name.partition(" #")[0]: kind for name, kind in comparison.families.items()}
    if search.trials["score"].notna().any():
        found.append(
            (
                SearchHistoryDisplay(search.trials, families, **metric).plot(),
                {
                    "heading": "How the search went",
                    "caption": "Meta-validation score of each trial: baselines and learners as "
                    "they are come first. Hollow: given up early, at what it had reached.",
                },
            )
        )
    if search.importances:
        found.append(
            (
                ImportancesDisplay(search.importances).plot(),
                {
                    "heading": f"What mattered in {search.learner}",
                    "caption": "Importance of its hyper-parameters over its trials (PED-ANOVA).",
                },
            )
        )
    rates = search.rates()
    if len(rates) >= _FEW_POINTS:
        display = LearningRatesDisplay(*(rates[name] for name in rates), **metric).plot()
        caption = "Each point is a trial of a learner that has both."
        found.append((display, {"heading": "Learning rates", "caption": caption}))
    return found + _against_baseline(comparison, metric)


def _against_baseline(
    comparison: Comparison, metric: dict[str, Any]
) -> list[tuple[Display, dict[str, str]]]:
    """Return the best learner against the best baseline, task by task, if there are both."""
    order = [str(name) for name in comparison.leaderboard().index]
    learners = [name for name in order if comparison.families[name] == "learner"]
    baselines = [name for name in order if comparison.families[name] != "learner"]
    if not learners or not baselines:
        return []
    display = TaskScoresDisplay.from_scores(comparison.scores, learners[0], baselines[0], **metric)
    caption = (
        f"{learners[0]} against {baselines[0]}: each point is a task, its mean over shot counts "
        "and draws."
    )
    return [(display, {"heading": "Task by task", "caption": caption})]
