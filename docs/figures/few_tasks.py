"""Whether augmentation pays on few tasks, and a logistic head ranks mines better.

`school`, `radon`: a random 75 % of the tasks are for choosing (--part choose,
cross-validated over tasks within them); the rest is scored once by learners that were trained on
the 75 % (--part report). With --part few learners are trained on twenty of the 75 %, drawn anew by
each of --seeds seeds, and scored on the rest; nothing is chosen by that.
--part default asks what should be on by default: each seed draws --n-tasks tasks of a set, at most
100 rows of each, trains each of --settings on them, and scores on up to 40 of the other tasks.
`landmine`: half of each field's rows is adapted on, the other half scored; `--part choose` does
the same within a random half of each field's rows. Data: METASKL_DATA, or downloaded.
"""

import argparse
import time

import numpy as np
from task_sets import FURTHER_SETS, TASK_SETS

from metaskl import (
    AttentiveCNPClassifier,
    AttentiveCNPRegressor,
    FewShotScorer,
    LogisticHeadClassifier,
    MAMLClassifier,
    MAMLRegressor,
    RidgeHeadClassifier,
    RidgeHeadRegressor,
    compare,
)
from metaskl.backbones import MLP
from metaskl.datasets import fetch_landmine, fetch_radon, fetch_school
from metaskl.evaluation.differences import interval
from metaskl.tasks import FeatureDropout, FeatureNoise, LabelNoise, LabelShift, TaskMix

AUGMENTATIONS = (
    None,
    FeatureNoise(0.1),
    FeatureNoise(0.3),
    FeatureDropout(0.1),
    LabelNoise(0.3),
    LabelShift(0.5),
    TaskMix(0.5),
)
SETS = TASK_SETS | FURTHER_SETS
STOPPING = {"validation_fraction": 0.2, "patience": 3}
# What --part default compares with the first of them.
SETTINGS = {
    "nothing": {},
    "noise": {"augment": FeatureNoise(0.3)},
    "decay": {"optimizer": "adamw", "weight_decay": 0.01},
    "stopping": STOPPING,
    "negative": {"negative_rates": True},  # of MAML
    "both": {"augment": FeatureNoise(0.3)} | STOPPING,
}
REGRESSORS = {
    "ridge_head": RidgeHeadRegressor,
    "maml": MAMLRegressor,
    "attentive_cnp": AttentiveCNPRegressor,
}
CLASSIFIERS = {
    "ridge_head": RidgeHeadClassifier,
    "maml": MAMLClassifier,
    "attentive_cnp": AttentiveCNPClassifier,
    "logistic_head": LogisticHeadClassifier,
}
SMALL = {"backbone": MLP((16,), "tanh", skip=True), "max_epochs": 3, "n_query": 50, "augment": None}
HEADS = {
    "logistic head": LogisticHeadClassifier(random_state=0, n_shot=(50, 150), **SMALL),
    "ridge head": RidgeHeadClassifier(random_state=0, n_shot=(50, 150), **SMALL),
    "logistic head, outer_lr=5e-3": LogisticHeadClassifier(
        random_state=0, n_shot=(50, 150), outer_lr=5e-3, **SMALL
    ),
    "ridge head, outer_lr=5e-3": RidgeHeadClassifier(
        random_state=0, n_shot=(50, 150), outer_lr=5e-3, **SMALL
    ),
    "ridge head, n_shot=50": RidgeHeadClassifier(random_state=0, n_shot=50, **SMALL),
}


def augmentation(name: str, part: str, learner: str) -> None:
    """Compare the augmentations of one learner on one task set."""
    data = {"school": fetch_school, "radon": fetch_radon}[name]()
    X, y, groups = (np.asarray(part) for part in (data.data, data.target, data.groups))
    tasks = np.random.default_rng(0).permutation(np.unique(groups))
    chosen = np.isin(groups, tasks[: int(0.75 * len(tasks))])
    kind = {"ridge_head": RidgeHeadRegressor, "maml": MAMLRegressor}[learner]
    models = {str(a): kind(augment=a, random_state=0) for a in AUGMENTATIONS}
    if part == "choose":
        rows = X[chosen], y[chosen], groups[chosen]
        result = compare(
            *rows, learners=models, baselines=["shrunk ridge"], n_shot=(2, 5, 10), cv=3, n_jobs=1
        )
        print(result.protocol, result, sep="\n")
        return
    scorer = FewShotScorer(n_shot=5, random_state=0)
    for label, model in models.items():
        model.fit(X[chosen], y[chosen], groups[chosen])
        print(f"{label:24} {scorer(model, X[~chosen], y[~chosen], groups[~chosen]):.4f}")


