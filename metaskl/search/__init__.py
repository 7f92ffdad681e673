"""Hyper-parameter search over tasks: learners, learning rates, networks, baselines."""

from metaskl.search._optuna import optuna as _optuna  # a clear error where it is missing
from metaskl.search.result import StudyResult
from metaskl.search.spaces import Candidate, decode, distribution_of, search_space_of
from metaskl.search.study import run_study

del _optuna

__all__ = [
    "Candidate",
    "StudyResult",
    "decode",
    "distribution_of",
    "run_study",
    "search_space_of",
]
