"""A network of one's own as a backbone."""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from metaskl.backbones.base import Backbone
from metaskl.errors import BackboneError
from metaskl.persistence import read_state_dict

# What a network of one's own raises where the rows do not fit it, or what it returns is no tensor
# of rows.
_OF_A_MODULE = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)


# Builders that may be named in a text, which a file of another's can hold: they make networks and
# nothing else.
_NAMED = ("torch.nn", "torchvision.models", "timm")


class FromModule(Backbone):
    """Any torch module as a backbone: a class with its arguments, or a module that exists.

    Parameters
    ----------
    module : torch.nn.Module, type, callable or str
        A module (a pre-trained one, say; it is copied, never changed), or what builds one from
        `arguments`: a class, a function, or the name of one in ``torch.nn``, timm or
        torchvision, such as ``"timm:create_model"`` or ``"torchvision.models:resnet18"``. The
        module maps ``(n, *feature)`` to ``(n, ...)``; more than one output axis is flattened.
    arguments : dict, optional
        Keyword arguments of what builds it.
    state_dict : path-like, optional
        File with the weights to start from: ``.safetensors``, or a torch file that holds
        tensors only. Entries of another name than the module's are refused by name.
    without : str, optional
        Name of the part to leave out once the weights are loaded, such as the old classifier
        ``"fc"`` of a ResNet of torchvision.

    Raises
    ------
    BackboneError
        If the library named is not installed, the arguments do not fit, or the module does not
        take the rows.

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
        module: nn.Module | type[nn.Module] | Callable[..., nn.Module] | str,
        arguments: dict[str, Any] | None = None,
        state_dict: str | os.PathLike[str] | None = None,
        without: str | None = None,
    ) -> None:
        self.module = module
        self.arguments = arguments
        self.state_dict = state_dict
        self.without = without

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build or copy the module and try it on rows of `in_shape`."""
        module = self._module()
        if self.state_dict is not None:
            module.load_state_dict(read_state_dict(self.state_dict, module.state_dict()))
        if self.without is not None:
            _leave_out(module, self.without)
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
        build = _named(self.module) if isinstance(self.module, str) else self.module
        module = None
        if callable(build):
            try:
                module = build(**(self.arguments or {}))
            except TypeError as error:
                raise BackboneError(
                    f"arguments must be those of {getattr(build, '__name__', build)}, got "
                    f"{self.arguments!r}: {error}. Name each argument that it takes."
                ) from error
        if not isinstance(module, nn.Module):
            raise BackboneError(
                f"module must be a torch.nn.Module or what builds one, got {self.module!r}. "
                "Give a class or a function with its arguments, or a module that is already built."
            )
        return module


def _named(name: str) -> Any:
    """Return the builder of a network by its name ``"package.module:function"``."""
    place, _, function = name.partition(":")
    if not function or not any(place == top or place.startswith(f"{top}.") for top in _NAMED):
        raise BackboneError(
            f"module must name a builder of {', '.join(_NAMED)}, as in 'timm:create_model', got "
            f"{name!r}. Import anything else yourself and give the class or the function."
        )
    package = place.partition(".")[0]
    try:
        found = importlib.import_module(place)
    except ImportError as error:
        raise BackboneError(
            f"module={name!r} needs the package {package}, which cannot be imported: {error}. "
            f"Install it: pip install {package}."
        ) from error
    if not hasattr(found, function):
        raise BackboneError(f"module={name!r}: {place} has no {function!r}. Check the spelling.")
    return getattr(found, function)


def _leave_out(module: nn.Module, name: str) -> None:
    """Replace a part of a network by nothing."""
    try:
        module.get_submodule(name)
    except AttributeError as error:
        parts = [part for part, _ in module.named_children()]
        raise BackboneError(
            f"without must name a part of {type(module).__name__}, which has {parts}, got {name!r}."
        ) from error
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Identity())


class _Flat(nn.Module):
    """A module whose output has one feature axis."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.n_features_out = 0

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.module(X).flatten(1)
        return features
