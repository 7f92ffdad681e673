"""Boxes in a picture: overlap, suppression, and what is inside.

A box is ``(x0, y0, x1, y1)``: columns ``x0`` to ``x1 - 1`` and rows ``y0`` to ``y1 - 1``, so that
its area is ``(x1 - x0) (y1 - y0)`` pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from metaskl.errors import ParameterError

Array = npt.NDArray[Any]


def as_boxes(boxes: Any, name: str = "boxes") -> npt.NDArray[np.float64]:
    """Return boxes as an array (n, 4), once they are found to be boxes.

    Raises
    ------
    ParameterError
        If they have not four numbers each, or a side of no length.
    """
    array = np.asarray(boxes, dtype=np.float64)
    array = array.reshape(0, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise ParameterError(
            f"{name} must be of shape (n, 4), each x0, y0, x1, y1, got {array.shape}."
        )
    wrong = ~((array[:, 2:] > array[:, :2]).all(axis=1) & np.isfinite(array).all(axis=1))
    if wrong.any():
        raise ParameterError(
            f"{name} must have x1 > x0 and y1 > y0, got {array[wrong][0].tolist()}. Give corners, "
            "not width and height."
        )
    return array


def overlap(first: Any, second: Any) -> npt.NDArray[np.float64]:
    """Return intersection over union of each of n boxes with each of m, (n, m).

    Examples
    --------
    >>> from metaskl_vision import overlap
    >>> overlap([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
    [[0.333, 0.0]]
    """
    a, b = as_boxes(first, "first")[:, None], as_boxes(second, "second")[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(min=0).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (a, b)]
    shares: npt.NDArray[np.float64] = shared / (areas[0] + areas[1] - shared)
    return shares


def suppress(boxes: Any, scores: Any, iou: float = 0.3) -> npt.NDArray[np.int64]:
    """Keep the best of boxes that overlap (non-maximum suppression).

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Boxes of one class.
    scores : array-like of shape (n,)
        Greater is better; equal scores keep the order given.
    iou : float, default=0.3
        A box that overlaps a better one by more than this is left out, 0 to 1.

    Returns
    -------
    ndarray of shape (n_kept,)
        Indices, best first.

    Examples
    --------
    >>> from metaskl_vision import suppress
    >>> suppress([[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]], [0.5, 0.9, 0.7]).tolist()
    [1, 2]
    """
    boxes = as_boxes(boxes)
    left = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][overlap(boxes[left[:1]], boxes[left[1:]])[0] <= iou]
    return np.array(kept, dtype=np.int64)


def cut(image: Any, boxes: Any, size: int = 28, margin: float = 0.1) -> npt.NDArray[np.float32]:
    """Cut boxes out of a picture, each padded to a square and resized.

    What lies outside of a box is black, so that a neighbour is not seen.

    Parameters
    ----------
    image : array-like of shape (H, W)
        Greys.
    boxes : array-like of shape (n, 4)
        Boxes; they are rounded to whole pixels, and cut at the edges of the picture.
    size : int, default=28
        Side of the squares in pixels, >= 1.
    margin : float, default=0.1
        Black on each side of the longer side, as a fraction of it, >= 0.

    Returns
    -------
    ndarray of shape (n, 1, size, size)
        The cuts.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import cut
    >>> cut(np.ones((6, 6)), [[1, 1, 3, 5]], size=4, margin=0.0)[0, 0, 0].tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    image = np.asarray(image, dtype=np.float32)
    height, width = image.shape
    corners = np.rint(as_boxes(boxes)).astype(int).clip(0, [width, height, width, height])
    squares = np.zeros((len(corners), 1, size, size), np.float32)
    for square, (x0, y0, x1, y1) in zip(squares, corners.tolist(), strict=True):
        inside = image[y0:y1, x0:x1]
        if not inside.size:
            continue
        longer = max(inside.shape)
        border = round(margin * longer)
        side = longer + 2 * border
        padded = np.zeros((side, side), np.float32)
        top, left = (side - inside.shape[0]) // 2, (side - inside.shape[1]) // 2
        padded[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        resized = Image.fromarray(padded).resize((size, size), Image.Resampling.BILINEAR)
        square[0] = np.asarray(resized)
    return squares
