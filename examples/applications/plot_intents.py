"""
What does the user want? Five sentences of each new intent
==========================================================

A travel firm adds an assistant to nine that exist, with intents of its own and one or five
sentences of each (S. Larson et al. An Evaluation Dataset for Intent Classification and Out-of-
Scope Prediction. EMNLP-IJCNLP 2019). Prototypes learned on the other domains are compared with
logistic regression on the new sentences alone: on the same vectors, and on the words themselves.
The plugin metaskl-text has the vectors; its README the figures of all domains, with a sentence
encoder too.
"""

# %%
# Twelve sentences of each intent
# -------------------------------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from metaskl import PerTask, ProtoNetClassifier, compare
from metaskl.datasets import fetch_clinc150
from metaskl_text import tfidf_vectors

data = fetch_clinc150()
table = pd.DataFrame({"text": data.data, "intent": data.target, "domain": data.groups})
table = table[table["domain"] != "oos"].sample(frac=1, random_state=0)
table = table.groupby("intent").head(12)
print(table.sample(4, random_state=0).to_string(index=False))

# %%
# The same sentences for all
# --------------------------
#
# Each candidate brings its own vectors, so they are not given as ``preprocess``, which all would
# share. Whole domains are held out; an episode has five intents of one.

meta = ProtoNetClassifier(
    label_space="task", n_way=5, max_epochs=2, steps_per_epoch=50, random_state=0
)
words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression())
result = compare(
    table["text"].to_numpy(),
    table["intent"].to_numpy(),
    table["domain"].to_numpy(),
    label_space="task",
    n_way=5,
    n_shot=(1, 5),
    cv=3,
    learners={"prototypes": make_pipeline(tfidf_vectors(100), meta)},
    baselines={
        "same vectors, logistic": make_pipeline(tfidf_vectors(100), PerTask(LogisticRegression())),
        "own words, logistic": PerTask(words),
    },
)
print(result)

# %%
# The words of a new domain count
# -------------------------------
#
# The vectors were fitted on the other domains and leave out most words of the new one. What
# is learned on them cannot make up for that.

means = result.scores.groupby(["candidate", "n_shot"])["score"].mean().unstack()
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
means.loc[means.mean(axis=1).sort_values().index].plot.barh(ax=ax, color=["0.7", "tab:blue"])
ax.axvline(1 / 5, color="0.4", linestyle=":", label="by chance")
ax.set(xlabel="accuracy among five intents", ylabel="", xlim=(0, 1), xticks=np.linspace(0, 1, 6))
ax.legend(title="sentences of each")
