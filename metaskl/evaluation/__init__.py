"""Evaluation over tasks, with baselines and a verdict."""

from metaskl.evaluation.candidates import recommended_learners
from metaskl.evaluation.class_sets import class_sets
from metaskl.evaluation.compare import compare
from metaskl.evaluation.comparison import Comparison
from metaskl.evaluation.cross_validate import cross_validate_tasks
from metaskl.evaluation.curve import shots_curve
from metaskl.evaluation.differences import Difference
from metaskl.evaluation.episodes import episode_scores
from metaskl.evaluation.flatten import Flatten
from metaskl.evaluation.ranking import Ranking, rank_candidates
from metaskl.evaluation.scorer import FewShotScorer
from metaskl.evaluation.verdict import Verdict

__all__ = [
    "Comparison",
    "Difference",
    "FewShotScorer",
    "Flatten",
    "Ranking",
    "Verdict",
    "class_sets",
    "compare",
    "cross_validate_tasks",
    "episode_scores",
    "rank_candidates",
    "recommended_learners",
    "shots_curve",
]
