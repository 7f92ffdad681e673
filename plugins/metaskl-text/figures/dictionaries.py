"""Precision at one of a new pair of languages from a seed dictionary of k words.

Protocol: LanguagePairs of 50 features, noise 0.5, for three spreads of the pairs' maps; 40 pairs to
meta-train on, 20 new ones; 400 words of each, the first k are the seed dictionary, the last 200 are
translated among all 400 by CSLS; mean over the new pairs, 95 % intervals, paired differences to
orthogonal Procrustes on the seed dictionary alone.

    python plugins/metaskl-text/figures/dictionaries.py
"""

import argparse
import time

import numpy as np

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl.evaluation.differences import interval
from metaskl_text import LanguagePairs, OrthogonalMap, precision_at_one

N_WORDS, N_KNOWN, N_NEW = 400, 40, 20


def shown(values):
    """Return the mean and its 95 % interval as text."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*interval(np.asarray(values)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--spreads", nargs="+", type=float, default=[1.0, 2.5, 20.0])
    parser.add_argument("--shots", nargs="+", type=int, default=[5, 20, 50, 100])
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--method", default="csls")
    options = parser.parse_args()
    for spread in options.spreads:
        start = time.process_time()
        pairs = LanguagePairs(50, spread=spread, noise=options.noise)
        sample = pairs.sample(N_KNOWN + N_NEW, N_WORDS, random_state=0)
        X, y, groups = sample.X, sample.y, sample.groups
        known = groups < N_KNOWN
        meta = MetaRegressor(
            learner="procrustes",
            backbone=MLP(()),
            standardize=False,
            n_shot=(5, 100),
            n_query=50,
            max_epochs=4,
            random_state=0,
        ).fit(X[known], y[known], groups=groups[known])
        common = OrthogonalMap().fit(X[known], y[known])
        for n_shot in options.shots:
            found = {"own Procrustes": [], "one map for all": [], "meta": [], "true map": []}
            for task in range(N_KNOWN, N_KNOWN + N_NEW):
                here, there = X[groups == task], y[groups == task]
                seed, query = (here[:n_shot], there[:n_shot]), here[-200:]
                mapped = {
                    "own Procrustes": OrthogonalMap().fit(*seed).predict(query),
                    "one map for all": common.predict(query),
                    "meta": meta.adapt(*seed).predict(query),
                    "true map": sample.truth(task, query),
                }
                for name, vectors in mapped.items():
                    answers = np.arange(N_WORDS - 200, N_WORDS)
                    share = precision_at_one(vectors, there, answers, method=options.method)
                    found[name].append(share)
            gain = np.subtract(found["meta"], found["own Procrustes"])
            line = ", ".join(f"{name} {shown(values)}" for name, values in found.items())
            print(f"spread {spread}, {n_shot} words: {line}; gain {shown(gain)}", flush=True)
        print(f"{time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
