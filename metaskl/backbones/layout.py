"""How pictures and features lie in memory."""

from __future__ import annotations

import torch
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


def side_by_side(*parts: Tensor) -> Tensor:
    """Join features, in a prediction with every row on an address that is a multiple of 16 bytes.

    Where a row of single precision lies decides in what order some processors (AVX2) add up its
    products with few outputs, and a prediction must not depend on the row's place in the call.
    """
    width = sum(part.shape[-1] for part in parts)
    if torch.is_grad_enabled() or width % 4 == 0:
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
    filling = parts[0].new_zeros(*parts[0].shape[:-1], -width % 4)
    return torch.cat([*parts, filling], dim=-1)[..., :width]
