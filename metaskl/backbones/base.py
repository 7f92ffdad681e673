"""The spec of a network: hyper-parameters now, a torch module once the features are known."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from torch import nn

from metaskl.errors import BackboneError


class Backbone(BaseEstimator, abc.ABC):  # type: ignore[misc]
    """Spec of a feature extractor.

    A spec holds hyper-parameters only, so that ``backbone__hidden_layer_sizes`` works in
    ``set_params``, grid searches and ``repr``. :meth:`build` makes the module.
    """

    # Which axis of X holds the features that are standardised each by itself: columns of tables,
    # channels of images.
    feature_axis: ClassVar[int] = 1

    @property
    def innermost(self) -> Backbone:
        """The network itself, where a spec holds another one."""
        return self

    @property
    def untrained(self) -> Backbone:
        """A copy without weights to start from: every parameter ``state_dict`` is None."""
        copied: Backbone = clone(self)
        files = [name for name in copied.get_params() if name.split("__")[-1] == "state_dict"]
        copied.set_params(**dict.fromkeys(files))
        return copied

    @property
    def unscaled_columns(self) -> tuple[int, ...]:
        """Columns that must reach the network as they are: codes of categories."""
        return ()

    def remark(self, X: npt.NDArray[Any]) -> str:
        """Return what a user should know of the rows of fit, or nothing.

        Parameters
        ----------
        X : ndarray of shape (n_rows, ...)
            The features, not standardised.

        Returns
        -------
        str
            One sentence or more; empty if all is well.
        """
        del X
        return ""

    @abc.abstractmethod
    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the module for rows of shape `in_shape`.

        Parameters
        ----------
        in_shape : tuple of int
            Shape of one row: ``(n_features,)``, ``(channels, height, width)``,
            ``(channels, length)`` or ``(elements, n_features)``.

        Returns
        -------
        torch.nn.Module
            Maps ``(n, *in_shape)`` to ``(n, n_features_out)`` and has the attribute
            ``n_features_out``.

        Raises
        ------
        BackboneError
            If rows of that shape do not fit the network.
        """


def require_ndim(name: str, in_shape: tuple[int, ...], ndim: int) -> None:
    """Raise unless rows have the number of axes that a network takes."""
    if len(in_shape) != ndim:
        wanted = {
            1: "rows of features (n, n_features)",
            2: "sequences (n, channels, length) or sets (n, elements, n_features)",
            3: "images (n, C, H, W)",
        }[ndim]
        raise BackboneError(
            f"backbone {name} takes {wanted}, got rows of shape {in_shape}. "
            "Use MLP for tables, Recurrent or Conv1D for sequences, DeepSets for sets, Conv4 or "
            "ResNet12 for images, or FromModule with a network of your own."
        )
