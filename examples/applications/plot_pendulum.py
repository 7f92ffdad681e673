"""
Twenty transitions of a heavier pendulum
========================================

Each pendulum has its own gravity, mass and length. A dynamics model that was meta-trained across
pendulums by the plugin metaskl-rl adapts to a new one from twenty random transitions, and
model-predictive control plans with it (A. Nagabandi et al. Neural Network Dynamics for Model-Based
Deep Reinforcement Learning with Model-Free Fine-Tuning. ICRA 2018).
"""

# %%
# Transitions of many pendulums
# -----------------------------
#
# A row is what was seen and done; its target is by how much what is seen changed.

import matplotlib.pyplot as plt
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

family = PendulumTasks()
X, y, pendulum = transition_table(family, family.sample(60), 200, restart_every=50)
meta = MetaRegressor(
    learner="ridge_head",
    backbone=MLP((64, 64), skip=True),
    max_epochs=6,
    n_shot=(5, 50),
    random_state=0,
).fit(X, y, groups=pendulum)
pooled = MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0).fit(X, y)

# %%
# How well new pendulums are predicted
# ------------------------------------

shots = (2, 5, 10, 20, 50)
errors = {"adapted": [], "one network for all": []}
for i, task in enumerate(family.sample(10, random_state=1)):
    rows, changes = collect(family.make(task), 300, restart_every=50, random_state=i)
    models = {"one network for all": [pooled] * len(shots)}
    models["adapted"] = [meta.adapt(rows[:n], changes[:n]) for n in shots]
    for name, by_shots in models.items():
        off = [model.predict(rows[100:]) - changes[100:] for model in by_shots]
        errors[name].append([np.sqrt(np.mean(part[:, 2] ** 2)) for part in off])

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, values in errors.items():
    mean, half = np.mean(values, 0), 1.96 * np.std(values, 0) / len(values) ** 0.5
    ax.plot(shots, mean, marker="o", label=name)
    ax.fill_between(shots, mean - half, mean + half, alpha=0.2)
ax.set(xscale="log", xlabel="transitions known", ylabel="error of the angular velocity")
ax.set_xticks(shots, shots)
ax.legend(frameon=False)

# %%
# Swing it up
# -----------

(task,) = family.sample(1, random_state=3)
rows, changes = collect(family.make(task), 20, restart_every=50, random_state=3)
models = {
    "adapted to 20 transitions": meta.adapt(rows, changes),
    "one network for all": pooled,
    "the true equations": TrueDynamics(family, task),
}
for name, model in models.items():
    control = ModelPredictiveControl(family, model, horizon=12, n_candidates=48)
    gained = control_returns(family, task, control, n_episodes=1, n_steps=100)
    print(f"{name:26} return of 100 steps {gained.mean():6.0f}")
