"""A network of one's own as a backbone."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from torch import nn

from metaskl.backbones.base import Backbone
from metaskl.errors import BackboneError
from metaskl.persistence import read_state_dict

# What a network of one's own raises where the rows do not fit it, or what it returns is no tensor
# of rows.
_OF_A_MODULE = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)


class FromModule(Backbone):
    """Any torch module as a backbone: a class with its arguments, or a module that exists.

    Parameters
    ----------
    module : torch.nn.Module or type
        A module (a pre-trained one, say; it is copied, never changed), or a module class
        that is built with `arguments`. It maps ``(n, *feature)`` to ``(n, ...)``; more than
        one output axis is flattened.
    arguments : dict, optional
        Keyword arguments of the class.
    state_dict : path-like, optional
        File with the weights to start from: ``.safetensors``, or a torch file that holds
        tensors only. Entries of another name than the module's are refused by name.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import FromModule
    >>> body = FromModule(torch.nn.Bilinear, {"in1_features": 1})  # built later, with a shape
    >>> FromModule(torch.nn.Linear(3, 5)).build((3,)).n_features_out
    5
    """

    def __init__(
        self,
        module: nn.Module | type[nn.Module],
        arguments: dict[str, Any] | None = None,
        state_dict: str | os.PathLike[str] | None = None,
    ) -> None:
        self.module = module
        self.arguments = arguments
        self.state_dict = state_dict

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build or copy the module and try it on rows of `in_shape`."""
        module = self._module()
        if self.state_dict is not None:
            module.load_state_dict(read_state_dict(self.state_dict, module.state_dict()))
        wrapped = _Flat(module)
        training = module.training
        module.eval()
        try:
            with torch.no_grad():
                wrapped.n_features_out = int(wrapped(torch.zeros(2, *in_shape)).shape[1])
        except _OF_A_MODULE as error:
            raise BackboneError(
                f"backbone FromModule({type(module).__name__}) does not take rows of shape "
                f"{in_shape}: {error}. Give a module that maps (n, {', '.join(map(str, in_shape))})"
                " to (n, features)."
            ) from error
        module.train(training)
        return wrapped

    def _module(self) -> nn.Module:
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        if isinstance(self.module, type) and issubclass(self.module, nn.Module):
            try:
                return self.module(**(self.arguments or {}))
            except TypeError as error:
                raise BackboneError(
                    f"arguments must be those of {self.module.__name__}, got "
                    f"{self.arguments!r}: {error}. Name each argument of its __init__."
                ) from error
        raise BackboneError(
            f"module must be a torch.nn.Module or a class of one, got {self.module!r}. "
            "Give the class itself with its arguments, or a module that is already built."
        )


class _Flat(nn.Module):
    """A module whose output has one feature axis."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.n_features_out = 0

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.module(X).flatten(1)
        return features
