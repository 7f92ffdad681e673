"""How pictures lie in memory."""

from __future__ import annotations

from torch import Tensor

# With fewer channels than fill a vector register the layout was measured a tenth slower.
_FEWEST_CHANNELS = 16


def channels_last(X: Tensor, n_channels: int) -> Tensor:
    """Return the same pictures (n, C, H, W), the channels of a pixel side by side where it pays.

    Convolutions, batch norm and above all pooling to `n_channels` and more are faster so on a
    CPU, and each layer keeps the layout of its input. That of one channel is ambiguous, and torch
    would take it for the usual one: its strides are set by hand. The weights stay as they are, so
    that nothing that saves or stacks them need know of it. Other devices were not measured.
    """
    if X.device.type != "cpu" or n_channels < _FEWEST_CHANNELS:
        return X
    n, channels, height, width = X.shape
    if channels == 1:
        return X.reshape(n, height, width, 1).permute(0, 3, 1, 2)
    # As torch.channels_last, which torch.func.vmap does not know.
    return X.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
