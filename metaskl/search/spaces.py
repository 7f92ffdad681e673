"""Search spaces: of a learner, of a baseline, of a Pipeline around one, and of many at once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline

from metaskl.backbones import MLP
from metaskl.errors import ParameterError, did_you_mean
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.generic import MetaClassifier, MetaRegressor
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.registry import get_learner
from metaskl.search._optuna import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    Trial,
)
from metaskl.search.ordinary import ordinary_space

Space = dict[str, Dimension | BaseDistribution]

# The name under which a trial of several candidates keeps which of them it is.
LEARNER = "learner"
_PLAIN = (type(None), bool, int, float, str)
_NETWORKS = (None, MLP((32,)), MLP((128, 128)), MLP((64, 64, 64)))


def search_space_of(estimator: Any, *, tabular: bool = True) -> Space:
    """Return what is worth searching of an estimator, under names that ``set_params`` knows.

    Parameters
    ----------
    estimator : estimator
        A meta-learner, a baseline, an ordinary scikit-learn model, or a Pipeline or another
        wrapper around one.
    tabular : bool, default=True
        Whether rows are tables, so that networks for tables may be tried.

    Returns
    -------
    dict of str to Dimension
        Empty where nothing is known to be worth it. Inner and outer learning rates are on a
        logarithmic scale.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from metaskl import MAMLRegressor, PerTask
    >>> from metaskl.search import search_space_of
    >>> space = search_space_of(MAMLRegressor())
    >>> space["inner_lr"], space["outer_lr"]
    (Real(low=0.001, high=0.5, log=True), Real(low=0.0001, high=0.01, log=True))
    >>> search_space_of(PerTask(Ridge()))
    {'estimator__alpha': Real(low=0.001, high=10000.0, log=True)}
    """
    if isinstance(estimator, BaseMetaEstimator):
        return _meta_space(estimator, tabular=tabular)
    found: Space = dict(ordinary_space(estimator))
    for name, inner in _inside(estimator):
        if inner is not None and not isinstance(inner, str | type):
            inside = search_space_of(inner, tabular=tabular)
            found |= {f"{name}__{key}": value for key, value in inside.items()}
    return found


def _inside(estimator: Any) -> list[tuple[str, Any]]:
    """Return the models that a wrapper holds, by the name that ``set_params`` gives them."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1:] if estimator.steps else []
    if isinstance(estimator, TransformedTargetRegressor):
        return [("regressor", estimator.regressor)]
    return [("estimator", getattr(estimator, "estimator", None))]


def _meta_space(estimator: BaseMetaEstimator, *, tabular: bool) -> Space:
    """Return a meta-learner's own space, with the outer loop's decay and the networks."""
    space: Space = dict(estimator.search_space())
    if isinstance(estimator, MetaRegressor | MetaClassifier):
        own = get_learner(estimator.learner).search_space()
        space |= {f"learner_params__{name}": value for name, value in own.items()}
    space["weight_decay"] = Choice((0.0, 1e-5, 1e-4, 1e-3, 1e-2))
    if tabular and estimator.backbone is None:
        space["backbone"] = Choice(_NETWORKS)
    return space


def distribution_of(dimension: Dimension | BaseDistribution) -> BaseDistribution:
    """Return optuna's form of a dimension; options that no storage keeps go by their repr.

    Parameters
    ----------
    dimension : Dimension or BaseDistribution
        A dimension of a search space.

    Returns
    -------
    BaseDistribution
        A distribution that every storage can hold.
    """
    if isinstance(dimension, Real):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, Integer):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, Choice):
        return CategoricalDistribution([_label(option) for option in dimension.options])
    return dimension


