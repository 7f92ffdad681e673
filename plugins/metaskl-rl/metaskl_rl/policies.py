"""Stochastic policies whose parameters may differ between tasks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metaskl_rl.families import TaskFamily

# Parameters by name; with a leading task axis wherever they are used.
Parameters = dict[str, Tensor]
# Standard deviations of actions are kept above it, in units of the action.
_LEAST_LOG_STD = math.log(1e-3)


class Policy:
    """A network that tells how likely each action is: Gaussian, or a choice among several.

    Parameters
    ----------
    family : TaskFamily
        What is observed and done.
    hidden_layer_sizes : tuple of int, default=(100, 100)
        Units of the hidden layers, with ReLU; none makes the policy linear.
    """

    def __init__(
        self, family: TaskFamily, hidden_layer_sizes: tuple[int, ...] = (100, 100)
    ) -> None:
        self.discrete = family.discrete
        self.sizes = (family.n_observations, *hidden_layer_sizes, family.n_actions)

    def initial(self, generator: torch.Generator) -> Parameters:
        """Draw parameters without a task axis; the last layer begins at 0.01 of the usual size."""
        parameters: Parameters = {}
        n_layers = len(self.sizes) - 1
        for i, (n_in, n_out) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            spread = math.sqrt(2.0 / n_in) * (0.01 if i == n_layers - 1 else 1.0)
            weight = spread * torch.randn(n_in, n_out, generator=generator)
            parameters |= {f"weight{i}": weight, f"bias{i}": torch.zeros(n_out)}
        if not self.discrete:
            parameters["log_std"] = torch.zeros(self.sizes[-1])
        return parameters

    def outputs(self, parameters: Parameters, observations: Tensor) -> Tensor:
        """Return means or logits (task, row, action) of observations (task, row, number)."""
        hidden = observations
        n_layers = len(self.sizes) - 1
        for i in range(n_layers):
            bias = parameters[f"bias{i}"][:, None]
            hidden = torch.baddbmm(bias, hidden, parameters[f"weight{i}"])
            hidden = torch.relu(hidden) if i < n_layers - 1 else hidden
        return hidden

    def draw(
        self, parameters: Parameters, observations: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw an action for each row."""
        output = self.outputs(parameters, observations)
        if self.discrete:
            shares = torch.softmax(output, -1).flatten(0, 1)
            chosen: Tensor = torch.multinomial(shares, 1, generator=generator)
            return chosen.reshape(output.shape[:2])
        noise = torch.randn(output.shape, generator=generator)
        return output + self._log_std(parameters).exp() * noise

    def log_probability(
        self, parameters: Parameters, observations: Tensor, actions: Tensor
    ) -> Tensor:
        """Return log π(a | s) of rows, (task, row)."""
        output = self.outputs(parameters, observations)
        if self.discrete:
            logs = torch.log_softmax(output, -1)
            return logs.gather(-1, actions[..., None])[..., 0]
        log_std = self._log_std(parameters)
        white = (actions - output) * torch.exp(-log_std)
        rows: Tensor = (-0.5 * white**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        return rows

    def divergence(self, old: Parameters, new: Parameters, observations: Tensor) -> Tensor:
        """Return KL(old ‖ new) of the action of each row, (task, row)."""
        before, after = (self.outputs(p, observations) for p in (old, new))
        if self.discrete:
            logs, others = torch.log_softmax(before, -1), torch.log_softmax(after, -1)
            return (logs.exp() * (logs - others)).sum(-1)
        a, b = self._log_std(old), self._log_std(new)
        spread = (torch.exp(2 * a) + (before - after) ** 2) / (2 * torch.exp(2 * b))
        rows: Tensor = (b - a + spread - 0.5).sum(-1)
        return rows

    @staticmethod
    def _log_std(parameters: Parameters) -> Tensor:
        return parameters["log_std"].clamp_min(_LEAST_LOG_STD)[:, None]


def stacked(parameters: Parameters, n_tasks: int) -> Parameters:
    """Give all tasks the same parameters: add a task axis."""
    return {name: value.expand(n_tasks, *value.shape) for name, value in parameters.items()}
