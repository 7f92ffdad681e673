"""What a network says of itself if it is a chain of linear layers."""

from __future__ import annotations

import abc
from typing import NamedTuple


class Chain(NamedTuple):
    """Linear layers, each followed by an activation: enough to write its derivatives out.

    Attributes
    ----------
    activation : str
        Applied after each layer: ``"relu"``, ``"tanh"``, ``"elu"``, ``"gelu"`` or ``"silu"``.
    sizes : tuple of int
        Units of the input and of each layer.
    residual : tuple of bool
        For each layer, whether its input is added to its output.
    skip : bool
        Whether the input is appended to the output.
    """

    activation: str
    sizes: tuple[int, ...]
    residual: tuple[bool, ...]
    skip: bool


class Chained(abc.ABC):
    """A network that may be a chain: other networks may well have a `chain` of their own."""

    @abc.abstractmethod
    def chain(self) -> Chain | None:
        """Return the form in which derivatives can be written out, or None in another form."""
