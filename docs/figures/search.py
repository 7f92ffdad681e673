"""The search on real task sets: what it finds, what pruning saves, warm starts, two workers.

``found``: a random 60 % of the tasks are searched on, by cross-validation over them; what was
found, the same learner's defaults and the best tuned baseline are then fitted to the 60 % and
scored once on the other 40 %, on the same draws; differences are paired over these tasks.
``pruning``: the same search with and without pruning by task, several seeds.
``warm``: task sets made from single tables (each is cut into 12 tasks along its first principal
component) and small real sets; each in turn is searched cold, and warm from the studies of all
others. ``workers``: seconds of one search by one process, two loky and two dask workers, in turn.
Nothing is transductive. One torch thread a process.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupShuffleSplit, PredefinedSplit
from sklearn.preprocessing import StandardScaler, scale
from task_sets import chickweight, landmine, radon, school, theoph

from metaskl import cross_validate_tasks, run_study
from metaskl.datasets import fetch_fsmol, fetch_omniglot
from metaskl.evaluation.differences import interval

Arguments = dict[str, Any]
LINEAR = ["pooled ridge", "per-task ridge", "shrunk ridge"]
LOGISTIC = ["pooled logistic", "per-task logistic", "shrunk logistic"]


def fsmol() -> Arguments:
    """235 assays of FS-Mol, fingerprint bits."""
    data = fetch_fsmol()
    kept = np.isin(data.groups, data.group_names[:: len(data.group_names) // 220])
    return {
        "X": data.data[kept].astype(np.float32),
        "y": data.target[kept],
        "groups": data.groups[kept],
        "n_shot": (16, 32),
        "scoring": "average_precision",
    }


def omniglot() -> Arguments:
    """Characters of 50 alphabets, as the mean darkness of 7 x 7 squares."""
    data = fetch_omniglot()
    squares = data.data.reshape(len(data.data), 7, 4, 7, 4).astype(np.float32)
    return {
        "X": squares.mean((2, 4)).reshape(len(squares), -1),
        "y": data.target,
        "groups": data.groups,
        "n_shot": (1, 5),
        "label_space": "task",
    }


def table(path: Path) -> Arguments:
    """Return a table for regression as 12 tasks."""
    frame = pd.read_csv(path)
    y = frame.pop("target").to_numpy(float)
    X = StandardScaler().fit_transform(frame.to_numpy(float))
    along = PCA(1, random_state=0).fit_transform(X)[:, 0]
    groups = (12 * np.argsort(np.argsort(along, kind="stable")) // len(X)).astype(int)
    return {"X": X, "y": scale(y), "groups": groups, "n_shot": 5, "n_repeats": 3}


# The set, the learner that is searched, its baselines and its outer steps, in hundreds.
SETS: dict[str, tuple[Callable[[], Arguments], str, list[str], int]] = {
    "school": (school, "ridge_head", [*LINEAR, "pooled boosting"], 3),
    "radon": (radon, "ridge_head", [*LINEAR, "shrunk forest"], 3),
    "landmine": (landmine, "logistic_head", LOGISTIC, 3),
    "fsmol": (fsmol, "ridge_head", [*LOGISTIC, "per-task forest"], 3),
    "omniglot": (omniglot, "protonet", ["per-task logistic"], 3),
}


def halves(name: str, seed: int) -> tuple[Arguments, Arguments, Any]:
    """Return the arguments for the tasks to search on, those of all tasks, and the split."""
    given = SETS[name][0]()
    rows = {key: np.asarray(given.pop(key)) for key in ("X", "y", "groups")}
    split = GroupShuffleSplit(1, test_size=0.4, random_state=seed)
    old, new = next(split.split(rows["X"], groups=rows["groups"]))
    fold = np.full(len(rows["y"]), -1)
    fold[new] = 0
    part = {key: value[old] for key, value in rows.items()}
    return part | given, rows | given, PredefinedSplit(fold)


def held_out(estimator: Any, everything: Arguments, split: Any) -> pd.DataFrame:
    """Return scores of the tasks that the search has not seen: a row a task, a column a size."""
    given = {k: v for k, v in everything.items() if k not in ("label_space", "preprocess")}
    if everything.get("label_space") == "task":
        given["n_way"] = 5
    scores = cross_validate_tasks(estimator, **given | {"n_repeats": 5}, cv=split)
    return scores.groupby(["task", "n_shot"])["score"].mean().unstack()


def search(name: str, part: Arguments, options: argparse.Namespace, **more: Any) -> Any:
    """Search the learner of a set."""
    _, learner, _, epochs = SETS[name]
    learners = [options.learner or learner]
    given = part | {"learner_params": {"max_epochs": epochs}, "learners": learners} | more
    return run_study(**given, n_trials=options.n_trials, random_state=options.seed, verbose=0)


def gain(first: pd.DataFrame, second: pd.DataFrame, n_shot: Any) -> str:
    mean, low, high = interval((first[n_shot] - second[n_shot]).dropna().to_numpy())
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def found(options: argparse.Namespace) -> None:
    """Print what was found, beside defaults and the best tuned baseline."""
    for name in options.only or SETS:
        start = time.perf_counter()
        part, everything, split = halves(name, options.seed)
        result = search(name, part, options)
        others = search(
            name, part, options, learners=[], baselines=SETS[name][2], learner_params={}
        )
        default = result.study.trials[0]
        scores = {
            "searched": held_out(result.make_best(), everything, split),
            "defaults": held_out(result.make(default), everything, split),
            "tuned baseline": held_out(others.make_best(), everything, split),
        }
        took = time.perf_counter() - start
        what = f"{result.best_learner}, {result.metric}"
        print(f"== {name}, seed {options.seed}: {what} ({took:.0f} s)")
        print(f"  best of {options.n_trials} trials {result.best_score:.4f}", end=", ")
        print(f"defaults {default.value:.4f}; {others.best_learner} {others.best_score:.4f}")
        print(f"  task evaluations saved: {result.task_evaluations_saved:.0%}")
        print(f"  {result.best_params}")
        for n_shot in scores["searched"]:
            means = {k: round(float(v[n_shot].mean()), 4) for k, v in scores.items()}
            print(f"  {n_shot} rows, {len(scores['searched'])} tasks: {means}")
            for other in ("defaults", "tuned baseline"):
                print(f"    above {other}: {gain(scores['searched'], scores[other], n_shot)}")
        print(end="", flush=True)


def pruning(options: argparse.Namespace) -> None:
    """Print what pruning by task saves, and what it costs."""
    for name in options.only or ("school", "radon", "landmine"):
        part, everything, split = halves(name, options.seed)
        for seed in range(options.n_seeds):
            options.seed = seed
            whole = search(name, part, options, pruning=None)
            pruned = search(name, part, options, pruning="tasks")
            scores = [held_out(r.make_best(), everything, split) for r in (pruned, whole)]
            gains = [gain(*scores, n_shot) for n_shot in scores[0]]
            print(
                f"{name}, seed {seed}: saved {pruned.task_evaluations_saved:.0%}, best "
                f"{pruned.best_score:.4f} against {whole.best_score:.4f} in "
                f"{pruned.trials.seconds.sum() / whole.trials.seconds.sum():.2f} of the seconds; "
                f"on new tasks {gains}",
                flush=True,
            )


def small_sets() -> dict[str, Arguments]:
    """Return the task sets of the warm starts."""
    folder = Path(os.environ["METASKL_DATA"]) / "tables" / "regression"
    paths = sorted(folder.glob("*.csv.gz"))
    sets = {p.name.removesuffix(".csv.gz"): table(p) for p in paths}
    large = {name: given for name, given in sets.items() if len(given["y"]) >= 240}
    return large | {"chickweight": chickweight(), "radon": radon(), "theoph": theoph()}


def warm(options: argparse.Namespace) -> None:
    """Print the curves of the best score so far, cold and warm."""
    curves: dict[str, list[np.ndarray]] = {"cold": [], "warm": []}
    sets = small_sets()
    settings: Arguments = {
        "learners": ["ridge_head"],
        "learner_params": {"max_epochs": 2, "steps_per_epoch": 50},
        "n_trials": options.n_trials,
        "pruning": None,
    }
    for seed in range(options.n_seeds):
        with tempfile.TemporaryDirectory() as folder:
            storage = f"sqlite:///{folder}/cold.db"
            cold = {
                name: run_study(
                    **given, **settings, storage=storage, warm_start=False, random_state=seed
                )
                for name, given in sets.items()
            }
            for name, given in sets.items():
                others = f"sqlite:///{folder}/{name}.db"
                for other, result in cold.items():
                    if other != name:
                        optuna.copy_study(
                            from_study_name=result.study.study_name,
                            from_storage=storage,
                            to_storage=others,
                        )
                result = run_study(**given, **settings, storage=others, random_state=seed)
                for kind, study in (("cold", cold[name].study), ("warm", result.study)):
                    values = np.array([t.value for t in study.trials])
                    # In units of the defaults' error: all sets count alike.
                    curves[kind].append(np.minimum.accumulate(values / values[0]))
                ends = {k: round(float(v[-1][-1]), 4) for k, v in curves.items()}
                print(f"{name}, seed {seed}: {ends}", flush=True)
    cold_curve, warm_curve = (np.array(curves[kind]) for kind in ("cold", "warm"))
    print(f"{len(cold_curve)} searches on {len(sets)} task sets; error in units of the defaults'")
    for i in range(options.n_trials):
        mean, low, high = interval(cold_curve[:, i] - warm_curve[:, i])
        text = f"warm better by {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        print(f"{i + 1:3d} {cold_curve[:, i].mean():.4f} {warm_curve[:, i].mean():.4f} {text}")
    near = 1.01 * cold_curve[:, -1].mean()
    reached = [int(np.argmax(curve.mean(0) <= near)) + 1 for curve in (cold_curve, warm_curve)]
    print(f"within 1 % of where the cold searches end: trial {reached[0]} cold, {reached[1]} warm")


def workers(options: argparse.Namespace) -> None:
    """Print ratios of wall times, and what the driver takes for a trial."""
    from dask.distributed import Client, LocalCluster

    part, _, _ = halves("school", 0)
    seconds: dict[str, list[float]] = {"1 process": [], "2 loky": [], "2 dask": []}
    overhead: dict[str, list[float]] = {name: [] for name in seconds}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        for _ in range(options.n_seeds + 1):
            for name in seconds:
                jobs, _, engine = name.partition(" ")
                backend = {"loky": "loky", "dask": "dask"}.get(engine, "sequential")
                with joblib.parallel_config(backend=backend, n_jobs=int(jobs)):
                    start = time.perf_counter()
                    n_jobs = int(jobs) if int(jobs) > 1 else None
                    result = search("school", part, options, pruning=None, n_jobs=n_jobs)
                    seconds[name].append(time.perf_counter() - start)
                overhead[name].append(1000 * result.overhead / len(result.trials))
    one = np.array(seconds["1 process"][1:])  # the first round starts the workers
    for name, taken in seconds.items():
        ratio = np.median(np.array(taken[1:]) / one)
        print(
            f"{name}: {ratio:.2f} of one process's time, driver "
            f"{np.median(overhead[name][1:]):.0f} ms a trial",
            flush=True,
        )


def main() -> None:
    """Print the figures that are asked for."""
    commands = {"found": found, "pruning": pruning, "warm": warm, "workers": workers}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--learner", help="another than the set's own")
    parser.add_argument("--n-trials", type=int, default=30)
    parser.add_argument("--n-seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    commands[options.command](options)


if __name__ == "__main__":
    main()
