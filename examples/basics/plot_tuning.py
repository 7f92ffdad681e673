"""
Find the learner and its settings
=================================

:class:`~metaskl.AutoMetaRegressor` tries the learners that usually do well and the
ordinary models, then searches around the best within a budget of time, by cross-validation over
tasks. It is never worse than the best ordinary model on what it has seen, for that is one of its
candidates.
"""

# %%
# Radon in houses of counties
# ---------------------------
#
# Each county is a task.

import matplotlib.pyplot as plt

from metaskl.datasets import fetch_radon
from metaskl.report import SearchHistoryDisplay
from metaskl.search import AutoMetaRegressor

X, log_radon, county = fetch_radon(return_X_y=True)
auto = AutoMetaRegressor(
    learners=["ridge_head"],
    baselines=["pooled ridge", "shrunk ridge"],
    n_trials=6,  # ten minutes are usual: time_budget=600
    learner_params={"max_epochs": 2},
    n_shot=(5,),
    cv=2,
    random_state=0,
).fit(X, log_radon, groups=county)
print(auto.leaderboard_)
print(auto.verdict_)

# %%
# How the search went
# -------------------

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
SearchHistoryDisplay(auto.search_.trials, metric="score").plot(ax)

# %%
# The best, on a county with five known houses
# --------------------------------------------

adapted = auto.adapt(X[:5], log_radon[:5])
print(adapted.predict(X[5:8]))
