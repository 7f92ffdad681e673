"""Average precision of detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from metaskl.errors import ParameterError
from metaskl_vision.boxes import overlap
from metaskl_vision.scenes import Scene

Array = npt.NDArray[Any]


class Detections(NamedTuple):
    """What was found on a picture, best first.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4)
        x0, y0, x1, y1.
    scores : ndarray of shape (n,)
        How sure, greater is surer.
    labels : ndarray of shape (n,)
        Classes.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: Array


def average_precision(
    detections: Sequence[Detections], scenes: Sequence[Scene], label: Any, *, iou: float = 0.5
) -> float:
    """Return the area below the precision-recall curve of one class [1]_.

    Detections of all scenes are sorted by their score. One is right if the thing of the class
    that it overlaps most, it overlaps by at least `iou`, and no better one has taken that thing
    already. The precision at a recall is the greatest at this recall or any above it
    (interpolation at all points, as in the VOC challenge from 2010 on).

    Parameters
    ----------
    detections : sequence of Detections
        Of each scene.
    scenes : sequence of Scene
        With the true boxes.
    label : class
        Which class.
    iou : float, default=0.5
        Least overlap, in (0, 1].

    Returns
    -------
    float
        From 0 to 1; NaN if no scene holds the class.

    References
    ----------
    .. [1] M. Everingham et al. The Pascal Visual Object Classes (VOC) Challenge. International
       Journal of Computer Vision 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import Detections, Scene, average_precision
    >>> scene = Scene(np.zeros((9, 9)), np.array([[0, 0, 4, 4]]), np.array(["a"]))
    >>> found = Detections([[5, 5, 9, 9], [0, 0, 4, 4]], np.array([0.9, 0.8]), np.array(["a"] * 2))
    >>> average_precision([found], [scene], "a")
    0.5
    """
    if len(detections) != len(scenes):
        raise ParameterError(
            f"detections must be given for each of the {len(scenes)} scenes, got {len(detections)}."
        )
    scores: list[float] = []
    right: list[bool] = []
    n_true = 0
    for found, scene in zip(detections, scenes, strict=True):
        true = np.asarray(scene.boxes)[np.asarray(scene.labels) == label]
        n_true += len(true)
        of_class = np.flatnonzero(np.asarray(found.labels) == label)
        order = of_class[np.argsort(-np.asarray(found.scores)[of_class], kind="stable")]
        right += _matched(np.asarray(found.boxes)[order], true, iou)
        scores += np.asarray(found.scores)[order].tolist()
    if not n_true:
        return float("nan")
    sorted_right = np.array(right, dtype=bool)[np.argsort(-np.array(scores), kind="stable")]
    n_right = np.cumsum(sorted_right)
    precision = n_right / np.arange(1, len(n_right) + 1)
    best_above = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by 1 / n_true at each right one.
    return float(best_above[sorted_right].sum() / n_true)


def _matched(boxes: Array, true: Array, iou: float) -> list[bool]:
    """Say of each box of one scene, best first, whether it finds a thing not yet found."""
    if not len(boxes) or not len(true):
        return [False] * len(boxes)
    shares = overlap(boxes, true)
    taken: set[int] = set()
    right = []
    for share in shares:
        thing = int(share.argmax())
        right.append(bool(share[thing] >= iou) and thing not in taken)
        if right[-1]:
            taken.add(thing)
    return right


def mean_average_precision(
    detections: Sequence[Detections],
    scenes: Sequence[Scene],
    labels: Sequence[Any],
    *,
    iou: float = 0.5,
) -> float:
    """Return the mean of :func:`average_precision` over those of `labels` that the scenes hold.

    Parameters
    ----------
    detections, scenes
        As in :func:`average_precision`.
    labels : sequence of class
        Classes; what else is on the scenes is ground, on which a detection is wrong.
    iou : float, default=0.5
        As in :func:`average_precision`.

    Returns
    -------
    float
        From 0 to 1; NaN if none of the classes is there.
    """
    values = [average_precision(detections, scenes, label, iou=iou) for label in labels]
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")


def proposal_recall(
    proposals: Sequence[Any], scenes: Sequence[Scene], *, iou: float = 0.5
) -> float:
    """Return the share of all things that some proposal overlaps by at least `iou`.

    Parameters
    ----------
    proposals : sequence of array-like of shape (n, 4)
        Boxes of each scene.
    scenes : sequence of Scene
        With the true boxes.
    iou : float, default=0.5
        Least overlap.

    Returns
    -------
    float
        From 0 to 1: no detector on these proposals can find more. NaN if there are no things.
    """
    best = [
        overlap(boxes, scene.boxes).max(axis=0, initial=0.0)
        for boxes, scene in zip(proposals, scenes, strict=True)
    ]
    found = np.concatenate([np.zeros(0), *best]) >= iou
    return float(found.mean()) if len(found) else float("nan")
