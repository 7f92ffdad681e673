"""How to adapt: one algorithm a file, a torch module each."""

from metaskl.learners.base import Adapted, MetaLearner

__all__ = ["Adapted", "MetaLearner"]
