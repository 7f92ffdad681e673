"""Who is on the picture, and where is the character? From one example of each.

Faces: a network is meta-trained on 20 persons of the ORL set; 10 others are enrolled with a few
pictures each, and named and verified, beside eigenfaces. Characters: a network is meta-trained on
scenes of Omniglot, then finds characters of other alphabets. The README's figures come from more
training and all persons (figures/); this takes seconds. Data: the folder METASKL_DATA.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.datasets import fetch_omniglot
from metaskl.tasks import RandomAffine
from metaskl_vision import (
    FewShotDetector,
    Gallery,
    MetaEmbedding,
    RandomFlip,
    TemplateMatching,
    compose_scenes,
    flatten_pictures,
    identify,
    mean_average_precision,
    verification_report,
    verify,
)


def prototypes(max_epochs: int, **draw: int) -> ProtoNetClassifier:
    """Return the classifier that is meta-trained."""
    return ProtoNetClassifier(
        backbone=Conv4(n_channels=32, norm="batch"),
        label_space="task",
        meta_batch_size=1,
        max_epochs=max_epochs,
        steps_per_epoch=40,
        augment=[RandomAffine(), RandomFlip(0.5 if draw["n_way"] == 10 else 0.0)],
        random_state=0,
        **draw,
    )


def faces(max_epochs: int, n_shot: int) -> None:
    """Name and verify ten persons that were not trained on."""
    with np.load(Path(os.environ["METASKL_DATA"]) / "orl_faces.npz") as file:
        X, y = file["X"][:, None, ::4, ::4] / np.float32(255), file["y"]
    new, other = y % 3 == 0, y % 6 == 1
    train = ~new & ~other
    eigenfaces = make_pipeline(flatten_pictures(), PCA(40, random_state=0)).fit(X[train])
    meta = MetaEmbedding(prototypes(max_epochs, n_way=10, n_shot=2, n_query=4))
    for name, embedding in {"eigenfaces": eigenfaces, "prototypes": meta}.items():
        if embedding is meta:
            meta.fit(X[train], y[train])
        gallery = Gallery(embedding, metric="euclidean", rule="nearest")
        right = identify(gallery, X[new], y[new], n_shot=n_shot)["accuracy"].mean()
        others = {"X_other": X[other], "y_other": y[other]}
        report = verification_report(verify(gallery, X[new], y[new], n_shot=n_shot, **others))
        error = report.loc["equal_error_rate", "mean"]
        print(f"{name}: {right:.1%} named right, equal error rate {error:.1%}")


def characters(max_epochs: int, n_shot: int) -> None:
    """Find five characters that were not trained on, among others."""
    data = fetch_omniglot()
    X, y, new = data.data, data.target, data.evaluation
    training = compose_scenes(X[~new], y[~new], n_scenes=200, n_strokes=6, noise=0.05)
    classes = np.random.default_rng(0).choice(np.unique(y[new]), 10, replace=False)
    drawing = data.drawer
    shown = np.isin(y, classes[:5]) & (drawing <= n_shot)
    hidden = np.isin(y, classes) & (drawing > n_shot)
    support = compose_scenes(X[shown], y[shown], n_scenes=n_shot, n_things=5)
    scenes = compose_scenes(X[hidden], y[hidden], n_scenes=6, n_strokes=6, noise=0.05)
    head = prototypes(max_epochs, n_way=20, n_shot=1, n_query=3)
    for name, estimator in {"templates": TemplateMatching(), "prototypes": head}.items():
        detector = FewShotDetector(estimator).fit(training).adapt(support)
        score = mean_average_precision(detector.predict(scenes), scenes, classes[:5])
        print(f"{name}: mean average precision {score:.3f}")


def main(arguments: list[str] | None = None) -> None:
    """Run both, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=2, help="of 40 outer steps")
    parser.add_argument("--n-shot", type=int, default=1)
    options = parser.parse_args(arguments)
    faces(options.max_epochs, options.n_shot)
    characters(options.max_epochs, options.n_shot)


if __name__ == "__main__":
    main()
