"""Turned images as further classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl.tasks.augmentation import Augmentation
from metaskl.tasks.episodes import Episode
from metaskl.tasks.sending import sent


@dataclass
class Rotate(Augmentation):
    """Turn square images by 0, 90, 180 or 270 degrees: each class, or each task, by one draw.

    A turned character is another character [1]_. Where classes are private to a task every
    class is turned by itself; where they are shared, the whole task. Support and query alike.

    References
    ----------
    .. [1] A. Santoro, S. Bartunov, M. Botvinick, D. Wierstra, T. Lillicrap. Meta-Learning with
       Memory-Augmented Neural Networks. ICML 2016.

    Examples
    --------
    >>> from metaskl.tasks import Rotate
    >>> Rotate()
    Rotate()
    """

    def apply(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Return the episode with its images turned."""
        shape = episode.X_support.shape
        _require_square(tuple(shape[2:]))
        one_turn = episode.ways is None
        drawn = rng.integers(4, size=(shape[0], 1 if one_turn else episode.y_support.shape[-1]))
        turns = sent(drawn, episode.X_support.device)

        def turned(X: Tensor, y: Tensor) -> Tensor:
            way = torch.zeros_like(y[..., 0], dtype=torch.long) if one_turn else y.argmax(-1)
            turn = turns.gather(1, way)[(..., *[None] * (X.ndim - 2))]
            for k in (1, 2, 3):
                X = torch.where(turn == k, torch.rot90(X, k, (-2, -1)), X)
            return X

        return episode._replace(
            X_support=turned(episode.X_support, episode.y_support),
            X_query=turned(episode.X_query, episode.y_query),
        )


def rotate_classes(X: Any, y: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the images with their turns by 90, 180 and 270 degrees, each a further class [1]_.

    Before an estimator with ``label_space="task"``: four times the classes, which an episode
    may have to tell apart too.

    Parameters
    ----------
    X : array-like of shape (n, C, H, H)
        Square images.
    y : array-like of shape (n,)
        Their classes.

    Returns
    -------
    X : ndarray of shape (4 n, C, H, H)
        The images, then those turned by 90, 180 and 270 degrees.
    y : ndarray of shape (4 n,)
        Their classes, from 0: class c of ``np.unique(y)`` turned k times is ``4 c + k``.

    Raises
    ------
    ParameterError
        If the images are not square.

    References
    ----------
    .. [1] A. Santoro, S. Bartunov, M. Botvinick, D. Wierstra, T. Lillicrap. Meta-Learning with
       Memory-Augmented Neural Networks. ICML 2016.

    Examples
    --------
    >>> from metaskl.tasks import rotate_classes
    >>> X, y = rotate_classes([[[[1, 2], [3, 4]]]], ["a"])
    >>> X[1, 0].tolist(), y.tolist()
    ([[2, 4], [1, 3]], [0, 1, 2, 3])
    """
    X = np.asarray(X)
    _require_square(X.shape[1:])
    number = np.unique(np.asarray(y), return_inverse=True)[1]
    turned = np.concatenate([np.rot90(X, k, axes=(-2, -1)) for k in range(4)])
    return turned, np.concatenate([4 * number + k for k in range(4)])


def _require_square(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ParameterError(
            f"X must hold square images (n, C, H, H) to be turned, got rows of shape {shape}. "
            "Cut or pad the images square."
        )
