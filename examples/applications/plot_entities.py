"""
Named entities of a new kind of text
====================================

A token table has a row per word and a column of tags. Here four domains (politics, music,
literature, artificial intelligence) are known, and of a fifth, science, thirty sentences have tags
(Z. Liu et al. CrossNER: Evaluating Cross-Domain Named Entity Recognition. AAAI 2021). Its types,
such as enzymes and theories, occur in no other domain. The plugin metaskl-text finds where entities
are by what all domains have in common, and of what type they are from the thirty sentences. With
words alone that gains little; with a sentence encoder it does, see the plugin's README.
"""

# %%
# Token tables
# ------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from metaskl_text import SpanTagger, TokenFeatures, TwoStageTagger

tokens = pd.read_csv(Path(os.environ["METASKL_DATA"]) / "crossner.csv.gz", keep_default_na=False)
parts = [tokens[name].astype(str) for name in ("task", "split", "sentence")]
tokens["sentence"] = parts[0] + " " + parts[1] + " " + parts[2]


def sentences(domain, n_sentences, seed=0):
    """Return the rows of some sentences of a domain."""
    rows = tokens[tokens["task"] == domain]
    drawn = np.random.default_rng(seed).permutation(rows["sentence"].unique())[:n_sentences]
    return rows[rows["sentence"].isin(drawn)]


known = pd.concat([sentences(d, 80) for d in ("politics", "music", "literature", "ai")])
science = sentences("science", 160)
names = science["sentence"].unique()
support, query = (science[science["sentence"].isin(part)] for part in (names[:30], names[30:]))
print(support[["token", "tag"]].head(8).to_string(index=False))

# %%
# Two taggers
# -----------

columns = ["token", "sentence"]
words = make_pipeline(TokenFeatures(), LogisticRegression(C=100, max_iter=300))
alone = SpanTagger(words).fit(support[columns], support["tag"])
two_stages = TwoStageTagger(words, words)
two_stages.fit(known[columns], known["tag"], groups=known["task"])
adapted = two_stages.adapt(support[columns], support["tag"])

found = {
    "thirty sentences alone": alone.span_scores(query[columns], query["tag"]),
    "two stages, four other domains": adapted.span_scores(query[columns], query["tag"]),
}
for name, scores in found.items():
    print(
        f"{name:32} precision {scores.precision:.2f}  recall {scores.recall:.2f}  "
        f"F1 {scores.f1:.2f}"
    )

# %%
# Type by type
# ------------

table = pd.DataFrame({name: scores.by_type["f1"] for name, scores in found.items()})
counts = found["thirty sentences alone"].by_type["n_true"]
common = counts.sort_values(ascending=False).index[:8]
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
table.loc[common].plot.barh(ax=ax, color=["0.6", "tab:blue"])
ax.invert_yaxis()
ax.set(xlabel="F1 of whole entities", ylabel="")
