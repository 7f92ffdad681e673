"""Boxes, scenes and average precision: answers worked out by hand."""

import numpy as np
import pytest
from metaskl_vision_shapes import shapes

from metaskl.errors import ParameterError
from metaskl_vision import (
    ComponentProposals,
    Detections,
    Scene,
    SlidingWindows,
    average_precision,
    compose_scenes,
    cut,
    mean_average_precision,
    overlap,
    proposal_recall,
    suppress,
)

A, B, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]


def scene(boxes, labels):
    return Scene(
        np.zeros((64, 64), np.float32), np.array(boxes, float).reshape(-1, 4), np.array(labels)
    )


def found(boxes, scores, labels=None):
    labels = ["a"] * len(scores) if labels is None else labels
    return Detections(
        np.array(boxes, float).reshape(-1, 4), np.array(scores, float), np.array(labels)
    )


def test_overlap_by_hand():
    # 10 x 10 moved by 5: 50 shared, 150 in all. Half the box: 50 of 100. Touching: nothing.
    others = [[5, 0, 15, 10], [0, 0, 10, 5], [10, 0, 20, 10], A]
    np.testing.assert_allclose(overlap([A], others), [[1 / 3, 1 / 2, 0, 1]])
    assert overlap(np.zeros((0, 4)), [A]).shape == (0, 1)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0, 0, 0, 4]], r"x1 > x0 and y1 > y0, got \[0.0, 0.0, 0.0, 4.0\]"),
        ([[1, 2, 3]], r"\(1, 3\)"),
    ],
)
def test_what_is_no_box_is_refused(boxes, message):
    with pytest.raises(ParameterError, match=message):
        overlap(boxes, [A])


def test_suppression_is_greedy():
    # The second overlaps the first by 1/3, the third the second by 1/3 and the first not at all.
    boxes = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]]
    assert suppress(boxes, [0.9, 0.8, 0.7], iou=0.3).tolist() == [0, 2]
    assert suppress(boxes, [0.8, 0.9, 0.7], iou=0.3).tolist() == [1]
    assert suppress(boxes, [0.8, 0.9, 0.7], iou=0.4).tolist() == [1, 0, 2]
    assert suppress(np.zeros((0, 4)), []).tolist() == []


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        ([A, B], [0.9, 0.8], 1.0),
        ([A], [0.9], 0.5),
        ([], [], 0.0),
        ([FAR], [0.9], 0.0),
        # right, wrong, right: precisions 1, 1/2, 2/3 at recalls 1/2, 1/2, 1.
        ([A, FAR, B], [0.9, 0.8, 0.7], (1 + 2 / 3) / 2),
        # wrong, right, right: precisions 0, 1/2, 2/3: interpolated, 2/3 at both recalls.
        ([FAR, A, B], [0.9, 0.8, 0.7], 2 / 3),
        # The order of the list means nothing, the scores do.
        ([B, A, FAR], [0.7, 0.8, 0.9], 2 / 3),
        # Finding the same thing twice is wrong the second time, though it overlaps.
        ([A, A, B], [0.9, 0.8, 0.7], (1 + 2 / 3) / 2),
        # Overlap of exactly one half counts, of 1/3 does not.
        ([[0, 0, 10, 5]], [0.9], 0.5),
        ([[5, 0, 15, 10]], [0.9], 0.0),
    ],
)
def test_average_precision_by_hand(boxes, scores, expected):
    ap = average_precision([found(boxes, scores)], [scene([A, B], ["a", "a"])], "a")
    assert ap == pytest.approx(expected)


def test_average_precision_ranks_over_all_scenes_and_looks_at_one_class():
    scenes = [scene([A, B], ["a", "b"]), scene([A], ["a"])]
    detections = [found([A, B], [0.5, 0.9], ["a", "b"]), found([FAR, A], [0.9, 0.4])]
    # Of class a: wrong 0.9, right 0.5, right 0.4: precisions 0, 1/2, 2/3 -> 2/3 at both recalls.
    assert average_precision(detections, scenes, "a") == pytest.approx(2 / 3)
    assert average_precision(detections, scenes, "b") == 1.0
    assert np.isnan(average_precision(detections, scenes, "c"))
    assert mean_average_precision(detections, scenes, ["a", "b", "c"]) == pytest.approx(5 / 6)
    assert np.isnan(mean_average_precision(detections, scenes, ["c"]))
    with pytest.raises(ParameterError, match="each of the 2 scenes, got 1"):
        average_precision(detections[:1], scenes, "a")


def test_scenes_of_lists_are_scored_as_those_of_arrays():
    listed = Scene(np.zeros((9, 9)), [[0, 0, 4, 4], [5, 5, 9, 9]], ["a", "b"])
    right = Detections([[0, 0, 4, 4]], [0.9], ["a"])
    assert average_precision([right], [listed], "a") == 1.0


def test_a_detection_counts_for_the_thing_it_overlaps_most():
    # Both overlap the first thing most; VOC calls the second wrong though B2 is still free.
    close = scene([[0, 0, 10, 10], [0, 3, 10, 13]], ["a", "a"])
    detections = found([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8])
    assert average_precision([detections], [close], "a") == 0.5


