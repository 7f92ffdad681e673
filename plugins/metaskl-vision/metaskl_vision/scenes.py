"""Scenes composed of small pictures, with the exact box of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from metaskl.errors import ParameterError

Array = npt.NDArray[Any]
_TRIES = 100
# Grey from which on a pixel belongs to the box: what resizing smears out does not.
INK = 0.25


class Scene(NamedTuple):
    """A picture with what is on it.

    Attributes
    ----------
    image : ndarray of shape (H, W)
        Greys from 0 to 1, bright things on black.
    boxes : ndarray of shape (n, 4)
        Box of each thing: x0, y0, x1, y1.
    labels : ndarray of shape (n,)
        Class of each thing.
    """

    image: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float64]
    labels: Array


def compose_scenes(
    X: Any,
    y: Any,
    *,
    n_scenes: int = 10,
    n_things: int = 8,
    shape: tuple[int, int] = (112, 112),
    scale: tuple[float, float] = (0.7, 1.3),
    gap: int = 2,
    n_strokes: int = 0,
    noise: float = 0.0,
    random_state: int = 0,
) -> list[Scene]:
    """Place small pictures on a black ground, at drawn places and in drawn sizes.

    Parameters
    ----------
    X : array-like of shape (n, 1, H, W) or (n, H, W)
        Bright things on black, 0 to 1, such as characters of Omniglot.
    y : array-like of shape (n,)
        Their classes.
    n_scenes : int, default=10
        Scenes.
    n_things : int, default=8
        Things a scene, >= 1, drawn from `X` without replacement as long as there are any. One
        for which no free place is found in 100 tries is left out.
    shape : (int, int), default=(112, 112)
        Height and width of a scene.
    scale : (float, float), default=(0.7, 1.3)
        Least and greatest size of a thing, relative to its picture, > 0.
    gap : int, default=2
        Least distance of two boxes in pixels. Below 0 they may overlap by so many.
    n_strokes : int, default=0
        Straight strokes of 4 to 12 pixels that belong to nothing, anywhere.
    noise : float, default=0.0
        Standard deviation of the noise added to each pixel (cut to 0 to 1), >= 0.
    random_state : int, default=0
        Seed.

    Returns
    -------
    list of Scene
        A box is that of the thing's pixels of at least 0.25 of its greatest, as placed.

    Raises
    ------
    ParameterError
        If a thing does not fit into a scene, is blank, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import compose_scenes
    >>> scene = compose_scenes(np.ones((3, 10, 10)), list("abc"), n_scenes=1, n_things=2)[0]
    >>> scene.image.shape, scene.boxes.shape, len(set(scene.labels.tolist()))
    ((112, 112), (2, 4), 2)
    """
    X, y = np.asarray(X, dtype=np.float32), np.asarray(y)
    X = X[:, 0] if X.ndim == 4 and X.shape[1] == 1 else X
    largest = max(X.shape[1:]) * scale[1] if X.ndim == 3 else np.inf
    if X.ndim != 3 or len(X) != len(y) or not len(X) or largest > min(shape):
        raise ParameterError(
            f"X must hold a class for each of its pictures (n, 1, H, W), which fit into "
            f"shape={shape} at scale={scale}, got X of shape {X.shape} and {len(y)} classes."
        )
    if not 0 < scale[0] <= scale[1] or n_things < 1 or noise < 0:
        raise ParameterError(
            "scale must be two numbers above 0 in order, n_things at least 1 and noise at least 0, "
            f"got {scale}, {n_things} and {noise}."
        )
    rng = np.random.default_rng(random_state)
    scenes, waiting = [], np.zeros(0, int)
    for _ in range(n_scenes):
        while len(waiting) < n_things:
            waiting = np.concatenate([waiting, rng.permutation(len(X))])
        rows, waiting = waiting[:n_things], waiting[n_things:]
        things = [_thing(X[row], rng.uniform(*scale)) for row in rows]
        image, boxes, placed = _placed(things, shape, gap, rng)
        image = _disturbed(image, n_strokes, noise, rng)
        scenes.append(Scene(image, boxes, y[rows[placed]]))
    return scenes


def ink_box(image: Array) -> tuple[int, int, int, int]:
    """Return the box of the pixels of a picture (H, W) of at least 0.25 of its greatest.

    Raises
    ------
    ParameterError
        If the picture is blank.
    """
    if not (image > 0).any():
        raise ParameterError("X must hold bright things on black, got a blank picture. Drop it.")
    rows, columns = np.nonzero(image >= INK * image.max())
    return (
        int(columns.min()),
        int(rows.min()),
        int(columns.max()) + 1,
        int(rows.max()) + 1,
    )


def _thing(image: Array, size: float) -> npt.NDArray[np.float32]:
    """Return a picture resized and cut to its ink."""
    height, width = (max(1, round(size * side)) for side in image.shape)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    x0, y0, x1, y1 = ink_box(resized)
    return resized[y0:y1, x0:x1]


def _placed(
    things: list[npt.NDArray[np.float32]],
    shape: tuple[int, int],
    gap: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], list[int]]:
    """Return the scene, the boxes and which things found a place."""
    image = np.zeros(shape, np.float32)
    boxes: list[tuple[int, int, int, int]] = []
    placed = []
    for number, thing in enumerate(things):
        height, width = thing.shape
        for _ in range(_TRIES):
            x0 = int(rng.integers(shape[1] - width + 1))
            y0 = int(rng.integers(shape[0] - height + 1))
            box = (x0, y0, x0 + width, y0 + height)
            if all(_apart(box, other, gap) for other in boxes):
                boxes.append(box)
                placed.append(number)
                part = image[y0 : y0 + height, x0 : x0 + width]
                np.maximum(part, thing, out=part)
                break
    return image, np.array(boxes, dtype=np.float64).reshape(-1, 4), placed


def _apart(a: tuple[int, ...], b: tuple[int, ...], gap: int) -> bool:
    """Say whether two boxes are at least so many pixels apart in one direction."""
    return any(
        high + gap <= low for high, low in ((a[2], b[0]), (b[2], a[0]), (a[3], b[1]), (b[3], a[1]))
    )


def _disturbed(
    image: npt.NDArray[np.float32], n_strokes: int, noise: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Add strokes that belong to nothing, and noise."""
    image = image.copy()
    for _ in range(n_strokes):
        angle, length = rng.uniform(0, np.pi), rng.uniform(4, 12)
        along = np.linspace(0, length, 2 * int(length) + 2)
        row = np.rint(rng.uniform(0, image.shape[0]) + along * np.sin(angle)).astype(int)
        column = np.rint(rng.uniform(0, image.shape[1]) + along * np.cos(angle)).astype(int)
        inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
        image[row[inside], column[inside]] = 1.0
    if noise:
        image = image + rng.normal(0, noise, image.shape).astype(np.float32)
    return image.clip(0, 1)
