"""Changes of pictures in training that leave their classes as they are.

They go into an estimator's parameter ``augment``, alone or in a list, as
:class:`metaskl.tasks.RandomAffine` does, and change support and query, each picture by a draw of
its own. Pictures come standardised: 0 is the mean of the channel, 1 a standard deviation.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl.tasks import Augmentation, Episode


class PictureAugmentation(Augmentation):
    """A change of each picture by itself: a subclass gives :meth:`changed`."""

    # Name of each parameter with the least and greatest value it may have.
    limits: ClassVar[dict[str, tuple[float, float]]] = {}

    @abc.abstractmethod
    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return changed pictures (n, C, H, W); the tensor given stays as it is."""

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with its pictures changed."""
        shape = tuple(episode.X_support.shape[2:])
        if len(shape) != 3:
            raise ParameterError(
                f"augment={type(self).__name__}() needs images (n, C, H, W), got rows of shape "
                f"{shape}. Reshape the rows, or choose another augmentation."
            )
        for name, (low, high) in self.limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(
                    f"{name} of {type(self).__name__} must be from {low:g} to {high:g}, got "
                    f"{value!r}. Start from its default."
                )
        parts = (episode.X_support, episode.X_query)
        X = [self.changed(part.flatten(0, 1), rng).reshape(part.shape) for part in parts]
        return episode._replace(X_support=X[0], X_query=X[1])


@dataclass
class RandomFlip(PictureAugmentation):
    """Mirror some of the pictures.

    Parameters
    ----------
    horizontal : float, default=0.5
        Share of the pictures whose left and right change places, 0 to 1.
    vertical : float, default=0.0
        Share of the pictures whose top and bottom change places, 0 to 1.

    Examples
    --------
    >>> from metaskl_vision import RandomFlip
    >>> RandomFlip(vertical=0.5)
    RandomFlip(horizontal=0.5, vertical=0.5)
    """

    horizontal: float = 0.5
    vertical: float = 0.0
    limits: ClassVar = {"horizontal": (0.0, 1.0), "vertical": (0.0, 1.0)}

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the pictures, some of them mirrored."""
        for axis, rate in ((-1, self.horizontal), (-2, self.vertical)):
            chosen = _per_picture(rng.random(len(images)) < rate, images)
            images = torch.where(chosen, images.flip(axis), images)
        return images


@dataclass
class RandomCrop(PictureAugmentation):
    """Move each picture by whole pixels, as cutting it out of a larger one does.

    What comes in from outside is the nearest edge pixel.

    Parameters
    ----------
    padding : int, default=4
        Largest move to each side in pixels, 0 to 1000.

    Examples
    --------
    >>> from metaskl_vision import RandomCrop
    >>> RandomCrop(padding=2)
    RandomCrop(padding=2)
    """

    padding: int = 4
    limits: ClassVar = {"padding": (0, 1000)}

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the pictures, each moved by a draw of its own."""
        moves = rng.integers(-self.padding, self.padding, (2, len(images)), endpoint=True)
        height, width = images.shape[-2:]
        rows = np.clip(np.arange(height) + moves[0][:, None], 0, height - 1)
        columns = np.clip(np.arange(width) + moves[1][:, None], 0, width - 1)
        picture = torch.arange(len(images), device=images.device)[:, None, None]
        row = torch.from_numpy(rows).to(images.device)[:, :, None]
        column = torch.from_numpy(columns).to(images.device)[:, None, :]
        return images.permute(0, 2, 3, 1)[picture, row, column].permute(0, 3, 1, 2)


@dataclass
class RandomErasing(PictureAugmentation):
    """Cover a rectangle of some of the pictures with the channels' mean [1]_.

    Parameters
    ----------
    rate : float, default=0.5
        Share of the pictures that are changed, 0 to 1.
    area : float, default=0.2
        Largest part of a picture that is covered, 0 to 1; the smallest is a tenth of it.
    aspect : float, default=3.0
        How many times longer than wide, or wider than long, a rectangle may be, 1 to 10.

    References
    ----------
    .. [1] Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang. Random Erasing Data Augmentation.
       AAAI 2020.

    Examples
    --------
    >>> from metaskl_vision import RandomErasing
    >>> RandomErasing(area=0.1)
    RandomErasing(rate=0.5, area=0.1, aspect=3.0)
    """

    rate: float = 0.5
    area: float = 0.2
    aspect: float = 3.0
    limits: ClassVar = {"rate": (0.0, 1.0), "area": (0.0, 1.0), "aspect": (1.0, 10.0)}

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the pictures, some of them with a rectangle covered."""
        n_images, (height, width) = len(images), images.shape[-2:]
        pixels = height * width * self.area * rng.uniform(0.1, 1.0, n_images)
        stretch = np.exp(np.log(self.aspect) * rng.uniform(-0.5, 0.5, n_images))
        place = rng.random((2, n_images))
        inside = []
        for side, along, at in ((height, stretch, place[0]), (width, 1 / stretch, place[1])):
            # Floor, so that no more than `area` is covered.
            length = np.minimum(np.floor(np.sqrt(pixels) * along), side)
            start = np.floor(at * (side - length + 1))
            index = np.arange(side)
            inside.append((index >= start[:, None]) & (index < (start + length)[:, None]))
        covered = inside[0][:, :, None] & inside[1][:, None, :]
        covered &= (rng.random(n_images) < self.rate)[:, None, None]
        return images.masked_fill(torch.from_numpy(covered).to(images.device)[:, None], 0.0)


@dataclass
class RandomLight(PictureAugmentation):
    """Make each picture brighter or darker, and stronger or weaker in contrast.

    Parameters
    ----------
    brightness : float, default=0.3
        Largest change of a picture's level to either side, 0 to 10, in standard deviations of
        the pixels of all pictures.
    contrast : float, default=0.3
        Largest relative change of the differences from a picture's own mean, 0 to below 1: 0.3
        is from 0.7 to 1.3 times.

    Examples
    --------
    >>> from metaskl_vision import RandomLight
    >>> RandomLight(contrast=0.5)
    RandomLight(brightness=0.3, contrast=0.5)
    """

    brightness: float = 0.3
    contrast: float = 0.3
    limits: ClassVar = {"brightness": (0.0, 10.0), "contrast": (0.0, 0.999)}

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the pictures in another light."""
        draws = rng.uniform(-1.0, 1.0, (2, len(images)))
        mean = images.mean((1, 2, 3), keepdim=True)
        level = mean + _per_picture(self.brightness * draws[0], images).to(images)
        return level + (images - mean) * _per_picture(1 + self.contrast * draws[1], images).to(
            images
        )


def _per_picture(values: npt.NDArray[np.generic], images: Tensor) -> Tensor:
    """Return one value a picture in the shape (n, 1, 1, 1), on the pictures' device."""
    values = values.astype(np.float32) if values.dtype == np.float64 else values
    return torch.from_numpy(values).to(images.device)[:, None, None, None]
