"""Search for the learner and its hyper-parameters, over tasks."""

from metaskl.search.meta_features import meta_features
from metaskl.search.task_search import TaskSearchCV

__all__ = ["TaskSearchCV", "meta_features"]
