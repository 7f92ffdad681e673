"""Four residual blocks of three convolutions: the field's larger network for images."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.dropout import EpisodeDropout
from metaskl.backbones.norms import check_halvings, check_norm, norm_layer
from metaskl.errors import BackboneError


class ResNet12(Backbone):
    """Residual blocks [1]_ of three 3 × 3 convolutions, as in few-shot work [2]_.

    Each block adds a 1 × 1 convolution of its input, ends in a leaky ReLU (slope 0.1) and
    2 × 2 max pooling; the features are the mean over the last maps. For images of some 80
    pixels a side and many classes; for small ones Conv4 is faster and as good.

    Parameters
    ----------
    n_channels : tuple of int, default=(64, 128, 256, 512)
        Channels of each block, >= 1; multiples of 8 for ``norm="group"``. [2]_ and others take
        (64, 160, 320, 640).
    norm : {"batch", "batch_statistics", "group", "none"}, default="group"
        As in :class:`~metaskl.backbones.Conv4`.
    dropout : float, default=0.0
        Share of the last features that training sets to 0, in [0, 1): the same ones for all the
        rows of an outer step (:class:`~metaskl.backbones.EpisodeDropout`).

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun. Deep Residual Learning for Image Recognition. CVPR
       2016.
    .. [2] K. Lee, S. Maji, A. Ravichandran, S. Soatto. Meta-Learning with Differentiable
       Convex Optimization. CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import ResNet12
    >>> ResNet12((8, 8, 16, 16)).build((3, 32, 32))(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        n_channels: tuple[int, ...] = (64, 128, 256, 512),
        norm: str = "group",
        dropout: float = 0.0,
    ) -> None:
        self.n_channels = n_channels
        self.norm = norm
        self.dropout = dropout

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the blocks for images of shape (C, H, W)."""
        require_ndim("ResNet12", in_shape, 3)
        if isinstance(self.n_channels, int | float | str):
            raise BackboneError(
                f"n_channels must hold the channels of each block, got {self.n_channels!r}. Write "
                "for example (64, 128)."
            )
        channels = tuple(self.n_channels)
        check_norm(self.norm, *channels, each=True)
        if not channels or not 0 <= self.dropout < 1:
            raise BackboneError(
                "n_channels must name at least one block and dropout must be in [0, 1), got "
                f"{channels} and {self.dropout}. Start from the defaults."
            )
        check_halvings("ResNet12", len(channels), in_shape[1:])
        return _Residual((in_shape[0], *channels), self.norm, self.dropout)


class _Residual(nn.Module):
    """The blocks of a ResNet12 and the mean over their maps."""

    def __init__(self, sizes: tuple[int, ...], norm: str, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(a, b, norm) for a, b in pairwise(sizes)))
        self.drop = EpisodeDropout(sizes[-1], dropout)
        self.n_features_out = sizes[-1]

    def forward(self, X: Tensor) -> Tensor:
        features: Tensor = self.drop(self.blocks(X).mean((-2, -1)))
        return features


class _Block(nn.Module):
    """Three convolutions, and a short way around them."""

    def __init__(self, n_in: int, n_out: int, norm: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for start in (n_in, n_out, n_out):
            layers += [nn.Conv2d(start, n_out, 3, padding=1, bias=norm == "none")]
            layers += [norm_layer(norm, n_out), nn.LeakyReLU(0.1)]
        self.long = nn.Sequential(*layers[:-1])  # the last activation follows the sum
        self.short = nn.Sequential(
            nn.Conv2d(n_in, n_out, 1, bias=norm == "none"), norm_layer(norm, n_out)
        )

    def forward(self, X: Tensor) -> Tensor:
        return F.max_pool2d(F.leaky_relu(self.long(X) + self.short(X), 0.1), 2)
