"""FS-Mol: average precision above the share of actives, on assays that no learner has seen.

Protocol: a sample of FS-Mol, 2,048 fingerprint bits and no graphs; meta-training on its 600
meta-training assays, test on its 70 meta-test assays; stratified supports of 16 to 256 molecules,
the same for every candidate, the rest of the assay is the query; assays with too few
molecules for a support are left out at that size; mean over repeats, then over assays; inductive.
The forest is one of 100 trees for each support. No setting was chosen on a meta-test assay: compare
settings with ``--split valid``. Data: METASKL_DATA, or downloaded.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from metaskl import (
    ADKFClassifier,
    DKTClassifier,
    PerTask,
    ProtoNetClassifier,
    RidgeHeadClassifier,
)
from metaskl.backbones import MLP
from metaskl.datasets import fetch_fsmol
from metaskl.evaluation.differences import interval
from metaskl.search import TaskEnsemble

SPLITS = ("train", "valid", "test")
FOREST = RandomForestClassifier(100, random_state=0, n_jobs=1)
LEARNERS: dict[str, Callable[..., Any]] = {
    "protonet": ProtoNetClassifier,
    "ridge head": RidgeHeadClassifier,
    "dkt": DKTClassifier,
    "adkf": ADKFClassifier,
    "adkf and forest": ADKFClassifier,
    # A Gaussian process on the bits themselves: only its few parameters are meta-learned.
    "dkt on bits": lambda **given: DKTClassifier(
        **given | {"backbone": MLP(()), "outer_lr": 1e-2, "max_epochs": 1}
    ),
}
# Published for these 70 assays; the networks saw 4,938 training assays, and graphs.
PUBLISHED = {
    "published forest": {16: 0.099, 64: 0.163, 256: 0.299},
    "published protonet": {16: 0.211, 64: 0.276, 256: 0.325},
}


def draws(y: np.ndarray, n_shot: int, n_repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split one assay into support and query; both hold both classes."""
    if len(y) < n_shot + 2:
        return []
    rows = np.arange(len(y))
    return [
        train_test_split(rows, train_size=n_shot, stratify=y, random_state=seed)
        for seed in range(n_repeats)
    ]


def forest(X: np.ndarray, y: np.ndarray) -> Any:
    return clone(FOREST).fit(X, y)


def gains(
    learn: Callable[[Any, Any], Any], assays: list[tuple[Any, Any]], n_shot: int, n_repeats: int
) -> np.ndarray:
    """Return each assay's average precision above the share of actives (nan: too small)."""
    found = []
    for X, y in assays:
        own = []
        for support, query in draws(y, n_shot, n_repeats):
            proba = learn(X[support], y[support]).predict_proba(X[query])[:, 1]
            own.append(average_precision_score(y[query], proba) - y[query].mean())
        found.append(np.mean(own) if own else np.nan)
    return np.array(found)


def line(name: str, n_shot: int, found: np.ndarray, reference: np.ndarray | None) -> str:
    """Say how good a candidate is, and by how much better than the forest on the same draws."""
    kept = found[~np.isnan(found)]
    mean, _, high = interval(kept)
    text = f"  {name:12s} {n_shot:4d}: {mean:.3f} ± {high - mean:.3f}"
    if reference is None:
        return f"{text} ({len(kept)} assays)"
    mean, _, high = interval((found - reference)[~np.isnan(found)])
    return f"{text}, above the forest {mean:+.3f} ± {high - mean:.3f}"


def options_given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*LEARNERS, "forest"], action="append")
    parser.add_argument("--n-shot", type=int, action="append", help="support sizes")
    parser.add_argument("--train-shot", type=int, nargs=2, default=[8, 64], help="in training")
    parser.add_argument("--n-repeats", type=int, default=10, help="draws of an assay and size")
    parser.add_argument("--split", choices=SPLITS[1:], default="test")
    parser.add_argument("--epochs", type=int, default=20, help="of 100 outer steps")
    parser.add_argument("--meta-batch-size", type=int, default=16)
    parser.add_argument("--outer-lr", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--hidden", type=int, nargs="*", default=[256, 128])
    parser.add_argument("--kernel", default="tanimoto", help="of dkt and adkf")
    parser.add_argument("--mean", default="constant", help="of dkt and adkf")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def trained(name: str, options: argparse.Namespace, X: Any, y: Any, groups: Any) -> Any:
    """Meta-train a learner."""
    process = "dk" in name
    given = {"kernel": options.kernel, "mean": options.mean} if process else {}
    meta = LEARNERS[name](
        # Beside the learned features the kernels see the bits, as they do in the forest.
        backbone=MLP(tuple(options.hidden), skip=process),
        standardize=False,  # bits; rare ones would weigh too much
        n_shot=tuple(options.train_shot),
        n_query=32,
        meta_batch_size=options.meta_batch_size,
        max_epochs=options.epochs,
        outer_lr=options.outer_lr,
        weight_decay=options.weight_decay,
        random_state=options.seed,
        **given,
    )
    start = time.perf_counter()
    meta.fit(X, y, groups=groups)
    print(
        f"{name}: trained in {time.perf_counter() - start:.0f} s on {meta.device_}, loss "
        f"{meta.history_[0]['train_loss']:.3f} to {meta.history_[-1]['train_loss']:.3f}",
        flush=True,
    )
    if "forest" not in name:
        return meta
    first = groups == groups[0]  # of the forests only those of new assays are wanted
    both = TaskEnsemble([FrozenEstimator(meta), PerTask(FOREST)])
    return both.fit(X[first], y[first], groups=groups[first])


def main() -> None:
    """Print each candidate at each support size."""
    options = options_given()
    data = fetch_fsmol()
    split = dict(zip(data.group_names, data.task_split, strict=True))
    part = np.array([split[name] for name in data.groups])
    X = data.data.astype(np.float32)
    names = data.group_names[data.task_split == SPLITS.index(options.split)]
    assays = [(X[data.groups == name], data.target[data.groups == name]) for name in names]
    print(
        f"{len(assays)} {options.split} assays, {options.n_repeats} draws, {os.cpu_count()} cores"
    )
    sizes = options.n_shot or [16, 32, 64, 128, 256]
    reference: dict[int, np.ndarray] = {}
    for name in options.only or ["forest", *LEARNERS]:
        start, learn = time.perf_counter(), forest
        if name != "forest":
            old = part == 0
            learn = trained(name, options, X[old], data.target[old], data.groups[old]).adapt
        for n_shot in sizes:
            found = gains(learn, assays, n_shot, options.n_repeats)
            if np.isnan(found).all():
                continue
            print(line(name, n_shot, found, reference.get(n_shot)), flush=True)
            if name == "forest":
                reference[n_shot] = found
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    for name, figures in PUBLISHED.items() if options.split == "test" else ():
        print(name, figures)


if __name__ == "__main__":
    main()
