"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.chain import Chain, Chained
from metaskl.backbones.dropout import EpisodeDropout
from metaskl.backbones.layout import side_by_side
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
    residual : bool, default=False
        Add to a layer's output its input, where both have as many units [1]_.
    norm : {"none", "layer"}, default="none"
        ``"layer"`` normalises each row by itself before the activation [2]_: for deep networks,
        and for learners that adapt the weights.
    dropout : float, default=0.0
        Share of each layer's units that training sets to 0, in [0, 1): the same ones for all the
        rows of an outer step (:class:`~metaskl.backbones.EpisodeDropout`).

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun. Deep Residual Learning for Image Recognition. CVPR
       2016.
    .. [2] J. L. Ba, J. R. Kiros, G. E. Hinton. Layer Normalization. arXiv 2016.

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
        residual: bool = False,
        norm: str = "none",
        dropout: float = 0.0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.skip = skip
        self.residual = residual
        self.norm = norm
        self.dropout = dropout

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the layers for rows of `in_shape` features."""
        require_ndim("MLP", in_shape, 1)
        if self.activation not in _ACTIVATIONS:
            raise BackboneError(
                f"activation must be one of {sorted(_ACTIVATIONS)}, got {self.activation!r}. "
                "For another one bring the network with FromModule."
            )
        if isinstance(self.hidden_layer_sizes, int):
            raise BackboneError(
                "hidden_layer_sizes must hold the units of each layer, got the number "
                f"{self.hidden_layer_sizes}. Write ({self.hidden_layer_sizes},) for one layer."
            )
        sizes = tuple(self.hidden_layer_sizes)
        if any(size < 1 for size in sizes):
            raise BackboneError(
                f"hidden_layer_sizes must hold positive numbers of units, got {sizes}. "
                "Leave a layer out rather than giving it no units."
            )
        if self.norm not in ("none", "layer"):
            raise BackboneError(
                f"norm must be 'none' or 'layer', got {self.norm!r}. Take 'none' for shallow ones."
            )
        if not 0 <= self.dropout < 1:
            raise BackboneError(f"dropout must be in [0, 1), got {self.dropout}. Try 0.1.")
        return _Layers(
            (in_shape[0], *sizes),
            self.activation,
            skip=self.skip and bool(sizes),
            residual=self.residual,
            norm=self.norm == "layer",
            dropout=self.dropout,
        )


class _Layers(nn.Module, Chained):
    """The layers of an MLP, with a path for one set of weights a task."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        activation: str,
        *,
        skip: bool,
        residual: bool,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_features_out = sizes[-1] + (sizes[0] if skip else 0)
        self.sizes = sizes
        self.skip = skip
        self.activation = activation
        self.residual = residual
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in sizes[1:] if norm)
        self.drops = nn.ModuleList(EpisodeDropout(size, dropout) for size in sizes[1:] if dropout)

    def forward(self, X: Tensor) -> Tensor:
        rows = X
        for i, layer in enumerate(self.layers):
            hidden = layer(X)
            if len(self.norms):
                hidden = self.norms[i](hidden)
            X = self._activated(i, hidden, X)
        return side_by_side(X, rows) if self.skip else side_by_side(X)

    def forward_tasks(self, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
        """Map (task, row, feature) by weights with a leading task axis: batched products."""
        rows = X
        for i in range(len(self.layers)):
            weight, bias = parameters[f"layers.{i}.weight"], parameters[f"layers.{i}.bias"]
            hidden = torch.baddbmm(bias.unsqueeze(1), X, weight.transpose(1, 2))
            if len(self.norms):
                scale, shift = parameters[f"norms.{i}.weight"], parameters[f"norms.{i}.bias"]
                hidden = F.layer_norm(hidden, hidden.shape[-1:])
                hidden = hidden * scale.unsqueeze(1) + shift.unsqueeze(1)
            X = self._activated(i, hidden, X)
        return side_by_side(X, rows) if self.skip else side_by_side(X)

    def chain(self) -> Chain | None:
        """Return the chain, but with norms or dropout None."""
        if len(self.norms) or (len(self.drops) and self.training):
            return None
        residual = tuple(self.residual and a == b for a, b in pairwise(self.sizes))
        return Chain(self.activation, self.sizes, residual, self.skip)

    def _activated(self, i: int, hidden: Tensor, X: Tensor) -> Tensor:
        """Return what follows a layer's product: activation, dropout, and the layer's input."""
        hidden = _ACTIVATIONS[self.activation](hidden)
        if len(self.drops):
            hidden = self.drops[i](hidden)
        return X + hidden if self.residual and X.shape == hidden.shape else hidden
