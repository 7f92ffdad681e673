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
    from metaskl.estimators.adkf import ADKFClassifier as ADKFClassifier
    from metaskl.estimators.adkf import ADKFRegressor as ADKFRegressor
    from metaskl.estimators.attentive_cnp import AttentiveCNPClassifier as AttentiveCNPClassifier
    from metaskl.estimators.attentive_cnp import AttentiveCNPRegressor as AttentiveCNPRegressor
    from metaskl.estimators.cavia import CAVIAClassifier as CAVIAClassifier
    from metaskl.estimators.cavia import CAVIARegressor as CAVIARegressor
    from metaskl.estimators.cnp import CNPClassifier as CNPClassifier
    from metaskl.estimators.cnp import CNPRegressor as CNPRegressor
    from metaskl.estimators.dkt import DKTClassifier as DKTClassifier
    from metaskl.estimators.dkt import DKTRegressor as DKTRegressor
    from metaskl.estimators.generic import MetaClassifier as MetaClassifier
    from metaskl.estimators.generic import MetaRegressor as MetaRegressor
    from metaskl.estimators.imaml import IMAMLClassifier as IMAMLClassifier
    from metaskl.estimators.imaml import IMAMLRegressor as IMAMLRegressor
    from metaskl.estimators.in_context import InContextClassifier as InContextClassifier
    from metaskl.estimators.in_context import InContextRegressor as InContextRegressor
    from metaskl.estimators.linear_probe import LinearProbeClassifier as LinearProbeClassifier
    from metaskl.estimators.linear_probe import LinearProbeRegressor as LinearProbeRegressor
    from metaskl.estimators.logistic_head import LogisticHeadClassifier as LogisticHeadClassifier
    from metaskl.estimators.lora import LoRAClassifier as LoRAClassifier
    from metaskl.estimators.lora import LoRARegressor as LoRARegressor
    from metaskl.estimators.maml import MAMLClassifier as MAMLClassifier
    from metaskl.estimators.maml import MAMLRegressor as MAMLRegressor
    from metaskl.estimators.mann import MANNClassifier as MANNClassifier
    from metaskl.estimators.mann import MANNRegressor as MANNRegressor
    from metaskl.estimators.matching import MatchingClassifier as MatchingClassifier
    from metaskl.estimators.matching import MatchingRegressor as MatchingRegressor
    from metaskl.estimators.per_task import PerTask as PerTask
    from metaskl.estimators.pooled import Pooled as Pooled
    from metaskl.estimators.protonet import ProtoNetClassifier as ProtoNetClassifier
    from metaskl.estimators.relation import RelationClassifier as RelationClassifier
    from metaskl.estimators.reptile import ReptileClassifier as ReptileClassifier
    from metaskl.estimators.reptile import ReptileRegressor as ReptileRegressor
    from metaskl.estimators.ridge_head import RidgeHeadClassifier as RidgeHeadClassifier
    from metaskl.estimators.ridge_head import RidgeHeadRegressor as RidgeHeadRegressor
    from metaskl.estimators.shrunk import ShrunkClassifier as ShrunkClassifier
    from metaskl.estimators.shrunk import ShrunkRegressor as ShrunkRegressor
    from metaskl.estimators.simpleshot import SimpleShotClassifier as SimpleShotClassifier
    from metaskl.estimators.snail import SNAILClassifier as SNAILClassifier
    from metaskl.estimators.snail import SNAILRegressor as SNAILRegressor
    from metaskl.estimators.transfer import TransferClassifier as TransferClassifier
    from metaskl.estimators.transfer import TransferRegressor as TransferRegressor
    from metaskl.evaluation.compare import compare as compare
    from metaskl.evaluation.cross_validate import cross_validate_tasks as cross_validate_tasks
    from metaskl.evaluation.curve import shots_curve as shots_curve
    from metaskl.evaluation.scorer import FewShotScorer as FewShotScorer
    from metaskl.persistence import load as load
    from metaskl.persistence import save as save
    from metaskl.search.auto import AutoMetaClassifier as AutoMetaClassifier
    from metaskl.search.auto import AutoMetaRegressor as AutoMetaRegressor
    from metaskl.search.study import run_study as run_study
    from metaskl.search.task_search import TaskSearchCV as TaskSearchCV

__version__ = "0.1.0"

