"""Many tensors as one row, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor


def rows_of(stack: Tensor) -> Tensor:
    """Return one tensor a task as one row a task, one number a task as a row of one."""
    return stack.flatten(1) if stack.ndim > 1 else stack[:, None]


class Packing:
    """The order and the shapes in which named tensors lie in one row.

    Parameters
    ----------
    shapes : mapping of str to torch.Size
        Name to shape.

    Examples
    --------
    >>> import torch
    >>> from metaskl.learners.engine.packing import Packing
    >>> packing = Packing({"weight": torch.Size((2, 3)), "bias": torch.Size((2,))})
    >>> row = packing.packed([torch.ones(2, 3), torch.zeros(2)])
    >>> row.shape, packing.unpacked(row.expand(5, 8))["weight"].shape
    (torch.Size([8]), torch.Size([5, 2, 3]))
    """

    def __init__(self, shapes: Mapping[str, torch.Size]) -> None:
        self.shapes = dict(shapes)
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        self._entries: dict[torch.device, Tensor] = {}

    def entry(self, device: torch.device) -> Tensor:
        """Return the number of the tensor that each place of the row belongs to.

        Sent to a device once: a GPU would be waited for.
        """
        if device not in self._entries:
            sizes = torch.tensor(self.sizes, device="cpu")
            entry = torch.arange(len(sizes), device="cpu").repeat_interleave(sizes)
            self._entries[device] = entry.to(device)
        return self._entries[device]

    def packed(self, tensors: Iterable[Tensor]) -> Tensor:
        """Return tensors, given in order, as one row."""
        return torch.cat([tensor.reshape(-1) for tensor in tensors])

    def stack(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return tensors with a leading task axis as one row a task."""
        return torch.cat([rows_of(tensors[name]) for name in self.shapes], dim=1)

    def unpacked(self, rows: Tensor) -> dict[str, Tensor]:
        """Return one row a task as tensors with a leading task axis: views."""
        parts = torch.split(rows, self.sizes, dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.reshape(len(rows), *shape) for (name, shape), part in named}

    def separate(self, row: Tensor) -> list[Tensor]:
        """Return one row as tensors, in order: views."""
        parts = torch.split(row, self.sizes)
        return [p.view(shape) for p, shape in zip(parts, self.shapes.values(), strict=True)]


def packing_of(tensors: Mapping[str, Tensor]) -> Packing:
    """Return the packing of named tensors."""
    return _packing(tuple((name, tensor.shape) for name, tensor in tensors.items()))


@lru_cache(maxsize=64)
def _packing(shapes: tuple[tuple[str, torch.Size], ...]) -> Packing:
    return Packing(dict(shapes))
