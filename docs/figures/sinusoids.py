"""Sinusoid regression: mean squared error after adapting, over 1,000 test tasks.

Protocol. Family A: amplitude 0.1 to 5, phase 0 to pi, frequency 1 (Finn et al. 2017). Family B:
frequency 0.8 to 1.2 too (Li et al. 2017). Meta-training: 20,000 waves of 40 points, MLP 40-40 with
ReLU, meta-batches of 25 tasks, 10 query points. Test: 1,000 other waves, 100 query points each;
inductive; the adaptation steps of training. The interval is 1.96 standard errors over test tasks;
the last column is the mean over seeds. Run one row with --only.
"""

import argparse
import time

import numpy as np

from metaskl import (
    CAVIARegressor,
    IMAMLRegressor,
    MAMLRegressor,
    ReptileRegressor,
    RidgeHeadRegressor,
)
from metaskl.backbones import MLP
from metaskl.tasks import SinusoidTasks

N_TEST, N_QUERY, STEPS = 1000, 100, 500
FAMILIES = {"A": SinusoidTasks(), "B": SinusoidTasks(frequency=(0.8, 1.2))}
PLAIN = {"adaptation_steps": 5, "inner_lr_mode": "fixed", "inner_lr": 0.05, "max_epochs": 40}
LEARNED = {"adaptation_steps": 5, "inner_lr_mode": "per_step", "inner_lr": 0.03}
LEARNED |= {"negative_rates": True, "outer_lr": 0.002, "max_epochs": 40}
RIDGE = {"noise": 0.3, "prior_precision": 1.0, "max_epochs": 40, "outer_lr": 0.002}
# The paper's outer step; its loss is that of all rows, so the query is as large as it can be.
REPTILE = {"inner_lr": 0.1, "optimizer": "sgd", "outer_lr": 1.0, "test_adaptation_steps": 50}
REPTILE |= {"max_epochs": 10, "n_query": 30}
CAVIA = {"outer_lr": 0.002, "max_epochs": 10}
IMAML = {"inner_lr": 0.3, "pull": 0.1, "cg_steps": 3, "outer_lr": 0.003, "max_epochs": 4}
MAMLPP = LEARNED | {"max_epochs": 10, "multi_step_loss": True, "multi_step_epochs": 4}
MAMLPP |= {"first_order_epochs": 2}
ROWS = {
    "A-5-ridge": ("A", 5, RidgeHeadRegressor, RIDGE),
    "A-5-maml-learned-rates": ("A", 5, MAMLRegressor, LEARNED),
    "A-10-maml-learned-rates": ("A", 10, MAMLRegressor, LEARNED),
    "B-5-maml++-style": ("B", 5, MAMLRegressor, LEARNED),
    "B-5-maml-1-step": (
        "B",
        5,
        MAMLRegressor,
        PLAIN | {"adaptation_steps": 1, "max_epochs": 80},
    ),
    "A-5-cavia": ("A", 5, CAVIARegressor, CAVIA),
    "B-5-cavia": ("B", 5, CAVIARegressor, CAVIA),
    "A-5-reptile": ("A", 5, ReptileRegressor, REPTILE),
    "A-5-imaml": ("A", 5, IMAMLRegressor, IMAML),
    "B-5-maml++-short": ("B", 5, MAMLRegressor, MAMLPP),
    "A-5-maml": ("A", 5, MAMLRegressor, PLAIN),
    "A-10-maml": ("A", 10, MAMLRegressor, PLAIN),
}


def test_error(meta: object, family: str, n_shot: int, seed: int) -> tuple[float, float]:
    """Return the mean squared error over test tasks and its half-interval."""
    rows = n_shot + N_QUERY
    test = FAMILIES[family].sample(N_TEST, rows, random_state=10_000 + seed)
    X, y = test.X.reshape(N_TEST, rows, 1), test.y.reshape(N_TEST, rows)
    ids = np.repeat(np.arange(N_TEST), n_shot)
    adapted = meta.adapt_groups(X[:, :n_shot].reshape(-1, 1), y[:, :n_shot].ravel(), ids)
    errors = [np.mean((adapted[t].predict(X[t, n_shot:]) - y[t, n_shot:]) ** 2) for t in adapted]
    return float(np.mean(errors)), float(1.96 * np.std(errors) / np.sqrt(N_TEST))


def main() -> None:
    """Print one line a row and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.only or ROWS:
        family, n_shot, estimator, parameters = ROWS[name]
        means = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            train = FAMILIES[family].sample(20_000, 40, random_state=100 + seed)
            meta = estimator(
                backbone=MLP((40, 40)),
                n_shot=n_shot,
                meta_batch_size=25,
                steps_per_epoch=STEPS,
                random_state=seed,
                **parameters,
            )
            start = time.perf_counter()
            meta.fit(train.X, train.y, groups=train.groups)
            seconds = time.perf_counter() - start
            mean, half = test_error(meta, family, n_shot, seed)
            means.append(mean)
            print(
                f"{name:<24} seed {seed}: {mean:.4f} ± {half:.4f}   ({seconds:.0f} s)"
                f"   mean so far {np.mean(means):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
