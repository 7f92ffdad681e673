"""Whether a dynamics model that adapts from a few transitions controls a new task better.

Meta-trains on transitions of 100 tasks; in each of 20 new tasks every model is given the same
transitions, predicts others, and is planned with from the same starts. Intervals are over tasks,
at 95 %; differences are paired.

    python plugins/metaskl-rl/figures/dynamics.py pendulum
    python plugins/metaskl-rl/figures/dynamics.py cartpole
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl_rl import (
    CartPoleTasks,
    ModelPredictiveControl,
    PendulumTasks,
    TrueDynamics,
    collect,
    control_returns,
    transition_table,
)

RESTART = 50  # steps of an episode at random: long enough to gain speed
FAMILIES = {"pendulum": PendulumTasks, "cartpole": CartPoleTasks}


def scaled(model):
    """Standardise features and targets around an ordinary regressor."""
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), model), transformer=StandardScaler()
    )


def per_task_models(n_features):
    """Return the models that know the new task's transitions alone."""
    kernel = ConstantKernel() * RBF(np.ones(n_features)) + WhiteKernel(1e-3)
    quadratic = make_pipeline(PolynomialFeatures(2), RidgeCV(np.logspace(-4, 2, 13)))
    return {
        "per-task quadratic ridge": scaled(quadratic),
        "per-task Gaussian process": scaled(GaussianProcessRegressor(kernel, random_state=0)),
    }


def interval(values):
    """Return mean and half the 95 % interval over tasks, as text."""
    values = np.asarray(values)
    return f"{values.mean():8.3f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.3f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--learners", nargs="+", default=["ridge_head", "dkt"])
    parser.add_argument("--shots", nargs="+", type=int, default=[10, 20, 50])
    parser.add_argument("--control-shots", nargs="+", type=int, default=[20])
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=4)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # of Gaussian processes on ten rows
    start, family = time.process_time(), FAMILIES[args.family]()
    X, y, groups = transition_table(family, family.sample(100), 200, restart_every=RESTART)
    shared = {"backbone": MLP((64, 64), skip=True), "max_epochs": 20, "n_shot": (5, 50)}
    metas = {
        name: MetaRegressor(learner=name, random_state=0, **shared).fit(X, y, groups=groups)
        for name in args.learners
    }
    pooled = scaled(
        MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0)
    ).fit(X, y)
    print(f"trained after {time.process_time() - start:.0f} s of CPU", flush=True)
    tasks = family.sample(args.tasks, random_state=1)
    for n_shot in args.shots:
        errors, returns = {}, {}
        for i, task in enumerate(tasks):
            rows, changes = collect(
                family.make(task), 300, restart_every=RESTART, random_state=1000 + i
            )
            known = rows[:n_shot], changes[:n_shot]
            models = {name: meta.adapt(*known) for name, meta in metas.items()}
            models |= {"pooled network": pooled}
            models |= {n: m.fit(*known) for n, m in per_task_models(rows.shape[1]).items()}
            for name, model in models.items():
                off = (model.predict(rows[100:]) - changes[100:]) / y.std(0)
                errors.setdefault(name, []).append(np.sqrt(np.mean(off**2)))
            if n_shot in args.control_shots:
                for name, model in {
                    **models,
                    "the true equations": TrueDynamics(family, task),
                }.items():
                    control = ModelPredictiveControl(family, model)
                    gained = control_returns(family, task, control, n_episodes=args.episodes)
                    returns.setdefault(name, []).append(gained.mean())
        first = args.learners[0]
        for what, table in (("error", errors), ("return", returns)):
            for name, values in table.items():
                less = np.asarray(table[first]) - values
                line = f"{n_shot:3} {what:6} {name:26} {interval(values)}"
                print(f"{line}   {first} less it: {interval(less)}")
        print(f"{time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
