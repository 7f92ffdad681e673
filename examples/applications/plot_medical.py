"""
A new kind of scan, five labelled pictures of each class
========================================================

Ultrasound of the breast, malignant or not, is the new problem (W. Al-Dhabyani et al. Dataset of
breast ultrasound images. Data in Brief 2020; J. Yang et al. MedMNIST v2. Scientific Data 2023). A
network was meta-trained on X-rays of the chest and on scans of the brain, with the augmentation
of the plugin metaskl-vision. Does that beat a logistic regression on the pixels of the few
labelled pictures? In this small run it does with few of them and not with many. Over more
pictures and all three sets in turn nothing is gained from five pictures of each class on: two
problems of other organs are too few to learn from. See the plugin's README.
"""

# %%
# Three problems
# --------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.tasks import RandomAffine
from metaskl_vision import RandomFlip, RandomLight, few_shot_scores, flatten_pictures

FOLDER = Path(os.environ["METASKL_DATA"])
rng = np.random.default_rng(0)


def pictures(name, n_class, test=False):
    """Return so many pictures (n, 1, 28, 28) of each class, and their classes."""
    with np.load(FOLDER / f"{name}.npz") as file:
        X, y, split = file["X"], file["y"], file["split"]
    inside = np.flatnonzero((split == split.max()) == test)
    rows = [rng.permutation(inside[y[inside] == label])[:n_class] for label in np.unique(y)]
    rows = np.concatenate(rows)
    X = X[rows]
    if X.shape[1:] == (64, 64):  # 28 x 28 of the middle, every second pixel
        X = X[:, 4:60:2, 4:60:2]
    return X[:, None] / np.float32(255), y[rows]


sets = {name: pictures(name, 300) for name in ("brain_mri_64", "pneumoniamnist_28")}
X_other, y_other = (np.concatenate(part) for part in zip(*sets.values(), strict=True))
problem = np.repeat(list(sets), [len(y) for _, y in sets.values()])

# %%
# Learn on two, adapt to the third
# --------------------------------

meta = ProtoNetClassifier(
    backbone=Conv4(n_channels=32, norm="batch"),
    label_space="task",
    n_way=2,
    n_shot=(1, 10),
    n_query=10,
    meta_batch_size=2,
    augment=[RandomFlip(), RandomAffine(), RandomLight()],
    max_epochs=2,
    steps_per_epoch=50,
    random_state=0,
).fit(X_other, y_other, groups=problem)
pixels = make_pipeline(flatten_pictures(), StandardScaler(), LogisticRegression(C=0.01))
support, judged = pictures("breastmnist_28", 100), pictures("breastmnist_28", 40, test=True)
scores = few_shot_scores(
    {"prototypes": meta, "pixels, logistic": pixels},
    *support,
    X_test=judged[0],
    y_test=judged[1],
    n_shot=[1, 5, 20],
    n_repeats=10,
)
table = scores.pivot_table("roc_auc", "n_shot", "candidate")
print(table.round(3))

# %%
# Ten draws of the labelled pictures
# ----------------------------------

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for k, (name, own) in enumerate(scores.groupby("candidate")):
    ax.plot(own["n_shot"] * (1 + 0.06 * k), own["roc_auc"], ".", color=f"C{k}", alpha=0.4)
    ax.plot(table.index, table[name], "o-", color=f"C{k}", label=name)
ax.set(xscale="log", xlabel="labelled pictures of each class", ylabel="area under the ROC curve")
ax.set_xticks([1, 5, 20], ["1", "5", "20"])
ax.legend()
