"""
Does it pay? Exam marks of London schools
=========================================

Each school is a task, with pupils of whom we know a few things and an exam mark. Of a new
school a few marks are known. Is a learner that has learned across the other schools better than
ordinary models? :func:`metaskl.compare` answers that in words, and may well say no.
"""

# %%
# Learners and ordinary models, on the same rows
# ----------------------------------------------
#
# Whole schools are held out; each candidate is given the same marks of a school and predicts
# the same others. The ordinary models see all schools as one (pooled), the school's few rows
# alone (per-task), or both (shrunk).

import matplotlib.pyplot as plt
import numpy as np

from metaskl import compare
from metaskl.datasets import fetch_school
from metaskl.report import LeaderboardDisplay, ShotsCurveDisplay

X, mark, school = fetch_school(return_X_y=True)
few = np.isin(school, np.unique(school)[:60])  # of 139 schools, for speed

result = compare(
    X[few],
    mark[few],
    school[few],
    learners=["ridge_head", "maml"],
    baselines=["pooled ridge", "per-task ridge", "shrunk ridge"],
    learner_params={"max_epochs": 2},
    n_shot=(5, 10, 20),
    n_repeats=1,
    cv=2,
    random_state=0,
)
print(result)

# %%
# The curve over labelled rows
# ----------------------------
#
# A model of the school's own rows catches up as marks come in.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
ShotsCurveDisplay.from_comparison(result, ax=axes[0])
LeaderboardDisplay.from_comparison(result, n_shot=5, ax=axes[1])

# %%
# Why the verdict says no
# -----------------------
#
# Schools differ in their level and a little in their slopes. A linear model that is shrunk
# towards the other schools says just that, and a network can hardly do better.