def test_recall_of_proposals():
    scenes = [scene([A, B], ["a", "b"]), scene([A], ["a"])]
    assert proposal_recall([np.array([A]), np.zeros((0, 4))], scenes) == pytest.approx(1 / 3)


def test_recall_where_nothing_is():
    assert np.isnan(proposal_recall([[A]], [scene([], [])]))
    assert np.isnan(proposal_recall([], []))


def test_components_join_at_a_distance():
    image = np.zeros((40, 40))
    image[10:20, 10] = image[10:20, 14] = 1  # 3 pixels between: joined when thickened by 2
    image[30:32, 30:32] = 1  # too small
    boxes = ComponentProposals(distances=(0, 1, 2), min_side=5)(image).tolist()
    assert boxes == [[10, 10, 11, 20], [10, 10, 15, 20], [14, 10, 15, 20]]
    assert ComponentProposals()(np.zeros((8, 8))).shape == (0, 4)
    with pytest.raises(ParameterError, match="level must be in"):
        ComponentProposals(level=0.0)(image)


def test_windows_lie_inside_and_cover():
    boxes = SlidingWindows(sides=(8, 16), stride=0.5)(np.zeros((16, 24)))
    # Side 8, stride 4: 3 rows of 5. Side 16, stride 8: 1 row of 2.
    assert len(boxes) == 3 * 5 + 2
    assert boxes.min() == 0
    assert boxes.max(axis=0)[2:].tolist() == [24, 16]
    with pytest.raises(ParameterError, match="stride in"):
        SlidingWindows(stride=0.0)(np.zeros((16, 24)))


def test_cuts_hide_what_is_outside_of_the_box():
    image = np.ones((20, 20))
    square = cut(image, [[4, 2, 6, 10]], size=8, margin=0.0)[0, 0]
    assert square[:, 3:5].min() == 1.0
    assert square.sum() == 16
    # A margin of a quarter of 8 pixels: 2 on each side.
    assert cut(image, [[2, 2, 10, 10]], size=12, margin=0.25)[0, 0].sum() == 64
    assert cut(image, np.zeros((0, 4))).shape == (0, 1, 28, 28)
    # At the edge of the picture what is there is taken.
    assert cut(image, [[-5, 0, 5, 10]], size=10, margin=0.0)[0, 0].sum() == 50


def test_boxes_of_scenes_are_exact():
    X, y = shapes()
    for drawn in compose_scenes(X, y, n_scenes=8, n_things=3, shape=(60, 60), random_state=1):
        assert sorted(drawn.labels.tolist()) == ["cross", "dash", "frame"]
        explained = np.zeros_like(drawn.image, dtype=bool)
        for x0, y0, x1, y1 in drawn.boxes.astype(int):
            inside = drawn.image[y0:y1, x0:x1]
            ink = inside >= 0.25 * inside.max()
            # Ink in the first and last row and column, and none next to them outside.
            assert all(edge.any() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
            explained[y0:y1, x0:x1] = True
        assert drawn.image[~explained].max() == 0
        off = overlap(drawn.boxes, drawn.boxes) - np.eye(3)
        assert off.max() == pytest.approx(0)


def test_a_box_holds_all_that_is_at_least_a_quarter_as_bright():
    X = np.zeros((1, 9, 9))
    X[0, 2:7, 4], X[0, 4, 6], X[0, 4, 1] = 1.0, 0.25, 0.2
    drawn = compose_scenes(X, ["a"], n_scenes=1, n_things=1, scale=(1.0, 1.0))[0]
    x0, y0, x1, y1 = drawn.boxes[0].astype(int)
    assert (x1 - x0, y1 - y0) == (3, 5)
    np.testing.assert_array_equal(drawn.image[y0:y1, x0:x1], X[0, 2:7, 4:7])


def test_scenes_are_drawn_alike_for_a_seed():
    X, y = shapes()
    settings = {"n_scenes": 2, "n_things": 2, "n_strokes": 3, "noise": 0.1}
    a, b, c = (compose_scenes(X, y, random_state=seed, **settings) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a[1].image, b[1].image)
    assert not np.array_equal(a[1].image, c[1].image)
    assert a[0].image.min() >= 0
    assert a[0].image.max() <= 1


def test_things_without_a_place_are_left_out():
    X, y = np.ones((1, 10, 10)), ["a"]
    full = compose_scenes(X, y, n_scenes=1, n_things=5, shape=(16, 16), scale=(1.0, 1.0))[0]
    assert len(full.boxes) == len(full.labels) == 1


@pytest.mark.parametrize(
    ("X", "arguments", "message"),
    [
        (np.ones((1, 40, 40)), {"shape": (40, 40)}, r"which fit into shape=\(40, 40\)"),
        (np.ones((1, 3, 8, 8)), {}, r"got X of shape \(1, 3, 8, 8\)"),
        (np.zeros((1, 8, 8)), {}, "got a blank picture"),
        (np.ones((1, 8, 8)), {"scale": (1.2, 0.8)}, "scale must be two numbers above 0 in order"),
    ],
)
def test_scenes_that_cannot_be_drawn(X, arguments, message):
    with pytest.raises(ParameterError, match=message):
        compose_scenes(X, ["a"], **arguments)