__all__ = [
    "ADKFClassifier",
    "ADKFRegressor",
    "AdaptedClassifier",
    "AdaptedRegressor",
    "AttentiveCNPClassifier",
    "AttentiveCNPRegressor",
    "AutoMetaClassifier",
    "AutoMetaRegressor",
    "CAVIAClassifier",
    "CAVIARegressor",
    "CNPClassifier",
    "CNPRegressor",
    "DKTClassifier",
    "DKTRegressor",
    "FewShotScorer",
    "IMAMLClassifier",
    "IMAMLRegressor",
    "InContextClassifier",
    "InContextRegressor",
    "LinearProbeClassifier",
    "LinearProbeRegressor",
    "LoRAClassifier",
    "LoRARegressor",
    "LogisticHeadClassifier",
    "MAMLClassifier",
    "MAMLRegressor",
    "MANNClassifier",
    "MANNRegressor",
    "MatchingClassifier",
    "MatchingRegressor",
    "MetaClassifier",
    "MetaRegressor",
    "PerTask",
    "Pooled",
    "ProtoNetClassifier",
    "RelationClassifier",
    "ReptileClassifier",
    "ReptileRegressor",
    "RidgeHeadClassifier",
    "RidgeHeadRegressor",
    "SNAILClassifier",
    "SNAILRegressor",
    "ShrunkClassifier",
    "ShrunkRegressor",
    "SimpleShotClassifier",
    "TaskSearchCV",
    "TransferClassifier",
    "TransferRegressor",
    "__version__",
    "adapt",
    "compare",
    "cross_validate_tasks",
    "load",
    "run_study",
    "save",
    "shots_curve",
]

_HOMES = {
    "ADKFClassifier": "metaskl.estimators.adkf",
    "ADKFRegressor": "metaskl.estimators.adkf",
    "AdaptedClassifier": "metaskl.estimators.adapted",
    "AdaptedRegressor": "metaskl.estimators.adapted",
    "AttentiveCNPClassifier": "metaskl.estimators.attentive_cnp",
    "AttentiveCNPRegressor": "metaskl.estimators.attentive_cnp",
    "AutoMetaClassifier": "metaskl.search.auto",
    "AutoMetaRegressor": "metaskl.search.auto",
    "CAVIAClassifier": "metaskl.estimators.cavia",
    "CAVIARegressor": "metaskl.estimators.cavia",
    "CNPClassifier": "metaskl.estimators.cnp",
    "CNPRegressor": "metaskl.estimators.cnp",
    "DKTClassifier": "metaskl.estimators.dkt",
    "DKTRegressor": "metaskl.estimators.dkt",
    "FewShotScorer": "metaskl.evaluation.scorer",
    "IMAMLClassifier": "metaskl.estimators.imaml",
    "IMAMLRegressor": "metaskl.estimators.imaml",
    "InContextClassifier": "metaskl.estimators.in_context",
    "InContextRegressor": "metaskl.estimators.in_context",
    "LinearProbeClassifier": "metaskl.estimators.linear_probe",
    "LinearProbeRegressor": "metaskl.estimators.linear_probe",
    "LoRAClassifier": "metaskl.estimators.lora",
    "LoRARegressor": "metaskl.estimators.lora",
    "LogisticHeadClassifier": "metaskl.estimators.logistic_head",
    "MAMLClassifier": "metaskl.estimators.maml",
    "MAMLRegressor": "metaskl.estimators.maml",
    "MANNClassifier": "metaskl.estimators.mann",
    "MANNRegressor": "metaskl.estimators.mann",
    "MatchingClassifier": "metaskl.estimators.matching",
    "MatchingRegressor": "metaskl.estimators.matching",
    "MetaClassifier": "metaskl.estimators.generic",
    "MetaRegressor": "metaskl.estimators.generic",
    "PerTask": "metaskl.estimators.per_task",
    "Pooled": "metaskl.estimators.pooled",
    "ProtoNetClassifier": "metaskl.estimators.protonet",
    "RelationClassifier": "metaskl.estimators.relation",
    "ReptileClassifier": "metaskl.estimators.reptile",
    "ReptileRegressor": "metaskl.estimators.reptile",
    "RidgeHeadClassifier": "metaskl.estimators.ridge_head",
    "RidgeHeadRegressor": "metaskl.estimators.ridge_head",
    "SNAILClassifier": "metaskl.estimators.snail",
    "SNAILRegressor": "metaskl.estimators.snail",
    "ShrunkClassifier": "metaskl.estimators.shrunk",
    "ShrunkRegressor": "metaskl.estimators.shrunk",
    "SimpleShotClassifier": "metaskl.estimators.simpleshot",
    "TaskSearchCV": "metaskl.search.task_search",
    "TransferClassifier": "metaskl.estimators.transfer",
    "TransferRegressor": "metaskl.estimators.transfer",
    "adapt": "metaskl.estimators.adapt",
    "compare": "metaskl.evaluation.compare",
    "cross_validate_tasks": "metaskl.evaluation.cross_validate",
    "load": "metaskl.persistence",
    "run_study": "metaskl.search.study",
    "save": "metaskl.persistence",
    "shots_curve": "metaskl.evaluation.curve",
}

# Without this, `metaskl.datasets` would work or not depending on what ran before.
_ROOMS = frozenset(
    {"backbones", "datasets", "errors", "estimators", "evaluation", "files", "learners"}
    | {"persistence", "progress", "registry", "report", "search", "tasks", "testing", "training"}
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
