"""Twenty transitions of unknown pendulums: predict them, and swing them up.

Meta-trains a dynamics model on pendulums of gymnasium with other gravity, mass and length, adapts
it to three new ones, and plans with it; beside it one model for all pendulums, and the true
equations. Three are enough to tell errors apart, not returns: for these see the README.
Run it with ``python plugins/metaskl-rl/example.py``.
"""

import numpy as np
from sklearn.neural_network import MLPRegressor

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl_rl import (
    ModelPredictiveControl,
    PendulumTasks,
    TrueDynamics,
    collect,
    control_returns,
    transition_table,
)

N_TASKS, N_STEPS, N_SHOT, N_NEW = 60, 200, 20, 3


def main():
    family = PendulumTasks()
    X, y, groups = transition_table(family, family.sample(N_TASKS), N_STEPS, restart_every=50)
    meta = MetaRegressor(
        learner="ridge_head",
        backbone=MLP((64, 64), skip=True),
        max_epochs=5,
        n_shot=(5, N_SHOT),
        random_state=0,
    ).fit(X, y, groups=groups)
    pooled = MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0).fit(
        X, y
    )

    off: dict[str, list[float]] = {}
    gained: dict[str, list[float]] = {}
    for number, task in enumerate(family.sample(N_NEW, random_state=7)):
        rows, changes = collect(family.make(task), 200, restart_every=50, random_state=number)
        models = {
            f"adapted to {N_SHOT} transitions": meta.adapt(rows[:N_SHOT], changes[:N_SHOT]),
            "one network for all pendulums": pooled,
            "the true equations": TrueDynamics(family, task),
        }
        for name, model in models.items():
            error = (model.predict(rows[N_SHOT:]) - changes[N_SHOT:])[:, 2]
            off.setdefault(name, []).append(np.sqrt(np.mean(error**2)))
            control = ModelPredictiveControl(family, model, horizon=12)
            returns = control_returns(family, task, control, n_episodes=1, n_steps=100)
            gained.setdefault(name, []).append(returns.mean())
    print(f"Means over {N_NEW} new pendulums:")
    for name in off:
        print(
            f"{name:30} error of the velocity {np.mean(off[name]):.3f}, "
            f"return of 100 steps {np.mean(gained[name]):.0f}"
        )


if __name__ == "__main__":
    main()
