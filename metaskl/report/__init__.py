"""Displays of comparisons, adaptations and searches, and the HTML report."""

from metaskl.report.adaptation import AdaptationDisplay
from metaskl.report.importances import ImportancesDisplay
from metaskl.report.leaderboard import LeaderboardDisplay
from metaskl.report.learning_rates import LearningRatesDisplay
from metaskl.report.page import write_report
from metaskl.report.ranks import CriticalDifferenceDisplay
from metaskl.report.search_history import SearchHistoryDisplay
from metaskl.report.shots import ShotsCurveDisplay
from metaskl.report.task_scores import TaskScoresDisplay

__all__ = [
    "AdaptationDisplay",
    "CriticalDifferenceDisplay",
    "ImportancesDisplay",
    "LeaderboardDisplay",
    "LearningRatesDisplay",
    "SearchHistoryDisplay",
    "ShotsCurveDisplay",
    "TaskScoresDisplay",
    "write_report",
]
