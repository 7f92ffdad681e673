"""Rows that are sets: the order of their elements does not matter."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.mlp import MLP
from metaskl.errors import BackboneError

_POOLING = ("max", "mean", "sum")


class DeepSets(Backbone):
    """A network for each element, pooling over elements, a network for what comes of it [1]_.

    For rows of shape (elements, n_features), such as the visits of a patient or the atoms of a
    molecule, in no order. All sets have as many elements; standardising is by feature.

    Parameters
    ----------
    element_layer_sizes : tuple of int, default=(64, 64)
        Units of the layers for each element, each >= 1.
    set_layer_sizes : tuple of int, default=(64,)
        Units of the layers after pooling, each >= 1. May be empty.
    pooling : {"mean", "sum", "max"}, default="mean"
        How elements become one.
    activation : str, default="relu"
        As in :class:`~metaskl.backbones.MLP`.

    References
    ----------
    .. [1] M. Zaheer, S. Kottur, S. Ravanbakhsh, B. Poczos, R. Salakhutdinov, A. Smola. Deep
       Sets. NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import DeepSets
    >>> DeepSets(set_layer_sizes=(16,)).build((10, 3))(torch.zeros(4, 10, 3)).shape
    torch.Size([4, 16])
    """

    feature_axis: ClassVar[int] = -1

    def __init__(
        self,
        element_layer_sizes: tuple[int, ...] = (64, 64),
        set_layer_sizes: tuple[int, ...] = (64,),
        pooling: str = "mean",
        activation: str = "relu",
    ) -> None:
        self.element_layer_sizes = element_layer_sizes
        self.set_layer_sizes = set_layer_sizes
        self.pooling = pooling
        self.activation = activation

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build both networks for sets of shape (elements, n_features)."""
        require_ndim("DeepSets", in_shape, 2)
        if self.pooling not in _POOLING:
            raise BackboneError(f"pooling must be one of {_POOLING}, got {self.pooling!r}.")
        sizes = tuple(self.element_layer_sizes)
        element = MLP(sizes, self.activation).build(in_shape[1:])
        whole = MLP(self.set_layer_sizes, self.activation).build((*in_shape[1:], *sizes)[-1:])
        return _Pooled(element, whole, self.pooling)


class _Pooled(nn.Module):
    """Both networks with pooling between them."""

    def __init__(self, element: nn.Module, whole: nn.Module, pooling: str) -> None:
        super().__init__()
        self.element = element
        self.whole = whole
        self.pooling = pooling
        self.n_features_out = whole.n_features_out

    def forward(self, X: Tensor) -> Tensor:
        elements = self.element(X)
        pooled = elements.amax(1) if self.pooling == "max" else elements.sum(1)
        if self.pooling == "mean":
            pooled = pooled / elements.shape[1]
        features: Tensor = self.whole(pooled)
        return features
