"""The detector finds what it was shown, leaves the rest, and says what it cannot do."""

import numpy as np
import pytest
from metaskl_vision_shapes import shapes
from sklearn.base import clone

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.errors import NotAdaptedError, ParameterError, SupportError
from metaskl_vision import (
    ComponentProposals,
    FewShotDetector,
    Scene,
    SlidingWindows,
    TemplateMatching,
    compose_scenes,
    mean_average_precision,
    overlap,
)


def detector(**parameters):
    return FewShotDetector(TemplateMatching(), **parameters)


def test_it_finds_what_it_was_shown_and_not_the_rest():
    X, y = shapes()
    training = compose_scenes(X[2:], y[2:], n_scenes=2, n_things=2, random_state=3)
    support = compose_scenes(X[:2], y[:2], n_scenes=2, n_things=2, random_state=4)
    scenes = compose_scenes(X, y, n_scenes=5, n_things=3, random_state=5)
    fitted = detector(n_ground_windows=0).fit(training)
    adapted = fitted.adapt(support)
    assert not hasattr(fitted, "classes_")
    assert adapted.classes_.tolist() == ["cross", "dash"]
    detections = adapted.predict(scenes)
    assert mean_average_precision(detections, scenes, ["cross", "dash"]) == 1.0
    for one in detections:
        assert (np.diff(one.scores) <= 0).all()
        assert one.boxes.shape == (len(one.scores), 4)
    # Scenes and their bare pictures are the same to it.
    np.testing.assert_array_equal(adapted.predict([scenes[0].image])[0].boxes, detections[0].boxes)


def test_of_detections_that_overlap_the_best_is_kept():
    X, y = shapes()
    scenes = compose_scenes(X, y, n_scenes=2, n_things=3, random_state=5)
    windows = SlidingWindows(sides=(12, 16))
    fitted = detector(proposals=windows, n_ground_windows=0, min_score=0.0, nms_iou=0.2).fit(scenes)
    found = fitted.adapt(scenes).predict(scenes[:1])[0]
    for label in y:
        boxes = found.boxes[found.labels == label]
        assert len(boxes) > 5
        assert (overlap(boxes, boxes) - np.eye(len(boxes))).max() <= 0.2


def test_the_ground_takes_things_of_other_classes():
    X, y = shapes()
    support = compose_scenes(X[:2], y[:2], n_scenes=1, n_things=2, random_state=4)
    frames = compose_scenes(X[2:], y[2:], n_scenes=3, n_things=2, random_state=5)
    bare = detector(n_ground_classes=0, n_ground_windows=0).fit(frames).adapt(support)
    knows = detector(n_ground_windows=0).fit(frames).adapt(support)
    best = [max(one.scores.max(initial=0) for one in d.predict(frames)) for d in (bare, knows)]
    assert best[0] > 0.5
    assert best[1] < 0.1


def test_a_class_that_is_asked_for_leaves_the_ground():
    X, y = shapes()
    scenes = compose_scenes(X, y, n_scenes=4, n_things=3, random_state=4)
    meant = [np.unique(scenes[0].labels)[0]]
    chosen = [one.labels == meant for one in scenes]
    support = [
        Scene(one.image, one.boxes[own], one.labels[own])
        for one, own in zip(scenes, chosen, strict=True)
    ]
    fitted = detector(n_ground_windows=0).fit(scenes)
    assert set(meant) < set(fitted.ground_labels_.tolist())
    adapted = fitted.adapt(support)
    # With its own things in the ground the class would get half of the probability at most.
    found = adapted.predict(scenes[:1])[0]
    assert found.scores[0] > 0.5
    assert (overlap(found.boxes[:1], support[0].boxes) > 0.5).any()


def test_windows_of_the_ground_hold_no_whole_thing():
    X, y = shapes()
    X = np.concatenate([X, X[:1] * 0])
    X[3, 2, 1:4] = X[3, 2, 8:11] = X[3, 9, 1:11] = 1  # three strokes
    y = np.append(y, "face")
    scenes = compose_scenes(X, y, n_scenes=4, n_things=4, scale=(2.0, 2.0), random_state=0)
    fitted = detector(n_ground_classes=0, n_ground_windows=3).fit(scenes)
    assert fitted.ground_.shape == (3, 1, 28, 28)
    assert fitted.ground_classes_.tolist() == [0, 1, 2]
    best = [overlap(ComponentProposals()(one.image), one.boxes).max(axis=1) for one in scenes]
    best = np.concatenate(best)
    assert (best == 1).sum() >= 12  # every whole thing is proposed
    fitted.set_params(n_ground_windows=1000).fit(scenes)
    assert len(fitted.ground_) == (best < 0.3).sum() < len(best)


