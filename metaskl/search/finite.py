"""Spaces of which every configuration can be tried: none twice, and an end when all are."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from typing import Any

import numpy as np

from metaskl.errors import MetasklWarning
from metaskl.search._optuna import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    TrialState,
    optuna,
)
from metaskl.search.spaces import LEARNER, Candidate, distribution_of, prefixed

# More values of one hyper-parameter than this are not gone through: no search tries them all.
_MANY = 10_000


def n_values(distribution: BaseDistribution) -> float:
    """Return the number of values of a distribution; infinite where it is continuous."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if not isinstance(distribution, FloatDistribution | IntDistribution) or distribution.single():
        return 1 if distribution.single() else math.inf
    step = distribution.step
    if step is None:
        return math.inf
    return math.floor((distribution.high - distribution.low) / step + 1e-8) + 1


def n_configurations(candidates: list[Candidate]) -> float:
    """Return the number of configurations of all candidates; infinite where one is continuous."""
    return sum(_size(candidate, frozenset()) for candidate in candidates)


def n_left(study: Any, candidates: list[Candidate]) -> float:
    """Return the number of configurations that no trial has, not even one that is running."""
    total = n_configurations(candidates)
    return total - len(_tried(study, candidates, but=-1)) if math.isfinite(total) else total


def tell_the_end(n_trials: int, n_configurations: float) -> None:
    """Warn that a search ended before its budget, since there was nothing left to try."""
    what = (
        "one configuration, so there is nothing to search"
        if n_configurations == 1
        else f"{n_configurations:.0f} configurations, and each was tried"
    )
    warnings.warn(
        f"The search ended after {n_trials} trial{'' if n_trials == 1 else 's'}, before its "
        f"budget: the space holds {what}. Give a larger space, or a smaller n_trials.",
        MetasklWarning,
        stacklevel=3,
    )


def without_repeats(sampler: Any, candidates: list[Candidate]) -> Any:
    """Return a sampler that proposes no configuration of a finite candidate twice."""
    finite = any(math.isfinite(_size(candidate, frozenset())) for candidate in candidates)
    return _Untried(sampler, candidates) if finite else sampler


class _Untried(optuna.samplers.BaseSampler):
    """Another sampler, held to what was not tried, hyper-parameter by hyper-parameter.

    Parameters
    ----------
    inner : BaseSampler
        It proposes; only where all that a proposal leads to was tried, a value is drawn.
    candidates : list of Candidate
        What is searched.
    """

    def __init__(self, inner: Any, candidates: list[Candidate]) -> None:
        self.inner = inner
        self.candidates = candidates
        self.rng = np.random.default_rng(0)  # a draw depends on what was tried, not on the seed

    def reseed_rng(self) -> None:
        self.inner.reseed_rng()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Any, trial: Any) -> None:
        self.inner.before_trial(study, trial)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        self.inner.after_trial(study, trial, state, values)

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        proposed = self.inner.sample_independent(study, trial, param_name, param_distribution)
        if n_values(param_distribution) > _MANY:
            return proposed
        given = _rounded(trial.params)
        values = {_round(value): value for value in _values(param_distribution)}
        left = {key: self._size(given, param_name, value) for key, value in values.items()}
        if math.isinf(left.get(_round(proposed), math.inf)):
            return proposed
        tried = Counter(
            params[param_name]
            for params in _tried(study, self.candidates, but=trial.number).values()
            if param_name in params and all(params.get(k) == v for k, v in given.items())
        )
        free = [key for key, size in left.items() if tried[key] < size]
        if _round(proposed) in free or not free:
            return proposed
        return values[free[self.rng.integers(len(free))]]

    def _size(self, given: dict[str, Any], name: str, value: Any) -> float:
        """Return how many configurations begin with some values."""
        params = {**given, name: value}
        return _size(_candidate(params, self.candidates), frozenset(params))


def _candidate(params: dict[str, Any], candidates: list[Candidate]) -> Candidate:
    name = params.get(LEARNER, candidates[0].name)
    return next(candidate for candidate in candidates if candidate.name == name)


def _size(candidate: Candidate, given: frozenset[str]) -> float:
    """Return the number of configurations of a candidate, some of its values being given."""
    open_ones = (
        distribution_of(dimension)
        for name, dimension in candidate.space.items()
        if name not in given and f"{candidate.name}.{name}" not in given
    )
    return math.prod(n_values(distribution) for distribution in open_ones)


def _values(distribution: Any) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    steps = range(int(n_values(distribution)))
    if isinstance(distribution, IntDistribution):
        return [distribution.low + k * distribution.step for k in steps]
    return [_round(distribution.low + k * (distribution.step or 0.0)) for k in steps]


def _tried(study: Any, candidates: list[Candidate], *, but: int) -> dict[Any, dict[str, Any]]:
    """Return the configurations of all trials but one, each once."""
    found = {}
    several = len(candidates) > 1
    names = {
        c.name: prefixed(c, dict.fromkeys(c.space), several=several).keys() for c in candidates
    }
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.WAITING or trial.number == but:
            continue
        name = trial.params.get(LEARNER) if several else candidates[0].name
        if names.get(name) == trial.params.keys():
            params = _rounded(trial.params)
            found[tuple(sorted(params.items()))] = params
    return found


def _rounded(params: dict[str, Any]) -> dict[str, Any]:
    return {name: _round(value) for name, value in params.items()}


def _round(value: Any) -> Any:
    """Return a value without the rounding errors of a step."""
    return float(f"{value:.12g}") if isinstance(value, float) else value
