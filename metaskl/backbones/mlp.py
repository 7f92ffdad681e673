"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.errors import BackboneError

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
}


class MLP(Backbone):
    """Fully connected layers, each followed by an activation.

    The features are the activations of the last layer; the learner adds its own head. With
    no hidden layer the features are the rows themselves, so that a learner with a linear head
    becomes a linear model.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Units of each layer, each >= 1. May be empty.
    activation : {"relu", "tanh", "elu", "gelu", "silu"}, default="relu"
        Applied after each layer.
    skip : bool, default=False
        Append the rows themselves to the features, so that a linear head can follow a linear
        trend and the layers only what bends.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> MLP((40, 40)).build((3,))(torch.zeros(7, 3)).shape
    torch.Size([7, 40])
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        skip: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.skip = skip

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the layers for rows of `in_shape` features."""
        require_ndim("MLP", in_shape, 1)
        if self.activation not in _ACTIVATIONS:
            raise BackboneError(
                f"activation must be one of {sorted(_ACTIVATIONS)}, got {self.activation!r}. "
                "For another one bring the network with FromModule."
            )
        sizes = tuple(self.hidden_layer_sizes)
        if any(size < 1 for size in sizes):
            raise BackboneError(
                f"hidden_layer_sizes must hold positive numbers of units, got {sizes}. "
                "Leave a layer out rather than giving it no units."
            )
        return _Layers((in_shape[0], *sizes), self.activation, self.skip and bool(sizes))


class _Layers(nn.Module):
    """The layers of an MLP, with a path for one set of weights a task."""

    def __init__(self, sizes: tuple[int, ...], activation: str, skip: bool) -> None:
        super().__init__()
        self.n_features_out = sizes[-1] + (sizes[0] if skip else 0)
        self.skip = skip
        self.activation = activation
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, X: Tensor) -> Tensor:
        activate, rows = _ACTIVATIONS[self.activation], X
        for layer in self.layers:
            X = activate(layer(X))
        return torch.cat([X, rows], dim=-1) if self.skip else X

    def forward_tasks(self, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
        """Map (task, row, feature) by weights with a leading task axis: batched products."""
        activate, rows = _ACTIVATIONS[self.activation], X
        for i in range(len(self.layers)):
            weight, bias = parameters[f"layers.{i}.weight"], parameters[f"layers.{i}.bias"]
            X = activate(torch.baddbmm(bias.unsqueeze(1), X, weight.transpose(1, 2)))
        return torch.cat([X, rows], dim=-1) if self.skip else X
