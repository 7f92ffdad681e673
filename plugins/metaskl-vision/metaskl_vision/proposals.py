"""Where something may be, whatever it is: class-agnostic boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metaskl.errors import ParameterError


@dataclass(frozen=True)
class ComponentProposals:
    """Boxes around ink that hangs together, at several distances.

    Pixels from a level on are joined where they touch, then where they touch once thickened by one
    pixel, and so on: a character of two strokes is one thing at one of the distances.

    Parameters
    ----------
    level : float, default=0.25
        What counts as ink, as a fraction of the picture's greatest value, in (0, 1).
    distances : tuple of int, default=(0, 1, 2, 3, 4)
        How many pixels ink is thickened by, >= 0 each, before it is joined.
    min_side : int, default=5
        Least length of a box's longer side in pixels, >= 1: less is noise.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import ComponentProposals
    >>> image = np.zeros((9, 9))
    >>> image[1:7, 2], image[1:7, 5] = 1, 1
    >>> ComponentProposals(distances=(0, 1))(image).astype(int).tolist()
    [[2, 1, 3, 7], [2, 1, 6, 7], [5, 1, 6, 7]]
    """

    level: float = 0.25
    distances: tuple[int, ...] = (0, 1, 2, 3, 4)
    min_side: int = 5

    def __call__(self, image: Any) -> npt.NDArray[np.float64]:
        """Return boxes (n, 4) of a picture (H, W), each once, from left to right."""
        if not 0 < self.level < 1 or not self.distances or min(self.distances) < 0:
            raise ParameterError(
                f"level must be in (0, 1) and distances at least 0, got {self.level} and "
                f"{self.distances}. Start from the defaults."
            )
        image = np.asarray(image)
        ink = (image >= self.level * image.max(initial=0)) & (image > 0)
        joined = np.ones((3, 3), bool)
        boxes = set()
        for distance in self.distances:
            thick = ndimage.maximum_filter(ink, 2 * distance + 1)
            parts, n_parts = ndimage.label(thick, joined)
            for rows, columns in ndimage.find_objects(np.where(ink, parts, 0), n_parts):
                box = (columns.start, rows.start, columns.stop, rows.stop)
                if max(box[2] - box[0], box[3] - box[1]) >= self.min_side:
                    boxes.add(box)
        return np.array(sorted(boxes), dtype=np.float64).reshape(-1, 4)


@dataclass(frozen=True)
class SlidingWindows:
    """Square boxes of a few sizes all over the picture.

    Parameters
    ----------
    sides : tuple of int, default=(20, 28, 36)
        Lengths of the sides in pixels, >= 1.
    stride : float, default=0.25
        From one window to the next, as a fraction of the side, in (0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import SlidingWindows
    >>> SlidingWindows(sides=(4,), stride=0.5)(np.zeros((4, 8))).astype(int).tolist()
    [[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4]]
    """

    sides: tuple[int, ...] = (20, 28, 36)
    stride: float = 0.25

    def __call__(self, image: Any) -> npt.NDArray[np.float64]:
        """Return boxes (n, 4) that lie in a picture (H, W) as a whole."""
        if not self.sides or min(self.sides) < 1 or not 0 < self.stride <= 1:
            raise ParameterError(
                f"sides must be at least 1 and stride in (0, 1], got {self.sides} and "
                f"{self.stride}. Start from the defaults."
            )
        height, width = np.asarray(image).shape
        boxes = [
            (x, y, x + side, y + side)
            for side in self.sides
            for y in range(0, height - side + 1, max(1, round(self.stride * side)))
            for x in range(0, width - side + 1, max(1, round(self.stride * side)))
        ]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)
