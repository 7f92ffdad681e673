"""Detection of things of which a few examples are known."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from metaskl import adapt
from metaskl.errors import NotAdaptedError, ParameterError, SupportError
from metaskl.estimators.adapt import can_adapt
from metaskl_vision.boxes import cut, overlap, suppress
from metaskl_vision.precision import Detections
from metaskl_vision.proposals import ComponentProposals
from metaskl_vision.scenes import Scene

Array = npt.NDArray[Any]
# A window that overlaps every thing by less is one of the ground.
_GROUND_IOU = 0.3


class FewShotDetector(BaseEstimator):  # type: ignore[misc]
    """Find things of new classes on pictures, from a few examples of each.

    Proposals that know nothing of classes are cut out and named by a few-shot classifier, then
    the best of those that overlap are kept. The classifier is adapted to the examples *and* to
    a ground: things of other classes, and windows that hold no whole thing, both kept from
    meta-training. The score of a box is the probability of the class among all of these, so
    that a thing of a class not asked for is not found. A class of meta-training that is asked for
    leaves the ground; classes are told by their labels.

    Parameters
    ----------
    estimator : classifier
        A meta-learner with ``label_space="task"`` and any number of classes, such as
        :class:`metaskl.ProtoNetClassifier`, which is meta-trained on the cut things and
        adapted; or an ordinary one for cuts (n, 1, size, size), which is fitted on the examples
        and the ground alone.
    proposals : callable, optional
        From a picture (H, W) to boxes (n, 4); by default :class:`ComponentProposals`.
    size : int, default=28
        Side of a cut in pixels.
    n_ground_classes : int, default=50
        Classes of meta-training that are kept for the ground, each by up to ten of its things,
        >= 0.
    n_ground_windows : int, default=50
        Windows without a whole thing that are kept, each as a class of its own, >= 0.
    min_score : float, default=0.01
        Least score of a detection, 0 to 1.
    nms_iou : float, default=0.3
        Of two detections of one class that overlap more, the better one is kept, 0 to 1.
    random_state : int, default=0
        Seed of what is kept.

    Attributes
    ----------
    estimator_ : classifier
        The fitted clone, or after :meth:`adapt` the adapted copy.
    classes_ : ndarray of shape (n_classes,)
        After :meth:`adapt`: what is looked for.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import FewShotDetector, TemplateMatching, compose_scenes
    >>> X = np.zeros((2, 12, 12))
    >>> X[0, 5:7], X[1, :, 5:7], X[1, 5:7] = 1, 1, 1  # a dash, and a cross
    >>> scenes = compose_scenes(X, ["dash", "cross"], n_scenes=2, n_things=2)
    >>> detector = FewShotDetector(TemplateMatching(), n_ground_windows=0, n_ground_classes=0)
    >>> found = detector.fit(scenes[:1]).adapt(scenes[:1]).predict(scenes[1:])[0]
    >>> sorted(found.labels[:2].tolist())
    ['cross', 'dash']
    """

    def __init__(
        self,
        estimator: Any,
        proposals: Callable[[Any], Any] | None = None,
        size: int = 28,
        n_ground_classes: int = 50,
        n_ground_windows: int = 50,
        min_score: float = 0.01,
        nms_iou: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.proposals = proposals
        self.size = size
        self.n_ground_classes = n_ground_classes
        self.n_ground_windows = n_ground_windows
        self.min_score = min_score
        self.nms_iou = nms_iou
        self.random_state = random_state

    def fit(self, scenes: Sequence[Scene]) -> Self:
        """Meta-train on the things of scenes, and keep a ground.

        Parameters
        ----------
        scenes : sequence of Scene
            With boxes and labels of many classes, best none of which is looked for later.

        Returns
        -------
        self
            The detector, ready to be adapted.
        """
        for name, high in (("min_score", 1.0), ("nms_iou", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ParameterError(
                    f"{name} must be from 0 to {high:g}, got {getattr(self, name)!r}."
                )
        for name in ("n_ground_classes", "n_ground_windows"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name} must be 0 or more, got {getattr(self, name)!r}.")
        X, y = self._things(scenes)
        self.estimator_ = clone(self.estimator)
        if can_adapt(self.estimator_):
            self.estimator_.fit(X, y)
        rng = np.random.default_rng(self.random_state)
        kept = rng.permutation(np.unique(y))[: self.n_ground_classes]
        rows = [rng.permutation(np.flatnonzero(y == label))[:10] for label in kept]
        windows = self._ground_windows(scenes, rng)
        sizes = [len(of_class) for of_class in rows] + [1] * len(windows)
        self.ground_ = np.concatenate([*(X[of_class] for of_class in rows), windows])
        self.ground_classes_ = np.repeat(np.arange(len(sizes)), sizes)
        labels = np.array([*kept.tolist(), *[None] * len(windows)], dtype=object)
        self.ground_labels_ = np.repeat(labels, sizes)
        self.__dict__.pop("classes_", None)
        return self

    def adapt(self, scenes: Sequence[Scene]) -> Self:
        """Return a copy that looks for the things of a few scenes.

        Parameters
        ----------
        scenes : sequence of Scene
            The support: whatever has a box and a label on them is an example. Leave out boxes of
            what is not to be looked for.

        Returns
        -------
        detector
            An adapted copy; this one is unchanged.

        Raises
        ------
        SupportError
            If there are fewer than 2 classes, the ground's among them.
        """
        check_is_fitted(self, "ground_")
        X, y = self._things(scenes)
        adapted: Self = copy.copy(self)
        adapted.classes_, number = np.unique(y, return_inverse=True)
        wanted = set(adapted.classes_.tolist())
        others = np.array([label not in wanted for label in self.ground_labels_], dtype=bool)
        ground = self.ground_classes_[others] + len(adapted.classes_)
        labels = np.concatenate([number, ground])
        if labels.max() < 1:
            raise SupportError(
                f"the support must hold 2 classes or more where there is no ground, got "
                f"{adapted.classes_.tolist()}. Set n_ground_windows=50."
            )
        rows = np.concatenate([X, self.ground_[others]])
        with warnings.catch_warnings():
            # That many classes have one row each is meant here.
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
            if can_adapt(self.estimator_):
                adapted.estimator_ = adapt(self.estimator_, rows, labels)
            else:
                adapted.estimator_ = clone(self.estimator_).fit(rows, labels)
        return adapted

    def predict(self, scenes: Sequence[Any]) -> list[Detections]:
        """Find the classes of the support.

        Parameters
        ----------
        scenes : sequence of Scene or of array-like of shape (H, W)
            Pictures; boxes and labels of a scene are not looked at.

        Returns
        -------
        list of Detections
            Of each picture, best first.
        """
        check_is_fitted(self, "ground_")
        if not hasattr(self, "classes_"):
            raise NotAdaptedError(
                "this FewShotDetector must be adapted before it predicts: call adapt(scenes) with "
                "a few examples of what to look for, and predict with what it returns."
            )
        return [self._found(_image(scene)) for scene in scenes]

    def _found(self, image: Array) -> Detections:
        boxes = self._proposed(image)
        if not len(boxes):
            return Detections(boxes, np.zeros(0), self.classes_[:0])
        # The support's classes are numbered first, the ground's after them.
        wanted = self.estimator_.predict_proba(cut(image, boxes, self.size))
        wanted = wanted[:, : len(self.classes_)]
        parts = []
        for number in range(len(self.classes_)):
            likely = np.flatnonzero(wanted[:, number] >= self.min_score)
            kept = likely[suppress(boxes[likely], wanted[likely, number], self.nms_iou)]
            parts.append((kept, np.full(len(kept), number)))
        rows, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
        scores = wanted[rows, numbers]
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[rows[order]], scores[order], self.classes_[numbers[order]])

    def _proposed(self, image: Array) -> npt.NDArray[np.float64]:
        propose = ComponentProposals() if self.proposals is None else self.proposals
        return np.asarray(propose(image), dtype=np.float64)

    def _things(self, scenes: Sequence[Scene]) -> tuple[Array, Array]:
        """Cut out the things of scenes."""
        cuts = [cut(_image(scene), scene.boxes, self.size) for scene in scenes]
        if not sum(map(len, cuts)):
            raise SupportError(
                f"scenes must hold boxes with labels, got none in {len(cuts)} scenes."
            )
        return np.concatenate(cuts), np.concatenate([scene.labels for scene in scenes])

    def _ground_windows(self, scenes: Sequence[Scene], rng: np.random.Generator) -> Array:
        """Cut out proposals that hold no whole thing."""
        found = [np.zeros((0, 1, self.size, self.size), np.float32)]
        for number in rng.permutation(len(scenes)):
            if sum(map(len, found)) >= self.n_ground_windows:
                break
            scene = scenes[number]
            boxes = self._proposed(scene.image)
            best = overlap(boxes, scene.boxes).max(axis=1, initial=0.0)
            found.append(cut(scene.image, boxes[best < _GROUND_IOU], self.size))
        return np.concatenate(found)[: self.n_ground_windows]


def _image(scene: Any) -> Array:
    image = np.asarray(scene.image if isinstance(scene, Scene) else scene)
    if image.ndim != 2:
        raise ParameterError(
            f"scenes must hold grey pictures (H, W), got one of shape {image.shape}. Take one "
            "channel, or the mean of all."
        )
    return image
