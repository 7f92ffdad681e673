"""
A complication in a hospital that has just joined a trial
=========================================================

602 patients of four hospitals were examined with an endoscope, and 13 % then had an
inflammation of the pancreas (B. J. Elmunzer et al. A Randomized Trial of Rectal Indomethacin to
Prevent Post-ERCP Pancreatitis. NEJM 2012). Who will, in a hospital that has sent the files of a
few patients? Four tasks are very few to learn across, and the honest answer is worth having.
"""

# %%
# Encode the table
# ----------------
#
# A hospital is a task, and two of the four are tiny. So that there is something to learn across,
# the patients of a hospital are also told apart by sex and by whether a disorder of the sphincter
# is suspected: a task is such a group of a hospital, and whole groups are held out.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.preprocessing import OneHotEncoder

from metaskl import compare
from metaskl.report import ShotsCurveDisplay

table = pd.read_csv(Path(os.environ["METASKL_DATA"]) / "indo_rct.csv.gz")
sick = table.pop("y").eq("1_yes").to_numpy()
hospital = table.pop("task")
group = hospital + ", " + table["gender"] + ", " + table["sod"]
patients = pd.DataFrame({"group": group, "sick": sick})
print(patients.groupby("group")["sick"].agg(["size", "mean"]))

encode = make_column_transformer(
    (
        OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
        make_column_selector(dtype_exclude="number"),
    ),
    remainder="passthrough",
)

# %%
# Compare
# -------

large = group.map(group.value_counts()).to_numpy() >= 30
result = compare(
    table[large],
    sick[large].astype(int),
    group[large].to_numpy(),
    learners=["logistic_head", "protonet"],
    baselines=["pooled logistic", "per-task logistic", "shrunk logistic"],
    learner_params={"max_epochs": 1},
    preprocess=encode,
    scoring="roc_auc",
    n_shot=(10, 20),
    n_repeats=3,
    cv=3,
    random_state=0,
)
print(result)

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ShotsCurveDisplay.from_comparison(result, ax=ax)
