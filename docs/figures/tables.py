"""Leaderboards on real tables: compare(), with the verdict.

Each section is one call of metaskl.compare; its protocol is printed. How the learners' settings
were chosen, and which scored tasks had a part in it, is said in core.md. Data: METASKL_DATA, or
downloaded.
"""

import argparse
import json
import os
import time

from metaskl import compare
from metaskl.backbones import MLP
from metaskl.datasets import fetch_landmine, fetch_radon, fetch_school, fetch_sleepstudy

# Every row of the training part is in some support: a wide network would learn the rows by heart.
SMALL = {"backbone": MLP((16,), "tanh", skip=True), "max_epochs": 3, "n_query": 50}
ROWS = {
    "school-75-25": (
        fetch_school,
        {"holdout": "rows", "n_shot": 0.75, "cv": 10, "scoring": "explained_variance"}
        | {"learner_params": SMALL | {"n_shot": 50}},
    ),
    "landmine-half": (
        fetch_landmine,
        {"holdout": "rows", "n_shot": 0.5, "cv": 10, "scoring": "roc_auc"}
        | {"learner_params": SMALL | {"n_shot": 50}},
    ),
    "landmine-curve": (
        fetch_landmine,
        {"holdout": "rows", "n_shot": (20, 40, 80, 120, 200), "cv": 3, "scoring": "roc_auc"}
        | {"learner_params": SMALL | {"n_shot": (10, 50)}},
    ),
    "school": (fetch_school, {"n_shot": (2, 5, 10, 20, 50), "cv": 5}),
    "radon": (fetch_radon, {"n_shot": (2, 5, 10, 20), "cv": 5}),
    "sleepstudy": (fetch_sleepstudy, {"n_shot": (2, 3, 5, 7), "cv": 6, "n_repeats": 5}),
    "landmine": (fetch_landmine, {"n_shot": (5, 10, 20, 50), "cv": 5, "scoring": "roc_auc"}),
}


def main() -> None:
    """Print the leaderboard and the verdict of each section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--without-trees", action="store_true", help="linear baselines only")
    parser.add_argument("--learners", nargs="+", help="those recommended, by default")
    options = parser.parse_args()
    for name in options.only or ROWS:
        fetch, arguments = ROWS[name]
        data = fetch()
        if options.without_trees:
            linear = "logistic" if "landmine" in name else "ridge"
            kept = [f"{family} {linear}" for family in ("pooled", "per-task", "shrunk")]
            arguments = arguments | {"baselines": kept}
        if options.learners:
            arguments = arguments | {"learners": options.learners}
        start = time.perf_counter()
        result = compare(data.data, data.target, data.groups, n_jobs=os.cpu_count(), **arguments)
        print(f"\n== {name} ({time.perf_counter() - start:.0f} s)")
        print(json.dumps(result.protocol))
        print(result, flush=True)


if __name__ == "__main__":
    main()
