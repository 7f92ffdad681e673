"""Omniglot: accuracy on characters of the evaluation alphabets, and Lake's 20 runs.

Protocol: 28 x 28 pixels; meta-training on the characters with ``evaluation == 0``, each rotation
by 90 degrees a class of its own; test on the characters with ``evaluation == 1``, unrotated,
classes drawn over all these alphabets, 15 queries a class, 1,000 episodes of 5 ways and 300 of 20
ways (MAML: of those it was trained for); inductive, but for --norm batch_statistics, which
normalises by all queries of an episode. Conv4 with 64 channels, with --stride without pooling; with
--fold each block of 2 x 2 pixels is four channels of one pixel (nothing is lost) and three blocks
follow: a sixth of the work. With --split vinyals instead the split by characters of most papers
(O. Vinyals et al., Matching Networks for One Shot Learning, NeurIPS 2016), as far as its
characters are in the data: alphabets have characters on both sides, and rotations are classes in
testing, too; --validation trains without its 85 validation characters and scores on these, to
choose settings by. Lake's runs: 20 fixed tasks of 20 characters of one alphabet, one picture each
and 20 pictures to name (B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 2015); none of their
alphabets is trained on.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metaskl import CNPClassifier, MAMLClassifier, ProtoNetClassifier
from metaskl.backbones import Backbone, Conv4, FromModule
from metaskl.datasets import fetch_omniglot
from metaskl.evaluation import episode_scores
from metaskl.evaluation.differences import interval
from metaskl.search import TaskEnsemble
from metaskl.tasks import RandomAffine

Learner = ProtoNetClassifier | CNPClassifier | MAMLClassifier
# Those that take any number of classes, whatever they were trained with.
_ANY_WAYS = {"protonet": ProtoNetClassifier, "cnp": CNPClassifier}
_VALIDATION, _TEST = 1, 2  # in the list of the split by characters; 0 is training


def rotated(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures with each rotation by 90 degrees as a class of its own."""
    turns = [np.rot90(X, k, axes=(2, 3)) for k in range(4)]
    return np.concatenate(turns), np.concatenate([y + k * (y.max() + 1) for k in range(4)])


def body(options: argparse.Namespace) -> Backbone:
    """Return the network."""
    n_channels, norm = options.channels, options.norm
    if not options.fold:
        return Conv4(n_channels=n_channels, norm=norm, stride=options.stride)
    blocks = Conv4(n_channels=n_channels, norm=norm, n_blocks=3, stride=options.stride).build(
        (4, 14, 14)
    )
    return FromModule(torch.nn.Sequential(torch.nn.PixelUnshuffle(2), blocks))


def channels(text: str) -> int | tuple[int, ...]:
    """Read one number, or one for each block."""
    numbers = tuple(int(part) for part in text.split(","))
    return numbers if len(numbers) > 1 else numbers[0]


def lake_errors(meta: TaskEnsemble) -> np.ndarray:
    """Return the error of each of Lake's 20 runs."""
    with np.load(Path(os.environ["METASKL_DATA"]) / "omniglot_runs.npz") as file:
        runs = {name: file[name] for name in ("X_support", "y_support", "X_query", "y_query")}
    errors = []
    for support, labels, query, answers in zip(*runs.values(), strict=True):
        adapted = meta.adapt(support[:, None] / 255.0, labels)
        errors.append(np.mean(adapted.predict(query[:, None] / 255.0) != answers))
    return np.array(errors)


def options_given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("learner", choices=(*_ANY_WAYS, "maml"))
    parser.add_argument("--n-shot", type=int, default=1)
    parser.add_argument("--n-way", type=int, help="classes of a training episode; 20, MAML: 5")
    parser.add_argument("--epochs", type=int, default=20, help="of 100 outer steps")
    parser.add_argument("--norm", default="batch")
    parser.add_argument("--channels", type=channels, default=64, help="or one a block: 32,64,..")
    parser.add_argument("--meta-batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="MAML: adaptation steps")
    parser.add_argument("--test-steps", type=int, help="MAML: steps on new tasks, if others")
    parser.add_argument("--inner-lr", type=float, default=0.1)
    parser.add_argument("--outer-lr", type=float, default=1e-3)
    parser.add_argument("--lr-schedule", default="constant", help="or cosine")
    parser.add_argument("--first-order", action="store_true")
    parser.add_argument("--zero-head", action="store_true", help="MAML: start from a head of zeros")
    parser.add_argument("--n-query", type=int, default=5)
    parser.add_argument("--precision", default="float32", help="of the forward pass")
    parser.add_argument(
        "--prototypes-first", type=int, default=0, help="MAML: epochs of prototypes to start from"
    )
    parser.add_argument("--fold", action="store_true", help="see the head of this script")
    parser.add_argument("--stride", action="store_true", help="in place of pooling")
    parser.add_argument("--affine", action="store_true", help="move, turn, scale each image a bit")
    parser.add_argument("--test-views", type=int, default=0, help="score again with so many")
    parser.add_argument("--split", choices=("alphabets", "vinyals"), default="alphabets")
    parser.add_argument("--validation", action="store_true", help="score on those of the split")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="several: their mean")
    parser.add_argument("--checkpoint", help="for each seed a file, with its number at the end")
    options = parser.parse_args()
    if options.prototypes_first and options.learner != "maml":
        parser.error("--prototypes-first is for maml. Give more --epochs.")
    if options.validation and options.split != "vinyals":
        parser.error("--validation needs --split vinyals: alphabets have no validation characters.")
    options.n_way = options.n_way or (5 if options.learner == "maml" else 20)
    return options