def test_a_meta_learner_is_trained_and_adapted():
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 2, (12, 4, 4)), np.ones((5, 5)))
    blocks[:, :, 0] = blocks[:, 0] = 1
    y = np.arange(12)
    training = compose_scenes(blocks[:9], y[:9], n_scenes=15, n_things=4, random_state=0)
    support = compose_scenes(blocks[9:], y[9:], n_scenes=2, n_things=3, random_state=1)
    scenes = compose_scenes(blocks[6:], y[6:], n_scenes=4, n_things=6, random_state=2)
    meta = ProtoNetClassifier(
        backbone=Conv4(16, norm="batch"), label_space="task", n_way=5, n_shot=1, n_query=3,
        max_epochs=1, steps_per_epoch=30, meta_batch_size=2, random_state=0,
    )  # fmt: skip
    fitted = clone(FewShotDetector(meta, n_ground_windows=10)).fit(training)
    detections = fitted.adapt(support).predict(scenes)
    score = mean_average_precision(detections, scenes, [9, 10, 11])
    # A detector that names at random finds a third of the things, and as many others beside.
    assert score > 0.6
    again = clone(fitted).fit(training).adapt(support).predict(scenes)
    np.testing.assert_array_equal(again[0].scores, detections[0].scores)


def test_nothing_on_a_picture_is_no_error():
    X, y = shapes()
    scenes = compose_scenes(X, y, n_scenes=1, n_things=3)
    empty = detector(n_ground_windows=0).fit(scenes).adapt(scenes).predict([np.zeros((50, 50))])[0]
    assert (len(empty.boxes), len(empty.scores), len(empty.labels)) == (0, 0, 0)


def test_bad_input_to_the_detector():
    X, y = shapes()
    scenes = compose_scenes(X, y, n_scenes=1, n_things=3)
    fitted = detector(n_ground_windows=0, n_ground_classes=0).fit(scenes)
    with pytest.raises(NotAdaptedError, match="must be adapted before it predicts"):
        fitted.predict(scenes)
    one = compose_scenes(X[:1], y[:1], n_scenes=1, n_things=1)
    with pytest.raises(
        SupportError, match=r"2 classes or more where there is no ground, got \['dash"
    ):
        fitted.adapt(one)
    with pytest.raises(SupportError, match="boxes with labels, got none in 1 scenes"):
        fitted.adapt([Scene(np.zeros((9, 9)), np.zeros((0, 4)), np.zeros(0))])
    with pytest.raises(ParameterError, match="nms_iou must be from 0 to 1, got 2"):
        detector(nms_iou=2).fit(scenes)
    with pytest.raises(
        ParameterError, match=r"grey pictures \(H, W\), got one of shape \(3, 50, 50\)"
    ):
        fitted.adapt(scenes).predict([np.zeros((3, 50, 50))])
    with pytest.raises(ParameterError, match=r"grey pictures \(H, W\), got .* \(9, 9, 3\)"):
        fitted.adapt([Scene(np.zeros((9, 9, 3)), np.array([[0, 0, 4, 4]]), np.array(["a"]))])
    with pytest.raises(ParameterError, match="n_ground_windows must be 0 or more, got -1"):
        detector(n_ground_windows=-1).fit(scenes)


def test_templates_by_hand():
    matching = TemplateMatching(temperature=0.5).fit([[0, 1, 2], [2, 1, 0], [0, 3, 0]], [0, 1, 1])
    # Centred: (-1, 0, 1), (1, 0, -1), (-1, 2, -1). Brightness and contrast change nothing.
    alike = matching.correlation([[10, 20, 30], [0, 9, 0], [5, 5, 5]])
    np.testing.assert_allclose(alike, [[1, 0], [0, 1], [0, 0]], atol=1e-12)
    odds = np.exp(2.0)
    np.testing.assert_allclose(
        matching.predict_proba([[1, 2, 3]]), [[odds / (odds + 1), 1 / (odds + 1)]]
    )
    assert matching.predict([[1, 2, 3], [0, 9, 0]]).tolist() == [0, 1]
    with pytest.raises(ParameterError, match="temperature must be above 0, got 0"):
        TemplateMatching(temperature=0).fit([[0, 1]], [0])


def test_templates_need_a_class_each():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TemplateMatching().fit(np.zeros((3, 4)), [0, 1])
