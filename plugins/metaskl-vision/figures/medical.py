"""Medical pictures: a problem of which k pictures a class are labelled, and others to learn from.

Protocol: each of three sets in turn is the new problem: brain MRI (glioma, meningioma, pituitary
tumour, none), chest X-ray (pneumonia or not), breast ultrasound (malignant or not). A prototype
network is meta-trained on the classes of the other two, at most 400 pictures of each, episodes of
2 classes of one set. All pictures have 28 x 28 pixels. The support is drawn from the target's
training part, 20 times, larger ones holding the smaller; up to 300 pictures of its test part, the
same number of each class where there are as many, are scored. The test part of the brain MRI is
unlike its training part, so that a random third of all its pictures is taken instead. Logistic
regression has a fixed penalty, for there are no rows to choose it by. Intervals are over the
draws. No patients are named in the brain MRI, of which near copies remain, so its scores flatter.
Sources: J. Yang et al., MedMNIST v2, Scientific Data 2023 (pneumonia: D. S. Kermany et al., Cell
2018; breast: W. Al-Dhabyani et al., Data in Brief 2020); S. Bhuvaji et al., Brain Tumor
Classification (MRI), 2020.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import ProtoNetClassifier, SimpleShotClassifier
from metaskl.backbones import Conv4
from metaskl.evaluation.differences import interval
from metaskl.tasks import RandomAffine
from metaskl_vision import (
    RandomErasing,
    RandomFlip,
    RandomLight,
    few_shot_scores,
    flatten_pictures,
)

FILES = {"brain": "brain_mri_64", "pneumonia": "pneumoniamnist_28", "breast": "breastmnist_28"}
BASELINE = "pixels, logistic regression"


def pictures(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pictures (n, 1, 28, 28) from 0 to 1, classes, and which are of the test part."""
    with np.load(Path(os.environ["METASKL_DATA"]) / f"{FILES[name]}.npz") as file:
        X, y, split = file["X"], file["y"], file["split"]
    if X.shape[1:] != (28, 28):
        box = Image.Resampling.BOX
        X = np.stack([np.asarray(Image.fromarray(x).resize((28, 28), box)) for x in X])
    test = split == split.max()
    if name == "brain":
        test = np.random.default_rng(0).random(len(y)) < 1 / 3
    return X[:, None] / np.float32(255), y, test


def subset(y: np.ndarray, n_class: int, seed: int = 0) -> np.ndarray:
    """Return at most so many rows of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == label))[:n_class] for label in np.unique(y)]
    return np.concatenate(rows)


def learners(epochs: int, seed: int) -> dict[str, Any]:
    """Return the meta-learners."""
    shared: dict[str, Any] = {
        "backbone": Conv4(n_channels=32, norm="batch"),
        "label_space": "task",
        "n_way": 2,
        "n_shot": (1, 10),
        "n_query": 10,
        "meta_batch_size": 2,
        "max_epochs": epochs,
        "steps_per_epoch": 50,
        "random_state": seed,
    }
    changes = [RandomFlip(), RandomAffine(), RandomLight(), RandomErasing()]
    return {
        "prototypes, augmented": ProtoNetClassifier(augment=changes, **shared),
        "prototypes": ProtoNetClassifier(**shared),
        "SimpleShot, augmented": SimpleShotClassifier(augment=changes, **shared),
    }


def baselines(background: np.ndarray) -> dict[str, Any]:
    """Return what learns from the support alone, or from it and unlabelled other pictures."""
    components = make_pipeline(flatten_pictures(), StandardScaler(), PCA(30, random_state=0))
    components.fit(background)
    return {
        BASELINE: make_pipeline(
            flatten_pictures(), StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
        ),
        "pixels, nearest": make_pipeline(flatten_pictures(), KNeighborsClassifier(1)),
        "components of the other sets, logistic regression": make_pipeline(
            FrozenEstimator(components), StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
        ),
    }


def main() -> None:
    """Print balanced accuracy and area under the ROC curve of each candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--epochs", type=int, default=6, help="of 50 outer steps")
    parser.add_argument("--n-shot", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--n-repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sets = {name: pictures(name) for name in FILES}
    start = time.process_time()
    for target in options.targets:
        X, y, test = sets[target]
        parts = []
        for name in [name for name in FILES if name != target]:
            rows = subset(sets[name][1], 400)
            parts.append((sets[name][0][rows], sets[name][1][rows], np.repeat(name, len(rows))))
        X_other, y_other, group = (np.concatenate(part) for part in zip(*parts, strict=True))
        candidates = {
            name: learner.fit(X_other, y_other, groups=group)
            for name, learner in learners(options.epochs, options.seed).items()
        }
        candidates |= baselines(X_other)
        judged = np.flatnonzero(test)[subset(y[test], 300 // len(np.unique(y)))]
        scores = few_shot_scores(
            candidates,
            X[~test],
            y[~test],
            X_test=X[judged],
            y_test=y[judged],
            n_shot=options.n_shot,
            n_repeats=options.n_repeats,
        )
        print(f"{target}, {len(judged)} pictures, {time.process_time() - start:.0f} s of one core")
        for metric in ("balanced_accuracy", "roc_auc"):
            table = scores.pivot_table(metric, ["n_shot", "repeat"], "candidate")
            for name in candidates:
                for n_shot in options.n_shot:
                    own = table.loc[n_shot]
                    shown = "{:.3f} [{:.3f}, {:.3f}]".format(*interval(own[name].to_numpy()))
                    gain = interval((own[name] - own[BASELINE]).to_numpy())
                    print(f"  {metric}, {name}, {n_shot}: {shown}", end="")
                    print(", gain {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain), flush=True)


if __name__ == "__main__":
    main()
