"""
Drug level of a patient after two blood samples
===============================================

Twelve patients were given theophylline, and its level in the blood was measured eleven times
(A. J. Boeckmann, L. B. Sheiner, S. L. Beal. NONMEM Users Guide: Part V. 1994). Each patient takes
it up and breaks it down at a speed of their own. After how many samples do we know the rest of the
curve?
"""

# %%
# Whole patients are held out
# ---------------------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from metaskl import compare
from metaskl.report import AdaptationDisplay, ShotsCurveDisplay

table = pd.read_csv(Path(os.environ["METASKL_DATA"]) / "theoph.csv")
X, level, patient = table[["Time", "Dose", "Wt"]], table["y"], table["task"]

result = compare(
    X,
    level,
    patient,
    learners=["attentive_cnp"],
    baselines=["pooled forest", "per-task ridge", "shrunk forest"],
    learner_params={"max_epochs": 3},
    n_shot=(1, 3, 7),
    n_repeats=2,
    cv=3,
    random_state=0,
)
print(result)

# %%
# A curve over samples, for the average patient and for each
# ----------------------------------------------------------
#
# Twelve patients are few: a forest that is shrunk towards the pooled one is hard to beat, and the
# spread between patients is larger than that between models.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
ShotsCurveDisplay.from_comparison(result, ax=axes[0])
own = result.scores[result.scores["candidate"] == "shrunk forest"]
for name, of_one in own.groupby("task"):
    curve = of_one.groupby("n_shot")["score"].mean()
    axes[1].plot(curve.index, -curve, color="tab:blue", alpha=0.5, marker="o", markersize=3)
    axes[1].annotate(str(name), (curve.index[-1], -curve.iloc[-1]), fontsize=7)
axes[1].set(
    title="shrunk forest, each patient", xlabel="blood samples", ylabel="root mean squared error"
)

# %%
# One patient, before and after three samples
# -------------------------------------------

from metaskl import AttentiveCNPRegressor

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
AdaptationDisplay.from_task(
    AttentiveCNPRegressor(max_epochs=5, random_state=0),
    X,
    level,
    patient,
    task=table["task"].iloc[-1],
    n_shot=3,
    feature="Time",
    ax=ax,
)
