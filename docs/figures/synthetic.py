"""Every regressor on three families of functions, with the coverage of its 90 % interval.

Protocol. Families: sinusoids of a fixed frequency (A), of frequency 0.8 to 1.2 (B), functions from
a Gaussian process (noise 0.05). Meta-training: 5,000 tasks of 40 rows, MLP 40-40, supports of 5 to
20 rows, meta-batches of 25 tasks, the same number of outer steps and the default settings for
every learner; one training serves all support sizes. Test: 300 other tasks, 40 query rows each,
the same for all; inductive. The error is the mean squared error over tasks, with 1.96 standard
errors; coverage is the share of query targets inside mean ± 1.645 standard deviations, for
regressors that predict one. Baselines: a Gaussian process fitted to each task alone, and, for the
third family, the process that the functions were drawn from, which nothing can beat.
"""

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from metaskl.backbones import MLP
from metaskl.evaluation.candidates import make_learners
from metaskl.tasks import GaussianProcessTasks, SinusoidTasks

FAMILIES = {
    "A": SinusoidTasks(),
    "B": SinusoidTasks(frequency=(0.8, 1.2)),
    "GP": GaussianProcessTasks(),
}
SHOTS, N_TEST, N_QUERY = (5, 10, 20), 300, 40
WITHIN = 1.6449  # standard deviations around the mean hold 90 % of a normal distribution


class FittedAlone:
    """A Gaussian process on the rows of one task."""

    def __init__(self, kernel: Any, optimizer: str | None = "fmin_l_bfgs_b") -> None:
        self.kernel, self.optimizer = kernel, optimizer

    def adapt(self, X: np.ndarray, y: np.ndarray) -> GaussianProcessRegressor:
        """Fit the kernel's parameters, and the process."""
        process = GaussianProcessRegressor(
            self.kernel, optimizer=self.optimizer, normalize_y=self.optimizer is not None
        )
        with warnings.catch_warnings():  # five rows often leave a parameter at its bound
            warnings.simplefilter("ignore", ConvergenceWarning)
            return process.fit(X, y)


def own_process() -> FittedAlone:
    noise = WhiteKernel(1e-2, (1e-6, 1.0))
    return FittedAlone(ConstantKernel(1.0, (1e-2, 1e2)) * RBF(1.0, (0.1, 10.0)) + noise)


def true_process(family: GaussianProcessTasks) -> FittedAlone:
    kernel = family.scale**2 * RBF(family.length_scale) + WhiteKernel(family.noise**2)
    return FittedAlone(kernel, optimizer=None)


def score(model: Any, family: str, n_shot: int, seed: int) -> dict[str, Any]:
    """Return the error over test tasks, and the coverage where there is one."""
    rows = n_shot + N_QUERY
    test = FAMILIES[family].sample(N_TEST, rows, random_state=10_000 + seed)
    X, y = test.X.reshape(N_TEST, rows, -1), test.y.reshape(N_TEST, rows)
    errors, inside = [], []
    for task_X, task_y in zip(X, y, strict=True):
        adapted = model.adapt(task_X[:n_shot], task_y[:n_shot])
        query, truth = task_X[n_shot:], task_y[n_shot:]
        try:
            mean, std = adapted.predict(query, return_std=True)
        except (TypeError, ValueError):
            mean, std = adapted.predict(query), None
        errors.append(np.mean((mean - truth) ** 2))
        if std is not None:
            inside.append(np.mean(abs(mean - truth) <= WITHIN * std))
    half = 1.96 * np.std(errors, ddof=1) / np.sqrt(N_TEST)
    coverage = f"{np.mean(inside):.3f}" if inside else ""
    return {"error": np.mean(errors), "text": f"{np.mean(errors):.4f} ± {half:.4f}", "90": coverage}


def main() -> None:
    """Print a line a candidate, family and support size, then one table a family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--learners", type=lambda text: text.split(","))
    parser.add_argument("--epochs", type=int, default=20, help="of 100 outer steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for family in options.family or FAMILIES:
        models: dict[str, Any] = {"GP on the task alone": own_process()}
        if family == "GP":
            models["true process"] = true_process(FAMILIES["GP"])
        train = FAMILIES[family].sample(5000, 40, random_state=100 + options.seed)
        found = {}
        learners = make_learners(
            options.learners or "all",
            kind="regression",
            backbone=MLP((40, 40)),
            n_shot=(5, 20),
            n_query=20,
            meta_batch_size=25,
            max_epochs=options.epochs,
            random_state=options.seed,
        )
        for name, model in {**models, **learners}.items():
            start = time.perf_counter()
            if name in learners:
                model.fit(train.X, train.y, groups=train.groups)
            row = {n: score(model, family, n, options.seed) for n in SHOTS}
            found[name] = {f"{n} rows": cell["text"] for n, cell in row.items()} | {
                f"90 % at {n}": cell["90"] for n, cell in row.items()
            }
            found[name]["order"] = row[5]["error"]
            print(
                f"{family} {name} ({time.perf_counter() - start:.0f} s) {found[name]}", flush=True
            )
        table = pd.DataFrame(found).T.sort_values("order").drop(columns="order")
        print(f"\n== {family}\n{table.to_string()}\n")


if __name__ == "__main__":
    main()