def first_by_prototypes(options: argparse.Namespace, seed: int, X: Any, y: Any) -> Backbone:
    """Return the network as prototypes of 60 classes have trained it."""
    torch.manual_seed(seed)
    prototypes = ProtoNetClassifier(
        backbone=body(options),
        label_space="task",
        n_way=60,
        n_shot=1,
        n_query=3,
        meta_batch_size=1,
        lr_schedule="cosine",
        max_epochs=options.prototypes_first,
        precision=options.precision,
        augment=RandomAffine() if options.affine else None,
        checkpoint=options.checkpoint and f"{options.checkpoint}.prototypes.{seed}",
        random_state=seed,
        verbose=1,
    )
    return prototypes.fit(X, y).backbone_


def learner(options: argparse.Namespace, seed: int, backbone: Backbone) -> Learner:
    """Return the learner, not fitted."""
    torch.manual_seed(seed)
    shared = {
        "backbone": backbone,
        "label_space": "task",
        "n_shot": options.n_shot,
        "n_query": options.n_query,
        "meta_batch_size": options.meta_batch_size,
        "outer_lr": options.outer_lr,
        "lr_schedule": options.lr_schedule,
        "max_epochs": options.epochs,
        "precision": options.precision,
        "augment": RandomAffine() if options.affine else None,
        "checkpoint": options.checkpoint and f"{options.checkpoint}.{seed}",
        "random_state": seed,
        "verbose": 1,
    }
    if options.learner in _ANY_WAYS:
        return _ANY_WAYS[options.learner](n_way=options.n_way, **shared)
    inner = {"adaptation_steps": options.steps, "inner_lr": options.inner_lr}
    inner["test_adaptation_steps"] = options.test_steps
    inner["zero_head"] = options.zero_head
    return MAMLClassifier(n_way=options.n_way, first_order=options.first_order, **inner, **shared)


def main() -> None:
    """Print the accuracy at one and five shots."""
    options = options_given()
    data = fetch_omniglot()
    by_alphabet = options.split == "alphabets"
    part = data.class_vinyals[data.target]
    held_out = _VALIDATION if options.validation else _TEST
    seen = ~data.evaluation if by_alphabet else part < held_out
    kept = ~seen if by_alphabet else part == held_out
    X, y = rotated(data.data[seen], data.target[seen])
    new = data.data[kept], data.target[kept]
    new = new if by_alphabet else rotated(*new)
    start = time.perf_counter()
    networks = [
        first_by_prototypes(options, seed, X, y) if options.prototypes_first else body(options)
        for seed in options.seed
    ]
    learners = [learner(options, *each) for each in zip(options.seed, networks, strict=True)]
    model = TaskEnsemble(learners).fit(X, y)
    losses = ", ".join(f"{each.history_[-1]['train_loss']:.4f}" for each in model.estimators_)
    print(
        f"{options.learner} seed {options.seed}: {len(np.unique(y))} training classes, "
        f"{100 * options.epochs} steps in {time.perf_counter() - start:.0f} s on "
        f"{model.estimators_[0].device_} ({os.cpu_count()} cores, 1 thread), last loss {losses}"
    )
    for n_views in sorted({0, options.test_views}):
        print(f" test_views={n_views}")
        for each in model.estimators_:
            each.set_params(test_views=n_views)
        print_scores(model, new, options)


def print_scores(meta: TaskEnsemble, new: tuple, options: argparse.Namespace) -> None:
    """Print the accuracy on new characters, and the error in Lake's runs."""
    any_ways = options.learner in _ANY_WAYS
    for n_way in (5, 20) if any_ways else (options.n_way,):
        for n_shot in (1, 5) if any_ways else (options.n_shot,):
            episodes = {"n_way": n_way, "n_shot": n_shot, "n_episodes": 1000 if n_way == 5 else 300}
            scores = episode_scores(meta, *new, **episodes)
            half = 1.96 * scores.std() / np.sqrt(len(scores))
            print(f"  {n_way}-way {n_shot}-shot: {scores.mean():.4f} ± {half:.4f}", flush=True)
    if any_ways and options.split == "alphabets":  # the other split trains on their characters
        errors = lake_errors(meta)
        mean, _, high = interval(errors)
        print(f"  error in Lake's 20 runs: {mean:.4f} ± {high - mean:.4f}")


if __name__ == "__main__":
    main()
