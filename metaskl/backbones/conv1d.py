"""Convolutions along a sequence."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.norms import check_halvings, check_norm, norm_layer
from metaskl.errors import BackboneError


class Conv1D(Backbone):
    """Blocks of convolution along time, normalisation, ReLU and max pooling; the mean over time.

    For sequences of one length with local patterns (spectra, heart beats, sensor windows);
    where the order over the whole length counts, Recurrent.

    Parameters
    ----------
    n_channels : int, default=64
        Channels of every block, >= 1; a multiple of 8 for ``norm="group"``.
    kernel_size : int, default=5
        Steps that a convolution sees, odd.
    n_blocks : int, default=3
        Number of blocks, >= 1; each halves the length.
    norm : {"batch", "batch_statistics", "group", "none"}, default="group"
        As in :class:`~metaskl.backbones.Conv4`.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import Conv1D
    >>> Conv1D(n_channels=8).build((2, 50))(torch.zeros(4, 2, 50)).shape
    torch.Size([4, 8])
    """

    def __init__(
        self, n_channels: int = 64, kernel_size: int = 5, n_blocks: int = 3, norm: str = "group"
    ) -> None:
        self.n_channels = n_channels
        self.kernel_size = kernel_size
        self.n_blocks = n_blocks
        self.norm = norm

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the blocks for sequences of shape (channels, length)."""
        require_ndim("Conv1D", in_shape, 2)
        check_norm(self.norm, self.n_channels)
        if self.kernel_size < 1 or self.kernel_size % 2 == 0 or self.n_blocks < 1:
            raise BackboneError(
                "kernel_size must be odd and n_blocks at least 1, got "
                f"{self.kernel_size} and {self.n_blocks}. Start from the defaults."
            )
        check_halvings("Conv1D", self.n_blocks, in_shape[1:])
        sizes = [in_shape[0]] + [self.n_channels] * self.n_blocks
        return _Blocks(sizes, self.kernel_size, self.norm)


class _Blocks(nn.Module):
    """The blocks of a Conv1D and the mean over time."""

    def __init__(self, sizes: list[int], kernel_size: int, norm: str) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv1d(a, b, kernel_size, padding=kernel_size // 2),
                    norm_layer(norm, b, n_axes=1),
                    nn.ReLU(),
                    nn.MaxPool1d(2),
                )
                for a, b in pairwise(sizes)
            )
        )
        self.n_features_out = sizes[-1]

    def forward(self, X: Tensor) -> Tensor:
        features: Tensor = self.blocks(X).mean(-1)
        return features
