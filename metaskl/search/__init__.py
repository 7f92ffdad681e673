"""Search for the learner and its hyper-parameters, over tasks."""

from metaskl.search.auto import AutoMetaClassifier, AutoMetaRegressor
from metaskl.search.ensemble import TaskEnsemble
from metaskl.search.meta_features import meta_features
from metaskl.search.task_search import TaskSearchCV

__all__ = [
    "AutoMetaClassifier",
    "AutoMetaRegressor",
    "TaskEnsemble",
    "TaskSearchCV",
    "meta_features",
]
