"""Intents of sentences, whole domains held out: words against a sentence encoder.

Protocol: clinc150 (10 domains) and hwu64 (the scenarios with five intents or more), 20 sentences
an intent, 5-way; vectorisers are fitted on the training domains of each fold; accuracy, mean over
domains with its interval, the same support rows for all; default settings; inductive. "The words
themselves" is a logistic regression on the tf-idf words of the support alone.
`--published` instead: all 150 intents of clinc150 at once, the 5 and 10 marked training sentences
of each, the test part of 4,500 sentences.

    python plugins/metaskl-text/figures/intents.py
    python plugins/metaskl-text/figures/intents.py --published
"""

import argparse

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from text_sets import Remembered, few_rows, read

from metaskl import PerTask, compare, cross_validate_tasks, shots_curve
from metaskl_text import SentenceEncoder, tfidf_vectors


def held_out_domains(names, encoders, learners, epochs):
    for name in names:
        frame = read(name)
        frame = frame[frame["task"] != "oos"]
        n_intents = frame.groupby("task")["intent"].transform("nunique")
        frame = few_rows(frame[n_intents >= 5], ["task", "intent"], 20)
        rows = frame["text"].to_numpy(), frame["intent"].to_numpy(), frame["task"].to_numpy()
        themselves = PerTask(
            make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(max_iter=1000))
        )
        scores = cross_validate_tasks(
            themselves, *rows, n_shot=(1, 5), n_way=5, cv=3, random_state=0
        )
        print(f"\n== {name}, the words themselves\n{shots_curve(scores)}", flush=True)
        for label, vectors in encoders.items():
            result = compare(
                *rows,
                label_space="task",
                n_way=5,
                n_shot=(1, 5),
                preprocess=vectors,
                learners=learners,
                baselines=["per-task logistic"],
                learner_params={"max_epochs": epochs},
                random_state=0,
            )
            print(f"\n== {name}, {label}\n{result}", flush=True)


def published(encoders):
    frame = read("clinc150")
    frame = frame[frame["task"] != "oos"]
    test = frame[frame["split"] == "test"]
    for few in ("few5", "few10"):
        train = frame[frame[few] == 1]
        for label, vectors in encoders.items():
            model = make_pipeline(vectors, LogisticRegression(C=100, max_iter=1000))
            right = model.fit(train["text"], train["intent"]).predict(test["text"])
            right = right == test["intent"].to_numpy()
            half = 1.96 * right.std() / np.sqrt(len(right))
            print(f"{few} {label:10} accuracy {right.mean():.4f} ± {half:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--only", nargs="+", default=["clinc150", "hwu64"])
    parser.add_argument("--learners", nargs="+", default=["logistic_head", "protonet"])
    parser.add_argument("--epochs", type=int, default=3, help="of 100 outer steps")
    options = parser.parse_args()
    encoders = {"words": tfidf_vectors(100), "encoder": SentenceEncoder(Remembered())}
    if options.published:
        published(encoders)
    else:
        held_out_domains(options.only, encoders, options.learners, options.epochs)


if __name__ == "__main__":
    main()
