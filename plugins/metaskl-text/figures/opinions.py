"""Opinions, the same classes in every task: one product domain, or languages, held out.

Protocol: amazon_domains (4 domains of reviews, 60 of each opinion), afrisenti (14 African
languages, 60 tweets of each opinion, training, development and test parts mixed); folds over
domains or languages; 10 and 30 labelled rows of the new task; default settings; inductive.

    python plugins/metaskl-text/figures/opinions.py
"""

import argparse

from sklearn.base import clone
from text_sets import Remembered, few_rows, read

from metaskl import compare
from metaskl_text import SentenceEncoder, hashing_vectors, tfidf_vectors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=["amazon_domains", "afrisenti"])
    parser.add_argument("--epochs", type=int, default=3, help="of 100 outer steps")
    options = parser.parse_args()
    letters = hashing_vectors(100, ngram_range=(2, 4), analyzer="char_wb")
    sets = {
        "amazon_domains": (
            "y",
            "accuracy",
            4,
            {"words": tfidf_vectors(100), "encoder": SentenceEncoder(Remembered())},
        ),
        "afrisenti": ("label", "f1_weighted", 5, {"words": tfidf_vectors(100), "letters": letters}),
    }
    for name in options.only:
        target, scoring, cv, encoders = sets[name]
        frame = few_rows(read(name), ["task", target], 60)
        for label, vectors in encoders.items():
            result = compare(
                frame["text"].to_numpy(),
                frame[target].to_numpy(),
                frame["task"].to_numpy(),
                n_shot=(10, 30),
                scoring=scoring,
                cv=cv,
                preprocess=clone(vectors),
                learners=["logistic_head", "ridge_head"],
                baselines=["pooled logistic", "per-task logistic"],
                learner_params={"max_epochs": options.epochs},
                random_state=0,
            )
            print(f"\n== {name}, {label}\n{result}", flush=True)


if __name__ == "__main__":
    main()
