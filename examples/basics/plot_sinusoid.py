"""
Five points of a wave
=====================

Every task is a sine wave of its own amplitude and phase (C. Finn, P. Abbeel, S. Levine.
Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017). Five points of a new
wave say too little for a model of their own; a learner that has seen other waves knows what
waves are like, and needs the five points only to say which one this is.
"""

# %%
# Many waves, and a learner trained across them
# ---------------------------------------------
#
# ``groups`` names the wave of each row. ``fit`` is meta-training.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from metaskl import CAVIARegressor, MAMLRegressor
from metaskl.backbones import MLP
from metaskl.report import AdaptationDisplay
from metaskl.tasks import SinusoidTasks

waves = SinusoidTasks().sample(1000, 30, random_state=0)
settings = {"backbone": MLP((40, 40)), "n_shot": 5, "max_epochs": 6, "random_state": 0}
settings |= {"meta_batch_size": 25, "outer_lr": 2e-3}
learners = {
    "MAML": MAMLRegressor(**settings),
    "CAVIA": CAVIARegressor(**settings),
}
for meta in learners.values():
    meta.fit(waves.X, waves.y, groups=waves.groups)

# %%
# One new wave
# ------------
#
# The broken line is what the learner predicts before it has seen a point of this wave, the
# other one what it predicts after five.

new = SinusoidTasks().sample(200, 60, random_state=1)
X, y = new.X.reshape(200, 60, 1), new.y.reshape(200, 60)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, meta) in zip(axes, learners.items(), strict=True):
    AdaptationDisplay.from_estimator(meta, X[3, :5], y[3, :5], X[3, 5:], y[3, 5:], ax=ax)
    ax.set_title(name, pad=22)  # above the legend

# %%
# Two hundred new waves
# ---------------------
#
# A Gaussian process fitted to the five points alone is a strong model of waves, yet it does not
# know how far a wave may swing.

errors = {name: [] for name in (*learners, "Gaussian process of the wave alone")}
for rows, values in zip(X, y, strict=True):
    models = {name: meta.adapt(rows[:5], values[:5]) for name, meta in learners.items()}
    process = GaussianProcessRegressor(
        4.0 * RBF(1.0) + WhiteKernel(1e-4, "fixed"), optimizer=None, normalize_y=True
    )
    models["Gaussian process of the wave alone"] = process.fit(rows[:5], values[:5])
    for name, model in models.items():
        errors[name].append(np.mean((model.predict(rows[5:]) - values[5:]) ** 2))
for name, found in errors.items():
    half = 1.96 * np.std(found) / len(found) ** 0.5
    print(f"{name:35} mean squared error {np.mean(found):.2f} ± {half:.2f}")
