"""What is compared: registered learners, and the baselines that they must beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.multiclass import type_of_target

from metaskl.errors import ParameterError, did_you_mean
from metaskl.estimators.adapt import can_adapt
from metaskl.estimators.generic import MetaClassifier, MetaRegressor
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.estimators.shrunk import ShrunkClassifier, ShrunkRegressor
from metaskl.evaluation.boosting import BoostingClassifier, BoostingRegressor
from metaskl.evaluation.cross_validate import check_adapts
from metaskl.evaluation.flatten import Flatten
from metaskl.evaluation.parameters import route_parameters
from metaskl.evaluation.scaling import DenseScaler
from metaskl.registry import get_learner, list_learners

# What docs/figures/leaderboard.md recommends: the best mean ranks, and one of a kind; those that
# train quickly come first. With private classes matching stands for MAML, whose head takes no more
# classes than it was trained with, and prototypes are there for pictures.
_RECOMMENDED = {
    "regression": ("ridge_head", "maml", "attentive_cnp", "in_context", "snail"),
    "classification": ("logistic_head", "maml", "dkt", "in_context", "mann"),
    "private classes": ("logistic_head", "ridge_head", "linear_probe", "matching", "protonet"),
}
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
    methods = all(hasattr(preprocess, method) for method in ("fit", "transform"))
    if isinstance(preprocess, type) or not methods:
        raise ParameterError(
            f"preprocess must be a transformer, with fit and transform, got {preprocess!r}. Give "
            "for example StandardScaler(), a ColumnTransformer or a Pipeline of transformers."
        )
    return {name: make_pipeline(clone(preprocess), model) for name, model in candidates.items()}


def recommended_learners(kind: str, *, label_space: str = "shared") -> list[str]:
    """Return the names of the learners to try first: five of different kinds.

    They had the best mean ranks on the leaderboard over real task sets (see its page in the
    documentation), leaving out those that are much like a better one.

    Parameters
    ----------
    kind : {"regression", "classification"}
        What to learn.
    label_space : {"shared", "task"}, default="shared"
        As in the classifiers.

    Returns
    -------
    list of str
        Names in the registry, those that train quickly first.

    Examples
    --------
    >>> from metaskl.evaluation import recommended_learners
    >>> recommended_learners("classification", label_space="task")[0]
    'logistic_head'
    """
    return list(_RECOMMENDED["private classes" if label_space == "task" else kind])


def make_learners(
    learners: str | Iterable[str] | Mapping[str, Any], *, kind: str, **parameters: Any
) -> dict[str, Any]:
    """Return estimators by name: all registered learners of a kind, or those asked for.

    Parameters
    ----------
    learners : "all", "recommended", iterable of str or mapping of str to estimator
        Names in the registry, or estimators of one's own.
    kind : {"regression", "classification"}
        What to learn.
    **parameters
        Hyper-parameters of the estimators of registered learners, or of learners themselves:
        these go to the learners that have them.

    Returns
    -------
    dict of str to estimator
        The estimators.

    Raises
    ------
    ParameterError
        If a learner cannot do `kind`, or no learner has a hyper-parameter of some name.
    UnknownLearnerError
        If no learner has a name.
    """
    if isinstance(learners, Mapping):
        return dict(learners)
    if isinstance(learners, str) and learners == "recommended":
        label_space = parameters.get("label_space", "shared")
        learners = recommended_learners(kind, label_space=label_space)
    elif isinstance(learners, str) and learners != "all":
        learners = [learners]
    learners = learners if isinstance(learners, str) else _names(learners)
    wanted = (
        [info.name for info in list_learners(load=True) if info.status == "available"]
        if learners == "all"
        else learners
    )
    estimator = MetaRegressor if kind == "regression" else MetaClassifier
    able = []
    for name in wanted:
        if kind in get_learner(name).kinds:
            able.append(name)
        elif learners != "all":
            raise ParameterError(
                f"learners must be able to do {kind}, got {name!r} which does "
                f"{sorted(get_learner(name).kinds)}. Leave it out, or give learners='all'."
            )
    if not able:
        return {}
    routed = route_parameters(able, parameters, estimator().get_params(deep=False))
    return {name: estimator(learner=name, **own) for name, own in routed.items()}


def _names(learners: Any) -> list[str]:
    """Return names of learners as a list."""
    names = list(learners) if isinstance(learners, Iterable) else [learners]
    for name in names:
        if not isinstance(name, str):
            raise ParameterError(
                f"learners must hold names of learners, got {name!r}. Give estimators of your own "
                f"in a dict with a name for each: learners={{'mine': {type(name).__name__}(...)}}."
            )
    return names


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


def choose_baselines(
    baselines: str | Iterable[str] | Mapping[str, Any],
    kind: str,
    *,
    private_labels: bool,
    pictures: bool,
    seed: int,
) -> dict[str, Any]:
    """Return the baselines that were asked for: all, some by name, or estimators of one's own.

    With `pictures` the ordinary ones are given their pixels as columns.
    """
    if isinstance(baselines, Mapping):
        return dict(baselines)
    every = make_baselines(kind, private_labels=private_labels, seed=seed)
    if pictures:
        every = {name: make_pipeline(Flatten(), model) for name, model in every.items()}
    if isinstance(baselines, str):
        if baselines == "all":
            return every
        baselines = [baselines]
    wanted = list(baselines) if isinstance(baselines, Iterable) else [baselines]
    for name in wanted:
        if name not in every:
            raise ParameterError(
                f"baselines must be among {', '.join(map(repr, every))}, got {name!r}."
                f"{did_you_mean(str(name), list(every))}{_why_not(name, private_labels)} Or give "
                "a dict of your own."
            )
    return {name: every[name] for name in wanted}


def _why_not(name: str, private_labels: bool) -> str:
    if private_labels and str(name).startswith(("pooled", "shrunk")):
        return " With classes of each task's own no model holds for all tasks."
    return ""


def join_candidates(
    learners: dict[str, Any], baselines: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return all candidates by name, and the family of each."""
    if both := sorted(set(learners) & set(baselines)):
        raise ParameterError(
            f"learners and baselines must have different names, got {both[0]!r} in both. "
            "Rename one."
        )
    families = dict.fromkeys(learners, "learner")
    families |= {name: family_of(model) for name, model in baselines.items()}
    every = learners | baselines
    for name, model in every.items():
        check_adapts(model, f"the candidate {name!r}")
    return every, families


def family_of(model: Any) -> str:
    """Return what kind of baseline a model is: pooled, per-task, shrunk, or just a baseline."""
    if isinstance(model, Pipeline):
        return family_of(model.steps[-1][1])
    if isinstance(model, PerTask):  # around a meta-learner it knows more than the task's own rows
        return "baseline" if can_adapt(model.estimator) else "per-task"
    if isinstance(model, Pooled):
        return "pooled"
    return "shrunk" if isinstance(model, (ShrunkRegressor, ShrunkClassifier)) else "baseline"


def _regressors(seed: int) -> dict[str, Any]:
    return {
        "ridge": make_pipeline(DenseScaler(), RidgeCV(_ALPHAS)),
        "forest": RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=seed),
        "boosting": BoostingRegressor(min_samples_leaf=5, random_state=seed),
    }


def _classifiers(seed: int) -> dict[str, Any]:
    return {
        "logistic": make_pipeline(DenseScaler(), LogisticRegression(max_iter=1000)),
        "forest": RandomForestClassifier(_TREES, min_samples_leaf=2, random_state=seed),
        "boosting": BoostingClassifier(min_samples_leaf=5, random_state=seed),
    }
