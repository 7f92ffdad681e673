"""
Who is it? A few pictures of each person
========================================

The ORL faces (F. Samaria and A. Harter. Parameterisation of a Stochastic Model for Human Face
Identification. WACV 1994) are ten pictures of each of forty persons. A prototype network of the
plugin metaskl-vision learns on twenty persons what tells people apart; ten others are enrolled by
one to five pictures and named on the rest. Eigenfaces, from the same twenty, are the plain way.
The plugin's README has the figures of longer training, and of verifying claims.
"""

# %%
# Faces of forty persons
# ----------------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.tasks import RandomAffine
from metaskl_vision import Gallery, MetaEmbedding, RandomFlip, flatten_pictures, identify

with np.load(Path(os.environ["METASKL_DATA"]) / "orl_faces.npz") as file:
    X, y = file["X"][:, None, ::4, ::4] / np.float32(255), file["y"]
new = y % 4 == 0
train = y % 4 > 1

# %%
# Two ways to measure likeness
# ----------------------------

meta = ProtoNetClassifier(
    backbone=Conv4(n_channels=32, norm="batch"),
    label_space="task",
    n_way=10,
    n_shot=2,
    n_query=4,
    meta_batch_size=1,
    max_epochs=2,
    steps_per_epoch=50,
    augment=[RandomAffine(), RandomFlip()],
    random_state=0,
)
features = {
    "prototypes": MetaEmbedding(meta).fit(X[train], y[train]),
    "eigenfaces": make_pipeline(flatten_pictures(), PCA(40, random_state=0)).fit(X[train]),
}

# %%
# Ten new persons
# ---------------

sizes = [1, 2, 3, 5]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=[1.2, 1], layout="constrained")
for name, style in {"prototypes": "o-", "eigenfaces": "s--"}.items():
    gallery = Gallery(features[name], metric="euclidean", rule="nearest")
    right = [identify(gallery, X[new], y[new], n_shot=k)["accuracy"].mean() for k in sizes]
    axes[0].plot(sizes, right, style, label=name)
    print(name, np.round(right, 3))
axes[0].set(xlabel="pictures of each person", ylabel="named rightly", xticks=sizes)
axes[0].legend()
axes[1].imshow(
    np.hstack([np.vstack(X[y == person][:3, 0]) for person in (0, 4, 8, 12, 16)]), "gray"
)
axes[1].set_title("five of the ten")
axes[1].axis("off")
