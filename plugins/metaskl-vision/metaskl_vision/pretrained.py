"""Networks of torchvision and timm as backbones, where these are installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from metaskl.backbones import FromModule
from metaskl.errors import MissingExtraError, ParameterError

# What the last layer of the networks of torchvision is called, by how their names begin.
_LAST = {
    "alexnet": "classifier.6",
    "convnext": "classifier.2",
    "densenet": "classifier",
    "efficientnet": "classifier",
    "mnasnet": "classifier",
    "mobilenet": "classifier",
    "regnet": "fc",
    "resnet": "fc",
    "resnext": "fc",
    "shufflenet": "fc",
    "swin": "head",
    "vgg": "classifier.6",
    "vit": "heads",
    "wide_resnet": "fc",
}


def torchvision_backbone(
    name: str,
    *,
    weights: str | None = None,
    state_dict: str | os.PathLike[str] | None = None,
    without: str | None = None,
) -> FromModule:
    """Return a network of torchvision without its classifier, as the spec of a backbone.

    It takes pictures of three channels: read them with ``channels="RGB"``. A network with
    batch normalisation suits learners that do not adapt its weights (prototypes, linear probe).

    Parameters
    ----------
    name : str
        As in ``torchvision.models.list_models()``: ``"resnet18"``.
    weights : str, optional
        Name of the weights that torchvision fetches, such as ``"DEFAULT"``; by default random.
    state_dict : path-like, optional
        File with the weights of the whole network, instead.
    without : str, optional
        Name of the part to leave out; known by itself for the usual networks.

    Returns
    -------
    FromModule
        The spec, for an estimator's parameter ``backbone``.

    Raises
    ------
    MissingExtraError
        If torchvision is not installed.
    ParameterError
        If the last layer's name is not known for this network, or two kinds of weights are given.
    """
    if weights is not None and state_dict is not None:
        raise ParameterError(
            f"weights and state_dict must not both be given, got {weights!r} and {state_dict!r}. "
            "Leave one out."
        )
    last = classifier_of(name) if without is None else without
    _require("torchvision")
    arguments: dict[str, Any] = {"name": name, "weights": weights}
    return FromModule("torchvision.models:get_model", arguments, state_dict, last)


def timm_backbone(
    name: str,
    *,
    pretrained: bool = False,
    in_chans: int = 3,
    state_dict: str | os.PathLike[str] | None = None,
) -> FromModule:
    """Return a network of timm without its classifier, as the spec of a backbone.

    Parameters
    ----------
    name : str
        As in ``timm.list_models()``: ``"resnet18"``.
    pretrained : bool, default=False
        Whether timm fetches its weights.
    in_chans : int, default=3
        Channels of the pictures, >= 1; timm sums the first layer's weights for one.
    state_dict : path-like, optional
        File with the weights of the network, without its classifier.

    Returns
    -------
    FromModule
        The spec, for an estimator's parameter ``backbone``.

    Raises
    ------
    MissingExtraError
        If timm is not installed.
    """
    _require("timm")
    arguments = {
        "model_name": name,
        "pretrained": pretrained,
        "in_chans": in_chans,
        "num_classes": 0,
    }
    return FromModule("timm:create_model", arguments, state_dict)


def classifier_of(name: str) -> str:
    """Return what the last layer of a network of torchvision is called.

    Examples
    --------
    >>> from metaskl_vision.pretrained import classifier_of
    >>> classifier_of("resnet18"), classifier_of("vit_b_16")
    ('fc', 'heads')
    """
    for start, last in _LAST.items():
        if name.startswith(start):
            return last
    raise ParameterError(
        f"name must begin with one of {sorted(_LAST)} for its last layer to be known, got "
        f"{name!r}. Give the layer's name as without=..."
    )


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"this backbone needs the package {package}, which is not installed. Install it: "
            f"pip install 'metaskl-vision[{package}]'."
        )
