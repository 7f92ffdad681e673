"""A network with weights to start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from torch import nn

from metaskl.backbones.base import Backbone
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

    @property
    def spec(self) -> Backbone:
        """The network without its weights."""
        return self.backbone.spec

    @property
    def feature_axis(self) -> int:  # type: ignore[override]
        """The network's own."""
        return self.backbone.feature_axis

    @property
    def unscaled_columns(self) -> tuple[int, ...]:
        """The network's own."""
        return self.backbone.unscaled_columns

    def remark(self, X: npt.NDArray[Any]) -> str:
        """Return what the network has to say of the rows."""
        return self.backbone.remark(X)

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the network and give it its weights."""
        module = self.backbone.build(in_shape)
        if self.state_dict is not None:
            module.load_state_dict(read_state_dict(self.state_dict, module.state_dict()))
        return module
