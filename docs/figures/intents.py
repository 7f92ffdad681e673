"""Intents of sentences, whole domains held out: every classifier at one, five and ten shots.

Protocol: clinc150 (10 domains of 15 intents) 5-way and 15-way, that is all intents of a domain;
hwu64 5-way (the scenarios with five intents or more) and all-way (2 to 10 intents, learners trained
3-way); tf-idf of words and pairs of words, 100
components, fitted on the training domains of each fold; folds over domains; accuracy, mean over
domains with its interval; default settings, the same number of outer steps for every learner;
inductive. The linear baseline is a logistic regression fitted to the support alone.
"""

import argparse
from typing import Any

from task_sets import clinc150, hwu64

from metaskl import compare


def sets() -> dict[str, dict[str, Any]]:
    """Return the arguments of the comparisons by name."""
    every = hwu64() | {"n_way": "all", "learner_params": {"n_way": 3}}
    hwu = hwu64()
    n_intents = {d: len(set(hwu["y"][hwu["groups"] == d])) for d in set(hwu["groups"])}
    kept = [n_intents[d] >= 5 for d in hwu["groups"]]
    hwu |= {name: hwu[name][kept] for name in ("X", "y", "groups")}
    return {
        "clinc150, 5-way": clinc150() | {"n_way": 5},
        "clinc150, 15-way": clinc150() | {"n_way": 15},
        "hwu64, 5-way": hwu | {"n_way": 5},
        "hwu64, all-way": every,
    }


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append")
    parser.add_argument("--learners", type=lambda text: text.split(","))
    parser.add_argument("--epochs", type=int, default=3, help="of 100 outer steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, arguments in sets().items():
        if options.only and name not in options.only:
            continue
        params = arguments.pop("learner_params", {}) | {"max_epochs": options.epochs}
        result = compare(
            **arguments | {"n_shot": (1, 5, 10)},
            learners=options.learners or "all",
            baselines=["per-task logistic", "per-task forest"],
            learner_params=params,
            random_state=options.seed,
        )
        print(f"\n== {name}\n{result.protocol}\n{result}", flush=True)
        for candidate, reason in result.failures.items():
            print(f"failed: {candidate}: {reason}")


if __name__ == "__main__":
    main()
