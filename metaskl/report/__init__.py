"""Displays of comparisons and adaptations, and the HTML report."""

from metaskl.report.adaptation import AdaptationDisplay
from metaskl.report.leaderboard import LeaderboardDisplay
from metaskl.report.page import write_report
from metaskl.report.ranks import CriticalDifferenceDisplay
from metaskl.report.shots import ShotsCurveDisplay

__all__ = [
    "AdaptationDisplay",
    "CriticalDifferenceDisplay",
    "LeaderboardDisplay",
    "ShotsCurveDisplay",
    "write_report",
]
