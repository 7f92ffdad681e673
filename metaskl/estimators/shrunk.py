"""The shrunk estimators: between one model for all tasks and one for each."""

from metaskl.estimators.shrunk_classifier import ShrunkClassifier
from metaskl.estimators.shrunk_regressor import ShrunkRegressor

__all__ = ["ShrunkClassifier", "ShrunkRegressor"]
