"""Intents of sentences, whole domains held out: every classifier at one, five and ten shots.

Protocol: clinc150 (10 domains of 15 intents) 5-way and 15-way, that is all intents of a domain;
hwu64 5-way (the scenarios with five intents or more) and all-way (2 to 10 intents, learners trained
3-way); tf-idf of words and pairs of words, 100
components, fitted on the training domains of each fold; folds over domains; accuracy, mean over
domains with its interval; default settings, the same number of outer steps for every learner;
inductive. The linear baseline is a logistic regression fitted to the support alone.

With --hashed the features are the words and pairs of words themselves, hashed into 1,024 columns
(which need not be seen in training) and weighted by how rare they are in the training domains;
three learners keep them beside what they learn. Their settings were chosen on clinc150, 5-way.
"""

import argparse
from typing import Any

from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from task_sets import clinc150, hwu64

from metaskl import ADKFClassifier, DKTClassifier, RidgeHeadClassifier, compare
from metaskl.backbones import MLP


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


def on_words(epochs: int, seed: int, n_way: int) -> dict[str, Any]:
    """Return learners that see each word beside the learned features."""
    shared = {"label_space": "task", "standardize": False, "n_shot": (1, 5), "n_way": n_way}
    settings = shared | {"max_epochs": epochs, "random_state": seed}
    return {
        "ridge_head": RidgeHeadClassifier(
            backbone=MLP((64,), skip=True), prior_precision=0.1, **settings
        ),
        "dkt": DKTClassifier(backbone=MLP((64,), skip=True), kernel="cosine", **settings),
        "adkf_ift": ADKFClassifier(backbone=MLP((64,), skip=True), kernel="cosine", **settings),
    }


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append")
    parser.add_argument("--learners", type=lambda text: text.split(","))
    parser.add_argument("--epochs", type=int, default=3, help="of 100 outer steps")
    parser.add_argument("--inner-lr", type=float, help="of the learners given that have one")
    parser.add_argument("--zero-head", action="store_true", help="of the learners given")
    parser.add_argument("--hashed", action="store_true", help="words instead of components")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, arguments in sets().items():
        if options.only and name not in options.only:
            continue
        params = arguments.pop("learner_params", {}) | {"max_epochs": options.epochs}
        params |= {"inner_lr": options.inner_lr} if options.inner_lr else {}
        params |= {"zero_head": True} if options.zero_head else {}
        chosen: dict[str, Any] = {
            "learners": options.learners or "all",
            "learner_params": params,
            "baselines": ["per-task logistic", "per-task forest"],
        }
        if options.hashed:
            n_way = params.get("n_way", arguments["n_way"])
            chosen = {
                "learners": on_words(options.epochs, options.seed, n_way),
                "baselines": ["per-task logistic"],
                "preprocess": make_pipeline(
                    HashingVectorizer(
                        n_features=1024, ngram_range=(1, 2), norm=None, alternate_sign=False
                    ),
                    TfidfTransformer(sublinear_tf=True),
                ),
            }
        result = compare(**arguments | {"n_shot": (1, 5, 10)} | chosen, random_state=options.seed)
        print(f"\n== {name}\n{result.protocol}\n{result}", flush=True)
        for candidate, reason in result.failures.items():
            print(f"failed: {candidate}: {reason}")


if __name__ == "__main__":
    main()
