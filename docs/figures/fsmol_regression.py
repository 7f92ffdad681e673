"""FS-Mol, regression on the logarithm of the measured activity: R² on assays never seen.

Protocol: as in fsmol.py; supports are drawn at random and are the same for every candidate; rows
without a value are left out; targets in units of each assay's own mean and deviation (of the
support's, in a new one), as assays measure different things, the learners' supports drawn in to
``--clip`` deviations, as some assays have a few values far from all others; R² of each assay's
query, as it is, against its own mean, mean over repeats, then over assays; inductive.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score

from metaskl import ADKFRegressor, DKTRegressor, PerTask, RidgeHeadRegressor
from metaskl.backbones import MLP
from metaskl.datasets import fetch_fsmol
from metaskl.evaluation.differences import interval
from metaskl.search import TaskEnsemble

SPLITS = ("train", "valid", "test")
LEARNERS = ("dkt", "adkf", "adkf and forest", "ridge head")
FOREST = RandomForestRegressor(100, random_state=0, n_jobs=1)
LEAST = 1e-3  # deviation of the targets of an assay
Assay = tuple[Any, Any]


def forest(X: np.ndarray, y: np.ndarray) -> Any:
    return clone(FOREST).fit(X, y)


def scores(
    learn: Callable[[Any, Any], Any], assays: list[Assay], n_shot: int, n_repeats: int
) -> np.ndarray:
    """Return each assay's R² (nan: too small)."""
    found = []
    for X, y in assays:
        own = []
        for seed in range(n_repeats if len(y) >= n_shot + 8 else 0):
            rows = np.random.default_rng(seed).permutation(len(y))
            support, query = rows[:n_shot], rows[n_shot:]
            own.append(r2_score(y[query], learn(X[support], y[support]).predict(X[query])))
        found.append(np.mean(own) if own else np.nan)
    return np.array(found)


def line(name: str, n_shot: int, found: np.ndarray, reference: np.ndarray | None) -> str:
    """Say how good a candidate is, and by how much better than the forest on the same draws."""
    kept = found[~np.isnan(found)]
    mean, _, high = interval(kept)
    text = f"  {name:10s} {n_shot:4d}: {mean:+.3f} ± {high - mean:.3f} ({len(kept)} assays)"
    if reference is None:
        return text
    gain = (found - reference)[~np.isnan(found)]
    mean, _, high = interval(gain)
    wins = (gain > 0).mean()
    return f"{text}, above the forest {mean:+.3f} ± {high - mean:.3f}, in {wins:.0%} of the assays"


def learners(epochs: int, outer_lr: float, seed: int) -> dict[str, Any]:
    """Return the learners, not fitted."""
    shared = {"standardize": False, "n_shot": (8, 128), "n_query": 32, "random_state": seed}
    shared |= {"max_epochs": epochs, "outer_lr": outer_lr}
    # A mean that is linear in 2,048 bits is fitted to the training assays and misleads new ones.
    process = {"backbone": MLP((256, 128), skip=True), "kernel": "tanimoto", "mean": "constant"}
    return {
        "dkt": DKTRegressor(**process, **shared),
        "adkf": ADKFRegressor(**process, **shared),
        "adkf and forest": ADKFRegressor(**process, **shared),
        "ridge head": RidgeHeadRegressor(backbone=MLP((256, 128)), **shared),
    }


def with_forest(meta: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> TaskEnsemble:
    """Return the mean of a trained learner and a forest an assay; rows of one assay suffice."""
    return TaskEnsemble([FrozenEstimator(meta), PerTask(FOREST)]).fit(X, y, groups=groups)


def centred(y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return targets in units of their own assay: around its mean, by its deviation."""
    units = y.copy()
    for name in np.unique(groups):
        rows = groups == name
        units[rows] = (y[rows] - y[rows].mean()) / max(y[rows].std(), LEAST)
    return units


class OfAnAssay:
    """A learner adapted to a support in the support's own units, outliers drawn in."""

    def __init__(self, meta: Any, clip: float = np.inf) -> None:
        self.meta, self.clip = meta, clip

    def adapt(self, X: np.ndarray, y: np.ndarray) -> "OfAnAssay":
        """Adapt, in units of the support."""
        self.mean, self.deviation = y.mean(), max(y.std(), LEAST)
        units = (y - self.mean) / self.deviation
        self.adapted = self.meta.adapt(X, np.clip(units, -self.clip, self.clip))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict, in the assay's units."""
        return self.mean + self.deviation * self.adapted.predict(X)


def main() -> None:
    """Print each candidate at each support size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=LEARNERS, action="append")
    parser.add_argument("--n-shot", type=int, action="append", help="support sizes")
    parser.add_argument("--n-repeats", type=int, default=5)
    parser.add_argument("--split", choices=SPLITS[1:], default="test")
    parser.add_argument("--epochs", type=int, default=6, help="of 100 outer steps")
    parser.add_argument("--outer-lr", type=float, default=2e-3)
    parser.add_argument("--clip", type=float, default=2.0, help="most deviations of a target")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = fetch_fsmol()
    split = dict(zip(data.group_names, data.task_split, strict=True))
    old = np.array([split[name] for name in data.groups]) == 0
    known = ~np.isnan(data.y_log)
    groups, old = data.groups[known], old[known]
    X = data.data[known].astype(np.float32)
    y = data.y_log[known].astype(np.float64)
    names = data.group_names[data.task_split == SPLITS.index(options.split)]
    assays = [(X[groups == name], y[groups == name]) for name in names]
    print(
        f"{len(assays)} {options.split} assays, {options.n_repeats} draws, {os.cpu_count()} cores"
    )
    sizes = options.n_shot or [16, 32, 64, 128, 256]
    reference: dict[int, np.ndarray] = {}
    for n_shot in sizes:
        reference[n_shot] = scores(forest, assays, n_shot, options.n_repeats)
        print(line("forest", n_shot, reference[n_shot], None), flush=True)
    made = learners(options.epochs, options.outer_lr, options.seed)
    for name in options.only or LEARNERS:
        start, meta = time.perf_counter(), made[name]
        meta.fit(X[old], centred(y[old], groups[old]), groups=groups[old])
        if "forest" in name:
            first = groups == groups[old][0]
            meta = with_forest(meta, X[first], y[first], groups[first])
        print(f"{name}: trained in {time.perf_counter() - start:.0f} s", flush=True)
        for n_shot in sizes:
            found = scores(OfAnAssay(meta, options.clip).adapt, assays, n_shot, options.n_repeats)
            print(line(name, n_shot, found, reference[n_shot]), flush=True)


if __name__ == "__main__":
    main()
