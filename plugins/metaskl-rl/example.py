"""Twenty transitions of an unknown pendulum: predict it, and swing it up.

Meta-trains a dynamics model on pendulums of gymnasium with other gravity, mass and length, adapts
it to a new one, and plans with it; beside it one model for all pendulums, and the true equations.
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

N_TASKS, N_STEPS, N_SHOT = 60, 200, 20


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

    (task,) = family.sample(1, random_state=7)
    rows, changes = collect(family.make(task), 200, restart_every=50, random_state=7)
    models = {
        f"adapted to {N_SHOT} transitions": meta.adapt(rows[:N_SHOT], changes[:N_SHOT]),
        "one network for all pendulums": pooled,
        "the true equations": TrueDynamics(family, task),
    }
    print("The new pendulum:", ", ".join(f"{name} {value:.2f}" for name, value in task.items()))
    for name, model in models.items():
        off = (model.predict(rows[N_SHOT:]) - changes[N_SHOT:])[:, 2]
        control = ModelPredictiveControl(family, model, horizon=12)
        gained = control_returns(family, task, control, n_episodes=2, n_steps=200)
        print(
            f"{name:30} error of the velocity {np.sqrt(np.mean(off**2)):.3f}, "
            f"return of 200 steps {gained.mean():.0f}"
        )


if __name__ == "__main__":
    main()
