"""The outer step of meta policy gradients: a trust region around the adapted policies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metaskl_rl.policies import Parameters, Policy, stacked
from metaskl_rl.surrogate import Collected, ascended, surrogate
from metaskl_rl.trust_region import flat, line_search, natural_step

# Added to the curvature of the divergence, which may be singular.
_DAMPING = 1e-5


class OuterStep:
    """One step of the shared parameters, and of the rates if they are learned.

    Parameters
    ----------
    policy : Policy
        What is adapted.
    parameters, rates : dict of Tensor
        Where the step begins, without a task axis.
    learn_rates : bool
        Whether the rates move too.
    second_order : bool
        Whether to differentiate through the slope of the inner steps.
    """

    def __init__(
        self,
        policy: Policy,
        parameters: Parameters,
        rates: Parameters,
        *,
        learn_rates: bool,
        second_order: bool,
    ) -> None:
        self.policy = policy
        self.rates = rates
        self.second_order = second_order
        self.learned = dict(parameters)
        if learn_rates:
            self.learned |= {f"rate {name}": value for name, value in rates.items()}

    def __call__(
        self, played: Sequence[Collected], few: Sequence[Collected], trust: float
    ) -> tuple[Parameters, Parameters]:
        """Return the parameters and rates after the step.

        Parameters
        ----------
        played : sequence of Collected
            What was played before each inner step and after the last.
        few : sequence of Collected
            Some of its episodes, from which the curvature is estimated.
        trust : float
            The mean divergence of the adapted policies that is allowed.

        Returns
        -------
        tuple of dict
            Parameters and rates.
        """
        start = flat(list(self.learned.values()))
        point = start.clone().requires_grad_()
        reached = self._adapted(point, played)
        gain = surrogate(self.policy, reached, played[-1]).mean()
        (gradient,) = torch.autograd.grad(gain, point)
        before = {name: value.detach() for name, value in reached.items()}
        step = natural_step(gradient, self._Curvature(self, point, few), trust)

        def value(candidate: Tensor) -> tuple[float, float]:
            there = self._adapted(candidate.clone().requires_grad_(), played, to_derive=False)
            with torch.no_grad():
                change = surrogate(self.policy, there, played[-1]).mean() - gain
                return float(change), float(self._divergence(before, there, played[-1]))

        return self._split(line_search(value, start, step, trust))

    class _Curvature:
        """Products with the second derivative of the divergence at a point."""

        def __init__(self, step: OuterStep, point: Tensor, rows: Sequence[Collected]) -> None:
            new = step._adapted(point, rows)
            old = {name: value.detach() for name, value in new.items()}
            divergence = step._divergence(old, new, rows[-1])
            (self._slope,) = torch.autograd.grad(divergence, point, create_graph=True)
            self._point = point

        def __call__(self, vector: Tensor) -> Tensor:
            (image,) = torch.autograd.grad(self._slope @ vector, self._point, retain_graph=True)
            found: Tensor = image + _DAMPING * vector
            return found

    def _split(self, vector: Tensor) -> tuple[Parameters, Parameters]:
        """Return the parameters and the rates that a vector holds."""
        pieces = torch.split(vector, [value.numel() for value in self.learned.values()])
        named = zip(self.learned.items(), pieces, strict=True)
        values = {name: piece.reshape(old.shape) for (name, old), piece in named}
        rates = {name: values.get(f"rate {name}", rate) for name, rate in self.rates.items()}
        return {name: values[name] for name in self.rates}, rates

    def _adapted(
        self, vector: Tensor, rows: Sequence[Collected], *, to_derive: bool = True
    ) -> Parameters:
        parameters, rates = self._split(vector)
        current = stacked(parameters, len(rows[0].weight))
        second = self.second_order and to_derive
        for inner in rows[:-1]:
            current = ascended(self.policy, current, rates, inner, second_order=second)
        return current

    def _divergence(self, old: Parameters, new: Parameters, rows: Collected) -> Tensor:
        each = self.policy.divergence(old, new, rows.observations)
        return (each * rows.weight).sum() / rows.weight.sum()
