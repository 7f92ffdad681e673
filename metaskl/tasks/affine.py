"""Slightly moved, turned and scaled images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.tasks.augmentation import Augmentation
from metaskl.tasks.episodes import Episode
from metaskl.tasks.sending import sent


@dataclass
class RandomAffine(Augmentation):
    """Move, turn and scale each image a little, by a draw of its own [1]_.

    Unlike :class:`~metaskl.tasks.Rotate`, which makes new classes, this keeps an image's class: it
    says which differences do not matter. What comes in from outside is the nearest edge pixel.

    Parameters
    ----------
    degrees : float, default=10.0
        Largest turn to either side in degrees, 0 to 180.
    translate : float, default=0.1
        Largest move to each side as a fraction of width and of height, 0 to 1.
    scale : float, default=0.1
        Largest relative change of size, 0 to below 1: 0.1 is from 0.9 to 1.1 times.

    References
    ----------
    .. [1] P. Y. Simard, D. Steinkraus, J. C. Platt. Best Practices for Convolutional Neural
       Networks Applied to Visual Document Analysis. ICDAR 2003.

    Examples
    --------
    >>> from metaskl.tasks import RandomAffine
    >>> RandomAffine(degrees=5.0)
    RandomAffine(degrees=5.0, translate=0.1, scale=0.1)
    """

    degrees: float = 10.0
    translate: float = 0.1
    scale: float = 0.1

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with its images moved, turned and scaled."""
        self._check(tuple(episode.X_support.shape[2:]))
        return episode._replace(
            X_support=self._changed(episode.X_support, rng),
            X_query=self._changed(episode.X_query, rng),
        )

    def views(self, X: Tensor, n_views: int, seed: int = 0) -> Iterator[Tensor]:
        """Give moved, turned and scaled copies of images, each by one draw for all images.

        So an image's copies do not depend on the images beside it. The draws are the centres of a
        Latin hypercube [1]_, which cover each of the four ranges evenly; one alone would be no
        change.

        Parameters
        ----------
        X : Tensor of shape (..., C, H, W)
            Images.
        n_views : int
            Copies, >= 2.
        seed : int, default=0
            Of the draws.

        Returns
        -------
        iterator of Tensor
            Copies of the same shape, made one by one.

        Raises
        ------
        ParameterError
            If these are no images, or a range or the number of copies is out of bounds.

        References
        ----------
        .. [1] M. D. McKay, R. J. Beckman, W. J. Conover. A Comparison of Three Methods for
           Selecting Values of Input Variables in the Analysis of Output from a Computer Code.
           Technometrics 1979.
        """
        self._check(tuple(X.shape[-3:]))
        if n_views < 2:
            raise ParameterError(
                f"n_views must be at least 2, got {n_views!r}: one view would be the image itself."
            )
        cells = np.tile(np.arange(n_views), (4, 1))
        cells = np.random.default_rng(seed).permuted(cells, axis=1)
        draws = sent((2.0 * cells + 1.0) / n_views - 1.0, X.device).to(X.dtype)
        images = X.reshape(-1, *X.shape[-3:])
        return (self._moved(images, draw[:, None]).reshape(X.shape) for draw in draws.T)

    def _changed(self, X: Tensor, rng: np.random.Generator) -> Tensor:
        images = X.flatten(0, 1)
        draws = sent(rng.uniform(-1.0, 1.0, (4, len(images))), X.device).to(X.dtype)
        return self._moved(images, draws).reshape(X.shape)

    def _moved(self, images: Tensor, draws: Tensor) -> Tensor:
        """Turn, scale and move each image by its draws (4, image), or all by one, of -1 to 1."""
        height, width = images.shape[-2:]
        angle = draws[0] * (np.pi * self.degrees / 180.0)
        size = 1.0 + self.scale * draws[1]
        cosine, sine = angle.cos() / size, angle.sin() / size
        # In a grid of -1 to 1, a pixel of a wide image is narrower than it is high.
        ratio = height / width
        rows = [cosine, -sine * ratio, 2.0 * self.translate * draws[2]]
        rows += [sine / ratio, cosine, 2.0 * self.translate * draws[3]]
        theta = torch.stack(rows, dim=1).reshape(-1, 2, 3)
        shape = [len(theta), *images.shape[1:]]
        grid = F.affine_grid(theta, shape, align_corners=False).expand(len(images), -1, -1, -1)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise ParameterError(
                f"RandomAffine() needs images (n, C, H, W), got rows of shape {shape}. "
                "Reshape the rows, or choose another augmentation."
            )
        limits = {"degrees": 180.0, "translate": 1.0, "scale": 0.999}
        for name, high in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= high:
                raise ParameterError(
                    f"{name} must be from 0 to {high:g}, got {value!r}. 0 leaves this change out."
                )
