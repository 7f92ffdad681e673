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
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl.evaluation.differences import interval
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


def quadratic_ridge():
    """Return a model that knows the new task's transitions alone."""
    return scaled(make_pipeline(PolynomialFeatures(2), RidgeCV(np.logspace(-4, 2, 13))))


class Corrected(RegressorMixin, BaseEstimator):
    """What a shared model leaves over, by ridge regression on the new task's transitions."""

    def __init__(self, shared):
        self.shared = shared

    def fit(self, X, y):
        """Fit what is left over."""
        self.rest_ = scaled(RidgeCV(np.logspace(-2, 4, 13)))
        self.rest_.fit(X, y - self.shared.predict(X))
        return self

    def predict(self, X):
        """Add it to what is shared."""
        return self.shared.predict(X) + self.rest_.predict(X)


def shown(values):
    """Return mean and half the 95 % interval over tasks, as text."""
    mean, _, high = interval(np.asarray(values))
    return f"{mean:8.3f} ± {high - mean:.3f}"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--learners", nargs="+", default=["ridge_head", "dkt"])
    parser.add_argument("--shots", nargs="+", type=int, default=[10, 20, 50])
    parser.add_argument("--control-shots", nargs="+", type=int, default=[20])
    parser.add_argument("--control-learners", nargs="+", default=["ridge_head"])
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    return parser.parse_args()


def trained(args, X, y, groups):
    """Return the meta-learners by name, and one network for all tasks, of the same rows."""
    shared = {"backbone": MLP((64, 64), skip=True), "max_epochs": 20, "n_shot": (5, 50)}
    metas = {
        name: MetaRegressor(learner=name, random_state=0, **shared).fit(X, y, groups=groups)
        for name in args.learners
    }
    network = MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0)
    return metas, scaled(network).fit(X, y)


def controlled(family, task, model, args):
    """Return the mean return of planning with a model."""
    control = ModelPredictiveControl(family, model, horizon=12, n_iterations=2)
    return control_returns(
        family, task, control, n_episodes=args.episodes, n_steps=args.steps
    ).mean()


def main():
    args = arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, family = time.process_time(), FAMILIES[args.family]()
    X, y, groups = transition_table(family, family.sample(100), 200, restart_every=RESTART)
    metas, pooled = trained(args, X, y, groups)
    print(f"trained after {time.process_time() - start:.0f} s of CPU", flush=True)
    tasks = family.sample(args.tasks, random_state=1)
    table = {}
    for i, task in enumerate(tasks):
        rows, changes = collect(
            family.make(task), 300, restart_every=RESTART, random_state=1000 + i
        )
        for n_shot in args.shots:
            known = rows[:n_shot], changes[:n_shot]
            models = {name: meta.adapt(*known) for name, meta in metas.items()}
            models["pooled network"] = pooled
            models["pooled network, corrected"] = Corrected(pooled).fit(*known)
            models["quadratic ridge of the task"] = quadratic_ridge().fit(*known)
            for name, model in models.items():
                off = (model.predict(rows[100:]) - changes[100:]) / y.std(0)
                table.setdefault((n_shot, "error", name), []).append(np.sqrt(np.mean(off**2)))
            if n_shot not in args.control_shots:
                continue
            models["the true equations"] = TrueDynamics(family, task)
            for name in models.keys() - (set(metas) - set(args.control_learners)):
                gained = controlled(family, task, models[name], args)
                table.setdefault((n_shot, "return", name), []).append(gained)
    first = args.learners[0]
    for (n_shot, what, name), values in sorted(table.items(), key=lambda item: item[0][:2]):
        less = np.asarray(table[n_shot, what, first]) - values
        line = f"{n_shot:3} {what:6} {name:27} {shown(values)}"
        print(f"{line}   {first} less it: {shown(less)}")
    print(f"{time.process_time() - start:.0f} s of CPU")


if __name__ == "__main__":
    main()
