"""Omniglot from few characters, with the pixels among the network's features and without.

Protocol: some characters of the training part of the split by characters (O. Vinyals et al.,
Matching Networks for One Shot Learning, NeurIPS 2016), as far as they are in the data, unrotated;
300 outer steps of 2 tasks of 5 ways, 1 to 5 shots and 5 queries a class; scored on the 85
characters of the split's validation part, which are not trained on here: 5-way, 15 queries a
class, 200 episodes; inductive; one seed. Conv4 with its defaults, with and without ``skip``.
"""

import argparse
import time

import numpy as np

from metaskl import ProtoNetClassifier, RidgeHeadClassifier
from metaskl.backbones import Conv4
from metaskl.datasets import fetch_omniglot
from metaskl.evaluation import episode_scores

_TRAINING, _VALIDATION = 0, 1


def main() -> None:
    """Print the accuracy at one and five shots for each learner, with the pixels and without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, nargs="+", default=[25, 400])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = fetch_omniglot()
    part = data.class_vinyals[data.target]
    training = np.flatnonzero(part == _TRAINING)
    new = data.data[part == _VALIDATION], data.target[part == _VALIDATION]
    order = np.random.default_rng(options.seed).permutation(np.unique(data.target[training]))
    for n_characters in options.characters:
        rows = training[np.isin(data.target[training], order[:n_characters])]
        for learner in (ProtoNetClassifier, RidgeHeadClassifier):
            for skip in (False, True):
                start = time.perf_counter()
                meta = learner(
                    backbone=Conv4(skip=skip),
                    label_space="task",
                    n_way=5,
                    n_shot=(1, 5),
                    n_query=5,
                    meta_batch_size=2,
                    max_epochs=3,
                    random_state=options.seed,
                ).fit(data.data[rows], data.target[rows])
                found = [episode_scores(meta, *new, n_shot=k, n_episodes=200) for k in (1, 5)]
                print(
                    f"{n_characters} characters, {learner.__name__}, skip={skip}: "
                    + ", ".join(f"{s.mean():.3f} ± {1.96 * s.std() / 200**0.5:.3f}" for s in found)
                    + f" ({time.perf_counter() - start:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
