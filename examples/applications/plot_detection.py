"""
Find what you are shown
=======================

A detector of the plugin metaskl-vision is shown one drawing of each of three characters, of an
alphabet that it was not trained on, and finds others by other hands among strangers (characters:
B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum. Human-level concept learning through probabilistic
program induction. Science 2015). Proposals know nothing of classes; a prototype network, adapted
to the examples, names them.
"""

# %%
# Scenes to train on, examples, and scenes to search
# --------------------------------------------------

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.datasets import fetch_omniglot
from metaskl.tasks import RandomAffine
from metaskl_vision import (
    FewShotDetector,
    TemplateMatching,
    compose_scenes,
    mean_average_precision,
)

data = fetch_omniglot()
X, y, new = data.data, data.target, data.evaluation
ground = {"n_strokes": 6, "noise": 0.05}
training = compose_scenes(X[~new], y[~new], n_scenes=200, random_state=0, **ground)
classes = np.random.default_rng(1).choice(np.unique(y[new]), 6, replace=False)
wanted = classes[:3]
shown = np.isin(y, wanted) & (data.drawer == 1)
hidden = np.isin(y, classes) & (data.drawer > 1)
support = compose_scenes(X[shown], y[shown], n_scenes=1, n_things=3, random_state=0)
scenes = compose_scenes(X[hidden], y[hidden], n_scenes=8, random_state=1, **ground)

# %%
# Meta-train on what is in the boxes, adapt to three examples
# -----------------------------------------------------------

head = ProtoNetClassifier(
    backbone=Conv4(n_channels=32, norm="batch"),
    label_space="task",
    n_way=20,
    n_shot=1,
    n_query=3,
    meta_batch_size=1,
    max_epochs=1,
    steps_per_epoch=60,
    augment=RandomAffine(),
    random_state=0,
)
found = {}
for name, estimator in {"templates": TemplateMatching(), "prototypes": head}.items():
    detector = FewShotDetector(estimator).fit(training).adapt(support)
    found[name] = detector.predict(scenes)
    precision = mean_average_precision(found[name], scenes, wanted)
    print(f"{name}: mean average precision {precision:.2f} in {len(scenes)} scenes")

# %%
# What was shown, and what was found
# ----------------------------------
#
# Dotted boxes are where the characters are, the others what the prototypes found.

colours = dict(zip(wanted, ("tab:red", "tab:blue", "tab:green"), strict=True))


def frame(ax, boxes, labels, **style):
    """Draw boxes in the colours of their classes."""
    for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
        if label in colours:
            colour = colours[label]
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, **style))


figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
for ax, scene in zip(axes, [support[0], *scenes[:2]], strict=True):
    ax.imshow(scene.image, "gray_r")
    ax.axis("off")
    frame(ax, scene.boxes, scene.labels, ls=":", lw=1)
for ax, scene in zip(axes[1:], found["prototypes"], strict=False):
    sure = scene.scores > 0.3
    frame(ax, scene.boxes[sure], scene.labels[sure], lw=2)
axes[0].set_title("one example of each")
