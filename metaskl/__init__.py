"""Learn from many related small data sets, the scikit-learn way.

Importing this package is cheap: a public name is imported when it is first asked for, so
that torch loads only with a learner and optuna, dask and matplotlib only with what needs them.

Examples
--------
>>> import metaskl
>>> "compare" in dir(metaskl)
True
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaskl.estimators.adapt import adapt as adapt
    from metaskl.estimators.adapted import AdaptedClassifier as AdaptedClassifier
    from metaskl.estimators.adapted import AdaptedRegressor as AdaptedRegressor
    from metaskl.estimators.generic import MetaClassifier as MetaClassifier
    from metaskl.estimators.generic import MetaRegressor as MetaRegressor
    from metaskl.estimators.in_context import InContextClassifier as InContextClassifier
    from metaskl.estimators.in_context import InContextRegressor as InContextRegressor
    from metaskl.estimators.maml import MAMLClassifier as MAMLClassifier
    from metaskl.estimators.maml import MAMLRegressor as MAMLRegressor
    from metaskl.estimators.matching import MatchingClassifier as MatchingClassifier
    from metaskl.estimators.matching import MatchingRegressor as MatchingRegressor
    from metaskl.estimators.per_task import PerTask as PerTask
    from metaskl.estimators.pooled import Pooled as Pooled
    from metaskl.estimators.protonet import ProtoNetClassifier as ProtoNetClassifier
    from metaskl.estimators.relation import RelationClassifier as RelationClassifier
    from metaskl.estimators.ridge_head import RidgeHeadClassifier as RidgeHeadClassifier
    from metaskl.estimators.ridge_head import RidgeHeadRegressor as RidgeHeadRegressor
    from metaskl.estimators.shrunk import ShrunkClassifier as ShrunkClassifier
    from metaskl.estimators.shrunk import ShrunkRegressor as ShrunkRegressor
    from metaskl.estimators.simpleshot import SimpleShotClassifier as SimpleShotClassifier
    from metaskl.estimators.transfer import TransferClassifier as TransferClassifier
    from metaskl.estimators.transfer import TransferRegressor as TransferRegressor
    from metaskl.evaluation.compare import compare as compare
    from metaskl.evaluation.cross_validate import cross_validate_tasks as cross_validate_tasks
    from metaskl.evaluation.curve import shots_curve as shots_curve
    from metaskl.evaluation.scorer import FewShotScorer as FewShotScorer
    from metaskl.persistence import load as load
    from metaskl.persistence import save as save

__version__ = "0.1.0"

__all__ = [
    "AdaptedClassifier",
    "AdaptedRegressor",
    "FewShotScorer",
    "InContextClassifier",
    "InContextRegressor",
    "MAMLClassifier",
    "MAMLRegressor",
    "MatchingClassifier",
    "MatchingRegressor",
    "MetaClassifier",
    "MetaRegressor",
    "PerTask",
    "Pooled",
    "ProtoNetClassifier",
    "RelationClassifier",
    "RidgeHeadClassifier",
    "RidgeHeadRegressor",
    "ShrunkClassifier",
    "ShrunkRegressor",
    "SimpleShotClassifier",
    "TransferClassifier",
    "TransferRegressor",
    "__version__",
    "adapt",
    "compare",
    "cross_validate_tasks",
    "load",
    "save",
    "shots_curve",
]

_HOMES = {
    "AdaptedClassifier": "metaskl.estimators.adapted",
    "AdaptedRegressor": "metaskl.estimators.adapted",
    "FewShotScorer": "metaskl.evaluation.scorer",
    "InContextClassifier": "metaskl.estimators.in_context",
    "InContextRegressor": "metaskl.estimators.in_context",
    "MAMLClassifier": "metaskl.estimators.maml",
    "MAMLRegressor": "metaskl.estimators.maml",
    "MatchingClassifier": "metaskl.estimators.matching",
    "MatchingRegressor": "metaskl.estimators.matching",
    "MetaClassifier": "metaskl.estimators.generic",
    "MetaRegressor": "metaskl.estimators.generic",
    "PerTask": "metaskl.estimators.per_task",
    "Pooled": "metaskl.estimators.pooled",
    "ProtoNetClassifier": "metaskl.estimators.protonet",
    "RelationClassifier": "metaskl.estimators.relation",
    "RidgeHeadClassifier": "metaskl.estimators.ridge_head",
    "RidgeHeadRegressor": "metaskl.estimators.ridge_head",
    "ShrunkClassifier": "metaskl.estimators.shrunk",
    "ShrunkRegressor": "metaskl.estimators.shrunk",
    "SimpleShotClassifier": "metaskl.estimators.simpleshot",
    "TransferClassifier": "metaskl.estimators.transfer",
    "TransferRegressor": "metaskl.estimators.transfer",
    "adapt": "metaskl.estimators.adapt",
    "compare": "metaskl.evaluation.compare",
    "cross_validate_tasks": "metaskl.evaluation.cross_validate",
    "load": "metaskl.persistence",
    "save": "metaskl.persistence",
    "shots_curve": "metaskl.evaluation.curve",
}

# Without this, `metaskl.datasets` would work or not depending on what ran before.
_ROOMS = frozenset(
    {"backbones", "datasets", "errors", "estimators", "evaluation", "learners", "persistence"}
    | {"progress", "registry", "report", "tasks", "testing", "training"}
)


def __getattr__(name: str) -> Any:
    """Import a public name, or a room, when it is first asked for."""
    if name in _ROOMS:
        return importlib.import_module(f"metaskl.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'metaskl' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
