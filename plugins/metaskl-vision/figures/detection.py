"""Few-shot detection of Omniglot's characters in composed scenes.

Protocol: scenes of 112 x 112 pixels with 8 characters of 0.7 to 1.3 times 28 pixels at random
places, whose boxes may overlap by 3 pixels, 6 stray strokes and noise; training scenes of the
characters with ``evaluation == 0``. An episode has 5 characters to look for and 5 others, all with
``evaluation == 1``; k drawings of each of the 5, in scenes, are the support, and 4 scenes of
further drawings of all 10 are searched. Average precision (VOC, all
points, IoU 0.5), mean over the 5; intervals over the episodes, which are the same for all
candidates. The characters: B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 2015.
"""

import argparse
import time
from typing import Any

import numpy as np

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.datasets import fetch_omniglot
from metaskl.evaluation.differences import interval
from metaskl.tasks import RandomAffine
from metaskl_vision import (
    ComponentProposals,
    FewShotDetector,
    Scene,
    SlidingWindows,
    TemplateMatching,
    compose_scenes,
    mean_average_precision,
    proposal_recall,
)

GROUND: dict[str, Any] = {"gap": -3, "n_strokes": 6, "noise": 0.05}
PROPOSALS: dict[str, Any] = {
    "components": ComponentProposals(),
    "sliding windows": SlidingWindows(),
}


def prototypes(epochs: int, seed: int) -> ProtoNetClassifier:
    """Return the prototype head that is meta-trained on cuts."""
    return ProtoNetClassifier(
        backbone=Conv4(n_channels=32, norm="batch"),
        label_space="task",
        n_way=20,
        n_shot=1,
        n_query=3,
        meta_batch_size=1,
        max_epochs=epochs,
        augment=RandomAffine(),
        random_state=seed,
    )


def candidates(options: argparse.Namespace) -> dict[str, FewShotDetector]:
    """Return the detectors; the first is the one that others are compared with."""
    components, windows = PROPOSALS.values()
    head = prototypes(options.epochs, options.seed)
    bare: dict[str, Any] = {"n_ground_classes": 0, "n_ground_windows": 0}
    return {
        "prototypes": FewShotDetector(head, components),
        "prototypes, without ground": FewShotDetector(head, components, **bare),
        "prototypes, sliding windows": FewShotDetector(head, windows),
        "templates": FewShotDetector(TemplateMatching(), components),
        "templates, without ground": FewShotDetector(TemplateMatching(), components, **bare),
        "templates, sliding windows": FewShotDetector(TemplateMatching(), windows),
    }


def episode(
    X: np.ndarray, y: np.ndarray, n_shot: int, rng: np.random.Generator
) -> tuple[list[Scene], list[Scene], list[Any]]:
    """Return the support's scenes, those to be searched, and the classes to look for."""
    classes = rng.choice(np.unique(y), 10, replace=False)
    rows = {label: rng.permutation(np.flatnonzero(y == label)) for label in classes}
    known = np.concatenate([rows[label][:n_shot] for label in classes[:5]])
    hidden = np.concatenate([rows[label][n_shot : n_shot + 6] for label in classes])
    seeds = rng.integers(2**31, size=2).tolist()
    support = compose_scenes(
        X[known], y[known], n_scenes=n_shot, n_things=5, random_state=seeds[0], **GROUND
    )
    scenes = compose_scenes(X[hidden], y[hidden], n_scenes=4, random_state=seeds[1], **GROUND)
    return support, scenes, classes[:5].tolist()


def parse() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8, help="of 100 outer steps")
    parser.add_argument("--n-episodes", type=int, default=50)
    parser.add_argument("--n-shot", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--n-scenes", type=int, default=1500, help="to train on")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def fit(options: argparse.Namespace, training: list[Scene]) -> dict[str, FewShotDetector]:
    """Return the candidates, fitted to the scenes."""
    detectors: dict[str, FewShotDetector] = {}
    trained: ProtoNetClassifier | None = None
    for name, detector in candidates(options).items():
        if trained is not None and name.startswith("prototypes"):
            # The cuts are the same, so is the network: only the ground differs.
            detectors[name] = detector.set_params(estimator=TemplateMatching()).fit(training)
            detectors[name].estimator_ = trained
            continue
        detectors[name] = detector.fit(training)
        trained = detector.estimator_ if trained is None else trained
    return detectors


def main() -> None:
    """Print the mean average precision of each detector."""
    options = parse()
    data = fetch_omniglot()
    X, seen = data.data.astype(np.float32), ~data.evaluation
    start = time.process_time()
    training = compose_scenes(
        X[seen], data.target[seen], n_scenes=options.n_scenes, random_state=options.seed, **GROUND
    )
    detectors = fit(options, training)
    print(f"trained in {time.process_time() - start:.0f} s of one core", flush=True)
    for n_shot in options.n_shot:
        rng = np.random.default_rng(1)
        scores: dict[str, list[float]] = {name: [] for name in detectors}
        recalls: dict[str, list[float]] = {name: [] for name in PROPOSALS}
        for _ in range(options.n_episodes):
            support, scenes, labels = episode(X[~seen], data.target[~seen], n_shot, rng)
            for name, detector in detectors.items():
                found = detector.adapt(support).predict(scenes)
                scores[name].append(mean_average_precision(found, scenes, labels))
            for name, propose in PROPOSALS.items():
                boxes = [propose(scene.image) for scene in scenes]
                recalls[name].append(proposal_recall(boxes, scenes))
        print(f"{n_shot} shot, {time.process_time() - start:.0f} s of one core")
        print("  recall of proposals", {n: round(float(np.mean(r)), 3) for n, r in recalls.items()})
        first = np.array(next(iter(scores.values())))
        for name, values in scores.items():
            mean, low, high = interval(np.array(values))
            gain = interval(first - np.array(values))
            print(f"  {name}: {mean:.3f} [{low:.3f}, {high:.3f}]", end="")
            print(
                ", prototypes gain {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain),
                flush=True,
            )


if __name__ == "__main__":
    main()
