"""Comparisons that say what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Double precision throughout, so that a real difference is told from rounding.
RTOL, ATOL = 1e-7, 1e-9


def require_close(
    found: Tensor, expected: Tensor, what: str, *, rtol: float = RTOL, atol: float = ATOL
) -> None:
    """Raise an AssertionError that names `what` unless two tensors agree."""
    torch.testing.assert_close(
        found, expected, rtol=rtol, atol=atol, msg=lambda text: f"{what}: {text}"
    )


def snapshot(module: nn.Module) -> dict[str, Any]:
    """Return everything that a module holds: tensors, gradients, flags, attributes."""
    held: dict[str, Any] = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name not in ("_modules", "_parameters", "_buffers"):
                held[f"{path}.{name}"] = _frozen(value)
        for name, parameter in part.named_parameters(recurse=False):
            held[f"{path}.{name}"] = parameter.detach().clone()
            held[f"{path}.{name}.grad"] = _frozen(parameter.grad)
        for name, buffer in part.named_buffers(recurse=False):
            held[f"{path}.{name}"] = buffer.detach().clone()
    return held


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names under which two snapshots differ."""
    return [
        name
        for name in sorted({*before, *after})
        if name not in before or name not in after or not alike(before[name], after[name])
    ]


def alike(a: Any, b: Any) -> bool:
    """Say whether two values are the same, bit by bit where they hold numbers."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and a.device == b.device and _same_numbers(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return a is b


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _frozen(value: Any) -> Any:
    """Copy containers and tensors; other objects are compared by what they are."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_frozen(item) for item in value]
    return value
