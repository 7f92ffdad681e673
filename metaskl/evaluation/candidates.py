"""What is compared: registered learners, and the baselines that they must beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import type_of_target

from metaskl.errors import ParameterError
from metaskl.estimators.generic import MetaClassifier, MetaRegressor
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.estimators.shrunk import ShrunkClassifier, ShrunkRegressor
from metaskl.registry import get_learner, list_learners

_ALPHAS = np.logspace(-2, 4, 13)
# A forest of this size ranks like one of 500 on small tables and fits five times faster.
_TREES = 100


def target_kind(y: Any) -> str:
    """Say what targets are: numbers with a fractional part or many values are regression."""
    y = np.asarray(y)
    found = type_of_target(y)
    if found.startswith("continuous"):
        return "regression"
    if y.dtype.kind in "iuf" and len(np.unique(y)) > 20:
        return "regression"
    return "classification"


def with_preprocess(candidates: dict[str, Any], preprocess: Any) -> dict[str, Any]:
    """Put a transformer, if there is one, before every candidate."""
    if preprocess is None:
        return candidates
    return {name: make_pipeline(clone(preprocess), model) for name, model in candidates.items()}


def make_learners(
    learners: str | Iterable[str] | Mapping[str, Any], *, kind: str, **parameters: Any
) -> dict[str, Any]:
    """Return estimators by name: all registered learners of a kind, or those asked for.

    Parameters
    ----------
    learners : "all", iterable of str or mapping of str to estimator
        Names in the registry, or estimators of one's own.
    kind : {"regression", "classification"}
        What to learn.
    **parameters
        Hyper-parameters of the estimators of registered learners.
    """
    if isinstance(learners, Mapping):
        return dict(learners)
    if isinstance(learners, str) and learners != "all":
        learners = [learners]
    wanted = (
        [info.name for info in list_learners(load=True) if info.status == "available"]
        if learners == "all"
        else learners
    )
    estimator = MetaRegressor if kind == "regression" else MetaClassifier
    found: dict[str, Any] = {}
    for name in wanted:
        if kind in get_learner(name).kinds:
            found[name] = estimator(learner=name, **parameters)
        elif learners != "all":
            raise ParameterError(
                f"learners must be able to do {kind}, got {name!r} which does "
                f"{sorted(get_learner(name).kinds)}. Leave it out, or give learners='all'."
            )
    return found


def broken_learners() -> dict[str, str]:
    """Return the installed learners that cannot be imported, with the reason."""
    found = list_learners(load=True)
    return {info.full_name: str(info.error) for info in found if info.status == "broken"}


def make_baselines(kind: str, *, private_labels: bool = False, seed: int = 0) -> dict[str, Any]:
    """Return the baselines: pooled, per task and shrunk, over three ordinary models each.

    With private labels only the per-task ones mean anything.
    """
    models = _regressors(seed) if kind == "regression" else _classifiers(seed)
    shrunk = ShrunkRegressor if kind == "regression" else ShrunkClassifier
    found: dict[str, Any] = {f"per-task {name}": PerTask(m) for name, m in models.items()}
    if not private_labels:
        found |= {f"pooled {name}": Pooled(m) for name, m in models.items()}
        found |= {f"shrunk {name}": shrunk(m) for name, m in models.items()}
    return found


def _regressors(seed: int) -> dict[str, Any]:
    return {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(_ALPHAS)),
        "forest": RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=seed),
        "boosting": HistGradientBoostingRegressor(min_samples_leaf=5, random_state=seed),
    }


def _classifiers(seed: int) -> dict[str, Any]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "forest": RandomForestClassifier(_TREES, min_samples_leaf=2, random_state=seed),
        "boosting": HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed),
    }
