"""
A prior over functions, learned: deep kernels
=============================================

A Gaussian process says how sure it is. With a kernel on features that were learned across tasks
(M. Patacchiola et al. Bayesian Meta-Learning for the Few-Shot Setting via Deep Kernels. NeurIPS
2020) it does so after three points of a new task. The plugin metaskl-gp brings the kernels of
gpytorch; ``dkt`` is metaskl's own.
"""

# %%
# Train across reaction times
# ---------------------------
#
# Eighteen people slept three hours a night (G. Belenky et al. 2003). Each is a task: how does the
# reaction time grow with the days?

import matplotlib.pyplot as plt
import numpy as np

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl.datasets import fetch_sleepstudy
from metaskl.report import AdaptationDisplay

X, time, person = fetch_sleepstudy(return_X_y=True)
X, time, person = np.asarray(X), np.asarray(time), np.asarray(person)
people = np.unique(person)

# %%
# Three days of a new person
# --------------------------

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
for ax, kernel in zip(axes, ("rbf", "matern12", "rq"), strict=True):
    meta = MetaRegressor(
        learner="deep_kernel_gp",
        learner_params={"kernel": kernel},
        backbone=MLP((16,), skip=True),
        max_epochs=3,
        n_shot=(2, 6),
        random_state=0,
    )
    AdaptationDisplay.from_task(meta, X, time, person, task=people[0], n_shot=3, ax=ax)
    ax.get_legend().remove()
    ax.set(title=kernel, xlabel="days of short sleep", ylabel="")
axes[0].set_ylabel("reaction time")
axes[0].legend(loc="upper left", fontsize="small")

# %%
# The same model by two libraries
# -------------------------------
#
# Inside 18 folds the built-in learner and the plugin's see the same episodes; what they predict
# differs by rounding.

seen = person != people[0]
of_new = np.flatnonzero(~seen)
for learner in ("dkt", "deep_kernel_gp"):
    same = {"kernel": "rbf"} | ({"ard": False} if learner == "deep_kernel_gp" else {})
    meta = MetaRegressor(learner=learner, learner_params=same, max_epochs=2, random_state=0)
    meta.fit(X[seen], time[seen], groups=person[seen])
    adapted = meta.adapt(X[of_new[:3]], time[of_new[:3]])
    mean, std = adapted.predict(X[of_new[3:6]], return_std=True)
    print(f"{learner:16} {np.round(mean, 1)} ± {np.round(std, 1)}")
