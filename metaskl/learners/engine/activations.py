"""Activations with their first and second derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Activation(NamedTuple):
    """An activation f, and what multiplies by its derivatives.

    `z` is what came in and `h` = f(z) what went out; `z` is h, too, where `by_sum` is False.

    Attributes
    ----------
    value : callable
        z -> f(z).
    times_slope : callable
        v, z, h -> v f′(z).
    curvature : callable or None
        z, h -> f″(z); None where that is 0 everywhere.
    by_sum : bool
        Whether the derivatives need z, or h alone.
    """

    value: Callable[[Tensor], Tensor]
    times_slope: Callable[[Tensor, Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor] | None
    by_sum: bool


def _elu_curvature(z: Tensor, h: Tensor) -> Tensor:
    return torch.where(h > 0, 0.0, h + 1)


def _normal_density(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _silu_curvature(z: Tensor, h: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 - s) * (2 + z - 2 * h)


_aten = torch.ops.aten

ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu, lambda v, z, h: _aten.threshold_backward(v, h, 0.0), None, False
    ),
    "tanh": Activation(
        torch.tanh,
        lambda v, z, h: _aten.tanh_backward(v, h),
        lambda z, h: 2 * h * (h * h - 1),
        False,
    ),
    "elu": Activation(
        torch.nn.functional.elu,
        lambda v, z, h: _aten.elu_backward(v, 1.0, 1.0, 1.0, True, h),
        _elu_curvature,
        False,
    ),
    "gelu": Activation(
        torch.nn.functional.gelu,
        lambda v, z, h: _aten.gelu_backward(v, z),
        lambda z, h: _normal_density(z) * (2 - z * z),
        True,
    ),
    "silu": Activation(
        torch.nn.functional.silu,
        lambda v, z, h: _aten.silu_backward(v, z),
        _silu_curvature,
        True,
    ),
}
