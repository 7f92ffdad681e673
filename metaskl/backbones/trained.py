"""A network with weights to start from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from metaskl.backbones.base import Backbone
from metaskl.errors import BackboneError, ModelFileError
from metaskl.persistence import read_state_dict


class Trained(Backbone):
    """A network whose weights are there before meta-training, which starts from them.

    What one learner has trained another may start from: ``backbone=fitted.backbone_``. Episodes
    of many classes for prototypes, say, train pictures faster than MAML's second derivatives do,
    and MAML goes on from there.

    Parameters
    ----------
    backbone : Backbone
        The network.
    state_dict : path-like or mapping of str to array, optional
        Its weights: a ``.safetensors`` file, a torch file that holds tensors only, or the arrays
        or tensors themselves by name. None starts from random ones.

    Raises
    ------
    BackboneError
        If `backbone` is no spec.
    ModelFileError
        If the file cannot be read, or names or shapes are not those of the network.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP, Trained
    >>> weights = MLP((8,)).build((3,)).state_dict()
    >>> module = Trained(MLP((8,)), weights).build((3,))
    >>> all(torch.equal(module.state_dict()[name], weights[name]) for name in weights)
    True
    """

    def __init__(
        self,
        backbone: Backbone,
        state_dict: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    ) -> None:
        self.backbone = backbone
        self.state_dict = state_dict

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the network, and a mark of its weights in place of the numbers."""
        weights = self.state_dict
        if isinstance(weights, Mapping):
            digest = hashlib.sha256()
            for name, values in weights.items():
                digest.update(name.encode() + np.asarray(values).tobytes())
            weights = f"<{len(weights)} arrays, {digest.hexdigest()[:12]}>"
        return f"Trained({self.backbone!r}, {weights})"

    @property
    def innermost(self) -> Backbone:
        """The network that gets the weights."""
        if not isinstance(self.backbone, Backbone):
            raise BackboneError(
                "backbone of Trained must be a spec such as Conv4(), got a "
                f"{type(self.backbone).__name__}. Give its weights as state_dict."
            )
        return self.backbone.innermost

    @property
    def untrained(self) -> Backbone:
        """A copy of the network without its weights."""
        return self.innermost.untrained

    @property
    def feature_axis(self) -> int:  # type: ignore[override]
        """The network's own."""
        return self.innermost.feature_axis

    @property
    def unscaled_columns(self) -> tuple[int, ...]:
        """The network's own."""
        return self.innermost.unscaled_columns

    def remark(self, X: npt.NDArray[Any]) -> str:
        """Return what the network has to say of the rows."""
        return self.innermost.remark(X)

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the network and give it its weights."""
        _ = self.innermost  # there is one
        module = self.backbone.build(in_shape)
        if self.state_dict is None:
            return module
        try:
            weights = read_state_dict(self.state_dict, module.state_dict())
        except ModelFileError as error:
            if "of another shape" not in str(error):
                raise
            raise ModelFileError(
                f"{error} Here it is {self.backbone!r} for rows of shape {tuple(in_shape)}: other "
                "columns than those that it was trained on make another module, too."
            ) from error
        module.load_state_dict(weights)
        return module