def few(name: str, learner: str, n_tasks: int, n_seeds: int) -> None:
    """Train on few tasks by several seeds, and print each augmentation's gain over none."""
    data = {"school": fetch_school, "radon": fetch_radon}[name]()
    X, y, groups = (np.asarray(part) for part in (data.data, data.target, data.groups))
    tasks = np.random.default_rng(0).permutation(np.unique(groups))
    n_chosen = int(0.75 * len(tasks))
    held_out = np.isin(groups, tasks[n_chosen:])
    kind = {"ridge_head": RidgeHeadRegressor, "maml": MAMLRegressor}[learner]
    scorer = FewShotScorer(n_shot=5, n_repeats=3, random_state=0)
    errors: dict[str, list[float]] = {str(a): [] for a in AUGMENTATIONS}
    for seed in range(n_seeds):
        drawn = np.random.default_rng(seed).choice(tasks[:n_chosen], n_tasks, replace=False)
        rows = np.isin(groups, drawn)
        for augment in AUGMENTATIONS:
            model = kind(augment=augment, random_state=seed).fit(X[rows], y[rows], groups[rows])
            score = scorer(model, X[held_out], y[held_out], groups[held_out])
            errors[str(augment)].append(-score)
    for label, found in errors.items():
        gain, low, high = interval(np.subtract(errors["None"], found))
        print(f"{label:24} {np.mean(found):.4f}  gain {gain:+.4f} [{low:+.4f}, {high:+.4f}]")


def thinned(groups: np.ndarray, n_rows: int = 100) -> np.ndarray:
    """Return at most so many rows of each task, drawn at random."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.flatnonzero(groups == task))[:n_rows] for task in np.unique(groups)]
    return np.sort(np.concatenate(rows))


def default(name: str, learner: str, n_tasks: int, n_seeds: int, settings: list[str]) -> None:
    """Print what each setting gains over none, paired over seeds that draw the tasks anew."""
    given = SETS[name]()
    y, groups = np.asarray(given["y"]), np.asarray(given["groups"])
    rows = thinned(groups)
    encode = given.get("preprocess", "passthrough")
    X = np.asarray(given["X"] if encode == "passthrough" else encode.fit_transform(given["X"]))
    X, y, groups = X[rows].astype(float), y[rows], groups[rows]
    classes = "scoring" in given
    kind = (CLASSIFIERS if classes else REGRESSORS)[learner]
    shots = given["n_shot"]
    more = {"n_shot": min(shots)} | ({"allow_single_class": True} if classes else {})
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(n_seeds):
        tasks = np.random.default_rng(seed).permutation(np.unique(groups))
        drawn, others = (np.isin(groups, t) for t in (tasks[:n_tasks], tasks[n_tasks:][:40]))
        for setting in settings:
            model = kind(random_state=seed, **{"augment": None} | more | SETTINGS[setting])
            model.fit(X[drawn], y[drawn], groups[drawn])
            for n_shot in shots:
                scorer = FewShotScorer(given.get("scoring"), n_shot=n_shot, random_state=0)
                score = scorer(model, X[others], y[others], groups[others])
                found.setdefault((setting, n_shot), []).append(score)
    print(f"{name}, {X.shape[1]} columns, {n_tasks} tasks, {kind.__name__}")
    for (setting, n_shot), scores in found.items():
        gain, low, high = interval(np.subtract(scores, found[settings[0], n_shot]))
        text = f"{abs(np.mean(scores)):.4f}  gain {gain:+.4f} [{low:+.4f}, {high:+.4f}]"
        print(f"  {setting:9} {n_shot:3} rows  {text}")


def landmine(part: str, n_splits: int) -> None:
    """Compare the heads on held-out rows of every field."""
    data = fetch_landmine()
    X, y, groups = (np.asarray(part) for part in (data.data, data.target, data.groups))
    if part == "choose":
        rng = np.random.default_rng(123)
        fields = [np.flatnonzero(groups == field) for field in np.unique(groups)]
        rows = np.concatenate([rng.permutation(field)[: len(field) // 2] for field in fields])
        X, y, groups = X[rows], y[rows], groups[rows]
    options = {"holdout": "rows", "n_shot": 0.5, "cv": n_splits, "scoring": "roc_auc", "n_jobs": 1}
    result = compare(X, y, groups, learners=HEADS, baselines=["shrunk logistic"], **options)
    print(result.protocol, result, sep="\n")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=SETS)
    parts = ("choose", "report", "few", "default")
    parser.add_argument("--part", choices=parts, default="choose")
    parser.add_argument("--n-tasks", type=int, default=20, help="with --part few, default")
    parser.add_argument("--seeds", type=int, default=5, help="with --part few, default")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["nothing", "noise"])
    parser.add_argument("--splits", type=int, default=6, help="of land mines")
    parser.add_argument("--learner", choices=CLASSIFIERS, default="ridge_head")
    options = parser.parse_args()
    if options.part != "default" and options.what not in ("school", "radon", "landmine"):
        parser.error(f"--part {options.part} is for school, radon and landmine")
    start = time.perf_counter()
    if options.part == "default":
        asked = options.learner, options.n_tasks, options.seeds, options.settings
        default(options.what, *asked)
    elif options.what == "landmine":
        landmine(options.part, options.splits)
    elif options.part == "few":
        few(options.what, options.learner, options.n_tasks, options.seeds)
    else:
        augmentation(options.what, options.part, options.learner)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
