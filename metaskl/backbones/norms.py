"""Normalisation of convolutions, by name, with no leak between rows by default."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from torch import nn

from metaskl.errors import BackboneError

_BATCH: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {
    1: nn.BatchNorm1d,
    2: nn.BatchNorm2d,
}
_NORMS = ("batch", "batch_statistics", "group", "none")
_GROUPS = 8


def norm_layer(norm: str, n_channels: int, n_axes: int = 2) -> nn.Module:
    """Return a norm layer for feature maps of `n_axes` axes."""
    if norm == "group":
        return nn.GroupNorm(_GROUPS, n_channels)
    if norm == "none":
        return nn.Identity()
    return _BATCH[n_axes](n_channels, track_running_stats=norm == "batch")


def check_norm(norm: str, *n_channels: Any, each: bool = False) -> None:
    """Raise unless the norm is known and the channels suit it, given for `each` block or not."""
    if norm not in _NORMS:
        raise BackboneError(
            f"norm must be one of {sorted(_NORMS)}, got {norm!r}. "
            "Take 'group' unless a published result asks for another."
        )
    advice = (
        f"Give each block a multiple of {_GROUPS}, such as {(32, 64, 128, 256)[: len(n_channels)]}."
        if each
        else "Take 32 or 64."
    )
    for channels in n_channels:
        if not isinstance(channels, Integral) or isinstance(channels, bool):
            raise BackboneError(f"n_channels must be a whole number, got {channels!r}. {advice}")
        if channels < 1:
            raise BackboneError(f"n_channels must be at least 1, got {channels}. {advice}")
        if norm == "group" and channels % _GROUPS:
            raise BackboneError(
                f"n_channels must be a multiple of {_GROUPS} for norm='group', got {channels}. "
                f"{advice}"
            )


def check_halvings(name: str, n_halvings: int, sides: tuple[int, ...]) -> None:
    """Raise unless every side can be halved as often as the network does."""
    if min(sides) < 2**n_halvings:
        raise BackboneError(
            f"{name} halves each side {n_halvings} times, which needs at least {2**n_halvings} "
            f"pixels a side (steps of a sequence), got {sides}. Bring larger rows, or take a "
            "network with fewer blocks."
        )
