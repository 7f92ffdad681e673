"""
Translate words by a dictionary of twenty
=========================================

Word vectors of two languages are turned into each other by a rotation, nearly (T. Mikolov, Q. Le,
I. Sutskever. Exploiting Similarities among Languages for Machine Translation. arXiv 1309.4168,
2013; C. Xing et al. NAACL 2015). Twenty pairs of words are too few to find it. The learner
``procrustes`` of the plugin metaskl-text has seen other pairs of languages, and begins from what
their maps have in common. The pairs here are drawn, so that the true map is known.
"""

# %%
# Pairs of languages
# ------------------

import matplotlib.pyplot as plt
import numpy as np

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl_text import LanguagePairs, OrthogonalMap, precision_at_one

N_KNOWN, N_NEW, N_WORDS = 30, 8, 300
pairs = LanguagePairs(40, spread=2.0, noise=0.5).sample(N_KNOWN + N_NEW, N_WORDS, random_state=0)
known = pairs.groups < N_KNOWN

# %%
# Learn across thirty of them
# ---------------------------
#
# Vectors keep their lengths and angles: nothing is standardised, no network changes them.

meta = MetaRegressor(
    learner="procrustes",
    backbone=MLP(()),
    standardize=False,
    n_shot=(5, 100),
    n_query=50,
    max_epochs=2,
    random_state=0,
).fit(pairs.X[known], pairs.y[known], groups=pairs.groups[known])
common = OrthogonalMap().fit(pairs.X[known], pairs.y[known])

# %%
# Words of a new pair that are translated rightly
# -----------------------------------------------

sizes = [5, 10, 20, 50, 100]
share = {name: np.zeros((len(sizes), N_NEW)) for name in ("learned", "dictionary alone", "common")}
answers = np.arange(N_WORDS - 200, N_WORDS)
for j, pair in enumerate(range(N_KNOWN, N_KNOWN + N_NEW)):
    here, there = pairs.X[pairs.groups == pair], pairs.y[pairs.groups == pair]
    for i, size in enumerate(sizes):
        seed, query = (here[:size], there[:size]), here[answers]
        mapped = {
            "learned": meta.adapt(*seed).predict(query),
            "dictionary alone": OrthogonalMap().fit(*seed).predict(query),
            "common": common.predict(query),
        }
        for name, vectors in mapped.items():
            share[name][i, j] = precision_at_one(vectors, there, answers)

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, style in {"learned": "o-", "dictionary alone": "s--", "common": ":"}.items():
    ax.plot(sizes, share[name].mean(1), style, label=name)
    print(f"{name:17}", share[name].mean(1).round(2))
ax.set(xscale="log", xlabel="words in the seed dictionary", ylabel="precision at one", ylim=(0, 1))
ax.set_xticks(sizes, [str(size) for size in sizes])
ax.legend()
