"""Named entities of a new domain from a few tagged sentences: F1 of whole spans.

Protocol: five domains of crossner and wnut17, each held out in turn; 150 sentences of each other
domain to learn from; supports of 20 and 50 sentences of the new one, three draws; 150 other
sentences as query; mean over draws, 95 % intervals over the six domains by Student's t, and paired
differences to a logistic regression of tokens fitted to the support alone. Inductive.

    python plugins/metaskl-text/figures/entities.py
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer
from text_sets import Remembered, read

from metaskl import MetaClassifier, adapt
from metaskl.backbones import MLP
from metaskl.evaluation.differences import interval
from metaskl_text import SentenceEncoder, SpanTagger, TokenFeatures, TokenWindows, TwoStageTagger

BASELINE = "tokens: logistic on the support"
WINDOW = 2


def table():
    """Return the tokens of all domains with the number of their sentence."""
    frame = pd.concat([read("crossner"), read("wnut17").assign(task="wnut17")])
    sentences = frame.groupby(["task", "split", "sentence"], sort=False)
    return frame.assign(sentence=sentences.ngroup()).reset_index(drop=True)


def some_sentences(frame, n_sentences, rng):
    """Return whole sentences, and the rest."""
    chosen = frame["sentence"].isin(
        rng.choice(frame["sentence"].unique(), n_sentences, replace=False)
    )
    return frame[chosen], frame[~chosen]


def entity(rows):
    return rows[:, WINDOW]


def context(rows):
    return np.array([" ".join(row) for row in rows], dtype=object)


def logistic(C):
    return LogisticRegression(C=C, max_iter=1000)


def candidates(train, remembered, epochs):
    """Return fitted taggers that can adapt, by name."""
    features = make_pipeline(TokenFeatures(), TruncatedSVD(100, random_state=0))
    features.fit(TokenWindows(WINDOW).fit_transform(train))
    encode = make_union(
        make_pipeline(FunctionTransformer(entity), SentenceEncoder(remembered)),
        make_pipeline(FunctionTransformer(context), SentenceEncoder(remembered)),
    )
    private = {"label_space": "task", "n_shot": (2, 10), "max_epochs": epochs, "random_state": 0}
    detector = make_pipeline(TokenFeatures(), logistic(10))
    linear = {"backbone": MLP(()), "standardize": False}
    found = {
        "tokens: meta-learned ridge_head": SpanTagger(
            make_pipeline(
                FrozenEstimator(features), MetaClassifier(learner="ridge_head", **private)
            )
        ),
        "two stages, types by words": TwoStageTagger(
            detector, make_pipeline(TokenFeatures(), logistic(100))
        ),
        "two stages, types by encoder": TwoStageTagger(
            detector, make_pipeline(encode, logistic(10))
        ),
        "two stages, types by encoder and protonet": TwoStageTagger(
            detector, make_pipeline(encode, MetaClassifier(learner="protonet", **private, **linear))
        ),
    }
    return {
        name: tagger.fit(train, train["tag"], groups=train["task"])
        for name, tagger in found.items()
    }


def scores_of(domain, frame, remembered, options):
    """Return the F1 of each candidate on one domain by name and shots, means over draws."""
    rng = np.random.default_rng(options.seed)
    parts = [some_sentences(rows, 150, rng)[0] for _, rows in frame.groupby("task", sort=False)]
    train = pd.concat([part for part in parts if part["task"].iloc[0] != domain])
    query, rest = some_sentences(frame[frame["task"] == domain], 150, rng)
    fitted = candidates(train, remembered, options.epochs)
    found = {}
    for n_shot in (20, 50):
        for _ in range(options.draws):
            support, _ = some_sentences(rest, n_shot, rng)
            plain = SpanTagger(make_pipeline(TokenFeatures(), logistic(100)))
            adapted = {BASELINE: plain.fit(support, support["tag"])}
            adapted |= {name: adapt(t, support, support["tag"]) for name, t in fitted.items()}
            for name, tagger in adapted.items():
                found.setdefault((name, n_shot), []).append(tagger.score(query, query["tag"]))
    return {key: np.mean(values) for key, values in found.items()}


def shown(values):
    """Return the mean and its 95 % interval as text."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval(values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="of 100 outer steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, frame, remembered = time.process_time(), table(), Remembered()
    rows = {}
    for domain in frame["task"].unique():
        rows[domain] = scores_of(domain, frame, remembered, options)
        print(domain, f"{time.process_time() - start:.0f} s", flush=True)
    result = pd.DataFrame(rows).T
    for n_shot in (20, 50):
        for name, shots in result.columns:
            if shots == n_shot:
                gain = result[name, shots] - result[BASELINE, shots]
                print(f"{shots} {name:45} {shown(result[name, shots])} gain {shown(gain)}")
    print(result.round(3).to_string())


if __name__ == "__main__":
    main()