def decode(space: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's values as ``set_params`` takes them: options in place of their labels.

    Parameters
    ----------
    space : mapping of str to Dimension or BaseDistribution
        The search space.
    values : mapping
        Values of some of its dimensions, as optuna gave them.

    Returns
    -------
    dict
        Values for ``set_params``.
    """
    found = dict(values)
    for name, dimension in space.items():
        if name in found and isinstance(dimension, Choice):
            by_label = {_label(option): option for option in dimension.options}
            found[name] = by_label[found[name]]
    return found


def _label(option: Any) -> Any:
    if isinstance(option, np.ndarray):
        option = option.tolist()
    return option if isinstance(option, _PLAIN) else " ".join(repr(option).split())


@dataclass(frozen=True)
class Candidate:
    """An estimator that is searched, with its space.

    Attributes
    ----------
    name : str
        Its name among the candidates.
    estimator : estimator
        The template: what is not searched stays as it is there.
    space : dict
        What is searched.
    family : str
        ``"learner"``, or which kind of baseline.
    """

    name: str
    estimator: Any
    space: Space = field(default_factory=dict)
    family: str = "learner"

    def make(self, values: Mapping[str, Any]) -> Any:
        """Return an unfitted estimator with a trial's values (of this candidate, no prefix)."""
        return clone(self.estimator).set_params(**decode(self.space, values))

    def defaults(self) -> dict[str, Any]:
        """Return the template's own values, as far as the space can express them."""
        found = {}
        for name, dimension in self.space.items():
            value = _label(value_of(self.estimator, name))
            if holds(distribution_of(dimension), value):
                found[name] = value
        return found


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Say whether a distribution has a value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def value_of(estimator: Any, name: str) -> Any:
    """Return the present value of a (nested) hyper-parameter; None where there is none."""
    parameters = estimator.get_params()
    if name in parameters:
        return parameters[name]
    outer, _, own = name.rpartition("learner_params__")
    generic = parameters.get(outer.removesuffix("__")) if outer else estimator
    given = (getattr(generic, "learner_params", None) or {}).get(own)
    if given is not None or not hasattr(generic, "learner"):
        return given
    default = inspect.signature(get_learner(generic.learner)).parameters[own].default
    return None if default is inspect.Parameter.empty else default


def make_space(
    candidates: dict[str, Any], families: dict[str, str], space: Any, *, tabular: bool
) -> list[Candidate]:
    """Return the candidates with their spaces: their own, or the user's.

    Raises
    ------
    ParameterError
        If the user's space names what is no candidate, or no hyper-parameter of it, or holds
        something else than dimensions.
    """
    chosen = _by_candidate(space, list(candidates))
    return [
        Candidate(
            name,
            estimator,
            _checked(chosen[name], estimator, name)
            if name in chosen
            else search_space_of(estimator, tabular=tabular),
            families[name],
        )
        for name, estimator in candidates.items()
    ]


def _by_candidate(space: Any, names: list[str]) -> dict[str, Any]:
    """Return the user's space of each candidate: one space where there is one candidate."""
    if space is None:
        return {}
    if not isinstance(space, Mapping):
        raise ParameterError(
            f"space must be a dict of distributions, got {space!r}. Give for example "
            "{'outer_lr': FloatDistribution(1e-4, 1e-2, log=True)}."
        )
    if len(names) == 1 and not (names[0] in space and isinstance(space[names[0]], Mapping)):
        return {names[0]: space}
    for name, own in space.items():
        if name not in names or not isinstance(own, Mapping):
            raise ParameterError(
                "space must map candidates to dicts of distributions where there are several, "
                f"got {name!r}: {own!r}.{did_you_mean(str(name), names)} Candidates are "
                f"{', '.join(names)}."
            )
    return dict(space)


def _checked(space: Mapping[str, Any], estimator: Any, candidate: str) -> Space:
    known = estimator.get_params()
    space = {k: d.tolist() if isinstance(d, np.ndarray) else d for k, d in space.items()}
    space = {k: Choice(tuple(d)) if isinstance(d, list | tuple) else d for k, d in space.items()}
    for name, dimension in space.items():
        nested = "learner_params__" in name
        if name not in known and not (nested and value_of(estimator, name) is not None):
            own = [f"{key}__{name}" for key in known if key.endswith("learner_params")]
            near = [key for key in own if value_of(estimator, key) is not None]
            hint = f" Did you mean {near[0]!r}?" if near else did_you_mean(name, sorted(known))
            raise ParameterError(
                f"space must name hyper-parameters of {candidate!r}, got {name!r}.{hint} "
                f"Known are {', '.join(sorted(known))}."
            )
        if not isinstance(dimension, BaseDistribution | Real | Integer | Choice):
            raise ParameterError(
                f"space[{name!r}] must be a distribution or a list of values, got {dimension!r}. "
                "Give optuna's FloatDistribution, IntDistribution or CategoricalDistribution."
            )
    return space


def suggest(trial: Trial, candidates: list[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Ask a trial which candidate it is (if there are several), then for its values."""
    chosen, prefix = candidates[0], ""
    if len(candidates) > 1:
        name = trial.suggest_categorical(LEARNER, [c.name for c in candidates])
        chosen = next(c for c in candidates if c.name == name)
        prefix = f"{name}."
    values = {}
    for key, dimension in chosen.space.items():
        values[key] = _suggest(trial, prefix + key, distribution_of(dimension))
    return chosen, values


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return trial.suggest_float(name, low, high, step=step, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    return trial.suggest_categorical(name, distribution.choices)  # type: ignore[attr-defined]


def prefixed(candidate: Candidate, values: Mapping[str, Any], *, several: bool) -> dict[str, Any]:
    """Return a candidate's values under the names that the study keeps them by."""
    if not several:
        return dict(values)
    return {LEARNER: candidate.name} | {f"{candidate.name}.{k}": v for k, v in values.items()}
