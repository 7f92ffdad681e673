"""ORL faces: identify and verify persons of whom k pictures are known.

Protocol: three folds of 10 persons who are judged; of the other 20, a network is meta-trained on
15 and the threshold of verification is chosen on 5. Pictures of 56 x 46 pixels. All candidates
are transformers fitted on the 15, and enrol and try the same rows, in 10 draws. Intervals are over
the persons. The faces: F. S. Samaria, A. C. Harter, WACV 1994 (AT&T Laboratories Cambridge).
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.evaluation.differences import interval
from metaskl.tasks import RandomAffine
from metaskl_vision import (
    Gallery,
    MetaEmbedding,
    RandomErasing,
    RandomFlip,
    RandomLight,
    flatten_pictures,
    identify,
    verification_report,
    verify,
)


def faces(side: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures (300, 1, 112 / side, 92 / side) from 0 to 1, and the persons."""
    with np.load(Path(os.environ["METASKL_DATA"]) / "orl_faces.npz") as file:
        X, y = file["X"] / np.float32(255), file["class_names"][file["y"]]
    n, height, width = X.shape
    blocks = X.reshape(n, 1, height // side, side, width // side, side)
    return blocks.mean(axis=(3, 5)), y


def prototypes(epochs: int, seed: int, augmented: bool = True) -> MetaEmbedding:
    """Return the meta-learned features."""
    changes = [RandomFlip(), RandomAffine(), RandomLight(), RandomErasing()]
    return MetaEmbedding(
        ProtoNetClassifier(
            backbone=Conv4(n_channels=32, norm="batch"),
            label_space="task",
            n_way=10,
            n_shot=2,
            n_query=4,
            meta_batch_size=1,
            max_epochs=epochs,
            steps_per_epoch=50,
            augment=changes if augmented else None,
            random_state=seed,
        )
    )


def galleries(options: argparse.Namespace) -> dict[str, Gallery]:
    """Return the candidates: a transformer, how its features are compared, and by what rule."""
    fisher = make_pipeline(
        flatten_pictures(), PCA(60, random_state=0), LinearDiscriminantAnalysis(n_components=14)
    )
    found = {
        "pixels, nearest": Gallery(flatten_pictures(), "euclidean", "nearest"),
        "eigenfaces, nearest": Gallery(
            make_pipeline(flatten_pictures(), PCA(40, random_state=0)), "euclidean", "nearest"
        ),
        "eigenfaces, whitened, cosine, nearest": Gallery(
            make_pipeline(flatten_pictures(), PCA(40, whiten=True, random_state=0)),
            "cosine",
            "nearest",
        ),
        "eigenfaces + LDA, cosine, mean": Gallery(fisher, "cosine", "mean"),
        "prototypes": Gallery(prototypes(options.epochs, options.seed), "euclidean"),
        "prototypes, cosine": Gallery(prototypes(options.epochs, options.seed), "cosine"),
    }
    if options.ablation:
        plain = prototypes(options.epochs, options.seed, augmented=False)
        found["prototypes, without augmentation"] = Gallery(plain, "euclidean")
    return found


def main() -> None:
    """Print accuracy and error rates of each candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8, help="of 50 outer steps")
    parser.add_argument("--n-shot", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--n-repeats", type=int, default=10)
    parser.add_argument("--ablation", action="store_true", help="without augmentation too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    X, y = faces()
    order = np.random.default_rng(0).permutation(np.unique(y))
    named, tried = [], []
    start = time.process_time()
    for fold in range(3):
        judged, rest = order[fold::3], np.setdiff1d(order, order[fold::3])
        rest = np.random.default_rng(fold).permutation(rest)
        test, train, other = (np.isin(y, p) for p in (judged, rest[:15], rest[15:]))
        fitted: dict[str, Any] = {}
        for name, gallery in galleries(options).items():
            key = repr(gallery.embedding)
            if key not in fitted:
                fitted[key] = gallery.embedding.fit(X[train], y[train])
            gallery.set_params(embedding=fitted[key])
            for n_shot in options.n_shot:
                draws = {"n_shot": n_shot, "n_repeats": options.n_repeats}
                place = {"candidate": name, "n_shot": n_shot, "fold": fold}
                named.append(identify(gallery, X[test], y[test], **draws).assign(**place))
                strangers: dict[str, Any] = {"X_other": X[other], "y_other": y[other]}
                trials = verify(gallery, X[test], y[test], **strangers, **draws)
                tried.append(trials.assign(**place))
        print(f"fold {fold}: {time.process_time() - start:.0f} s of one core", flush=True)
    report(pd.concat(named), pd.concat(tried), options.n_shot)


def report(named: pd.DataFrame, tried: pd.DataFrame, n_shots: list[int]) -> None:
    """Print the tables, and the gains over pixels, paired by person."""
    by_person = named.groupby(["candidate", "n_shot", "person"])["accuracy"].mean()
    baseline = by_person.loc["pixels, nearest"]
    for name in named["candidate"].unique():
        for n_shot in n_shots:
            own = by_person.loc[name, n_shot]
            mean, low, high = interval(own.to_numpy())
            gain = interval((own - baseline.loc[n_shot]).to_numpy())
            print(f"{name}, {n_shot}: accuracy {mean:.3f} [{low:.3f}, {high:.3f}]", end="")
            print(", against pixels {:+.3f} [{:+.3f}, {:+.3f}]".format(*gain))
            rows = tried[(tried["candidate"] == name) & (tried["n_shot"] == n_shot)]
            for rate, row in verification_report(rows).iterrows():
                print(f"    {rate}: {row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")


if __name__ == "__main__":
    main()
