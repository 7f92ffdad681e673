"""Hyper-parameter search over tasks: learners, learning rates, networks, baselines."""

from metaskl.search._optuna import optuna as _optuna  # a clear error where it is missing
from metaskl.search.auto import AutoMetaClassifier, AutoMetaRegressor
from metaskl.search.ensemble import TaskEnsemble
from metaskl.search.meta_features import meta_features
from metaskl.search.record import SearchRecord
from metaskl.search.result import StudyResult
from metaskl.search.spaces import Candidate, decode, distribution_of, search_space_of
from metaskl.search.study import run_study
from metaskl.search.task_search import TaskSearchCV

del _optuna

__all__ = [
    "AutoMetaClassifier",
    "AutoMetaRegressor",
    "Candidate",
    "SearchRecord",
    "StudyResult",
    "TaskEnsemble",
    "TaskSearchCV",
    "decode",
    "distribution_of",
    "meta_features",
    "run_study",
    "search_space_of",
]
