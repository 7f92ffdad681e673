"""Four convolution blocks, the field's standard network for small images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.layout import channels_last
from metaskl.backbones.norms import check_halvings, check_norm, norm_layer
from metaskl.errors import BackboneError

# Of the pixels that are features: a linear head on more would know little more of an image.
_LARGEST_SIDE = 32
# The weight of all pixels, in features of variance 1: with more, prototypes of drawings are those
# of pixels, with less, faces are told apart by what the blocks learned of a few others.
_PIXELS_WEIGH = 64


class Conv4(Backbone):
    """Four blocks of 3 × 3 convolution, normalisation, ReLU and 2 × 2 max pooling [1]_ or strides.

    Parameters
    ----------
    n_channels : int or tuple of int, default=64
        Channels of every block, or of each, one number a block; >= 1; multiples of 8 for
        ``norm="group"``. The work of a block falls to a quarter from one to the next, so that
        channels which grow, such as ``(32, 64, 128, 256)``, cost about as much as 64 everywhere.
    norm : {"batch", "batch_statistics", "group", "none"}, default="group"
        ``"group"`` normalises each image by itself: no row's prediction depends on another's.
        ``"batch"`` keeps running statistics over meta-training; it is for learners that do not
        adapt the network's weights (prototypes, ridge head). ``"batch_statistics"`` normalises
        by the rows in the call, which makes predictions depend on the other query rows
        (transductive): use it only to repeat results that were made that way.
    n_blocks : int, default=4
        Number of blocks, >= 1; each halves height and width, which takes 2^n_blocks pixels a side
        unless ``stride=True``.
    skip : bool, default=False
        Append the pixels to the features, as ``MLP(skip=True)`` does the columns: C·H·W features
        more, or, where a side has more than 32 pixels, as many as squares of pixels leave, each
        the mean of one. All are multiplied by one learned number; it starts where the pixels
        together have the variance of 64 features. With few classes to learn from they are the
        better part of what is known of an image.
    stride : bool, default=False
        Halve by a convolution of stride 2 in place of the pooling, as MAML's network for
        Omniglot does [2]_: a quarter of the convolutions' work. Odd sides are rounded up, where
        pooling rounds them down, so that 28 × 28 pixels give four times the features.

    References
    ----------
    .. [1] O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. Matching
       Networks for One Shot Learning. NeurIPS 2016.
    .. [2] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation of
       Deep Networks. ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import Conv4
    >>> Conv4(n_channels=8).build((1, 28, 28))(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        n_channels: int | tuple[int, ...] = 64,
        norm: str = "group",
        n_blocks: int = 4,
        skip: bool = False,
        stride: bool = False,
    ) -> None:
        self.n_channels = n_channels
        self.norm = norm
        self.n_blocks = n_blocks
        self.skip = skip
        self.stride = stride

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the blocks for images of shape (C, H, W)."""
        require_ndim("Conv4", in_shape, 3)
        if not isinstance(self.skip, bool):
            raise BackboneError(
                f"skip must be True or False, got {self.skip!r}. Take True where images lie alike "
                "and classes are few."
            )
        if not isinstance(self.stride, bool):
            raise BackboneError(
                f"stride must be True or False, got {self.stride!r}. Take True for a quarter "
                "of the work."
            )
        if self.n_blocks < 1:
            raise BackboneError(f"n_blocks must be at least 1, got {self.n_blocks}. Take 4.")
        channels: Any = self.n_channels
        each = isinstance(channels, Sequence) and not isinstance(channels, str)
        channels = tuple(channels) if each else (channels,) * self.n_blocks
        if len(channels) != self.n_blocks:
            raise BackboneError(
                f"n_channels must be one number or n_blocks={self.n_blocks} of them, got "
                f"{self.n_channels!r}."
            )
        check_norm(self.norm, *channels, each=each)
        if not self.stride:
            check_halvings("Conv4", self.n_blocks, in_shape[1:])
        return _Blocks(in_shape, channels, self.norm, skip=self.skip, stride=self.stride)


def _block(n_in: int, n_out: int, norm: str, *, stride: bool) -> nn.Module:
    layers = [nn.Conv2d(n_in, n_out, 3, stride=1 + stride, padding=1), norm_layer(norm, n_out)]
    if not stride:
        layers.append(nn.MaxPool2d(2))  # it and ReLU commute, ties and gradients included
    return nn.Sequential(*layers, nn.ReLU())


class _Blocks(nn.Module):
    """The blocks of a Conv4."""

    def __init__(
        self,
        in_shape: tuple[int, ...],
        channels: Sequence[int],
        norm: str,
        *,
        skip: bool,
        stride: bool,
    ) -> None:
        super().__init__()
        blocks = (_block(a, b, norm, stride=stride) for a, b in pairwise([in_shape[0], *channels]))
        self.blocks = nn.Sequential(*blocks, nn.Flatten())
        part = 2 ** len(channels)
        height, width = (math.ceil(n / part) if stride else n // part for n in in_shape[1:])
        self.n_channels = channels[0]  # of the largest maps
        self.n_features_out = channels[-1] * height * width
        self.skip = skip
        if skip:
            square = math.ceil(max(in_shape[1:]) / _LARGEST_SIDE)
            self.pixels = nn.Sequential(nn.AvgPool2d(square, ceil_mode=True), nn.Flatten())
            height, width = (math.ceil(side / square) for side in in_shape[1:])
            n_pixels = in_shape[0] * height * width
            self.n_features_out += n_pixels
            self.log_scale = nn.Parameter(torch.tensor(0.5 * math.log(_PIXELS_WEIGH / n_pixels)))

    def forward(self, X: Tensor) -> Tensor:
        features: Tensor = self.blocks(channels_last(X, self.n_channels))
        if not self.skip:
            return features
        return torch.cat([features, self.log_scale.exp() * self.pixels(X)], dim=-1)
