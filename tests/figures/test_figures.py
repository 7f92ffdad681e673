"""Seeded figures against what can be known: Bayes' errors, or no adaptation at all."""

import numpy as np
import pytest

from metaskl import (
    ADKFClassifier,
    ADKFRegressor,
    AttentiveCNPClassifier,
    AttentiveCNPRegressor,
    CAVIAClassifier,
    CAVIARegressor,
    CNPClassifier,
    CNPRegressor,
    DKTClassifier,
    DKTRegressor,
    IMAMLClassifier,
    InContextClassifier,
    InContextRegressor,
    LinearProbeClassifier,
    LogisticHeadClassifier,
    LoRAClassifier,
    MAMLClassifier,
    MAMLRegressor,
    MANNClassifier,
    MatchingClassifier,
    MatchingRegressor,
    ProtoNetClassifier,
    RelationClassifier,
    ReptileClassifier,
    ReptileRegressor,
    RidgeHeadClassifier,
    RidgeHeadRegressor,
    SimpleShotClassifier,
    SNAILClassifier,
    TransferClassifier,
    TransferRegressor,
)
from metaskl.backbones import MLP
from metaskl.tasks import BlobTasks, GaussianProcessTasks, LinearTasks, SinusoidTasks
from metaskl.testing import registered_learners

# One row a figure: what is learned by whom, and how good that must be. Names are permanent.
FIGURES = {
    "adkf_ift: Gaussian processes": "test_deep_kernels_learn_a_kernel",
    "adkf_ift: private blobs": "test_private_blobs",
    "attentive_cnp: sinusoids": "test_neural_processes_learn_sine_waves",
    "attentive_cnp: private blobs": "test_private_blobs",
    "cnp: sinusoids": "test_neural_processes_learn_sine_waves",
    "cnp: private blobs": "test_private_blobs",
    "dkt: Gaussian processes": "test_deep_kernels_learn_a_kernel",
    "dkt: private blobs": "test_private_blobs",
    "ridge_head: lines": "test_a_ridge_head_is_as_good_as_bayes_on_lines",
    "ridge_head: Gaussian processes": "test_a_ridge_head_learns_a_kernel",
    "ridge_head: private blobs": "test_private_blobs",
    "protonet: private blobs": "test_private_blobs",
    "cavia: sinusoids": "test_sinusoids",
    "cavia: private blobs": "test_private_blobs",
    "imaml: private blobs": "test_private_blobs",
    "maml: sinusoids": "test_sinusoids",
    "maml: private blobs": "test_private_blobs",
    "mann: private blobs": "test_private_blobs",
    "snail: private blobs": "test_private_blobs",
    "reptile: sinusoids": "test_sinusoids",
    "reptile: private blobs": "test_private_blobs",
    "linear_probe: private blobs": "test_private_blobs",
    "logistic_head: private blobs": "test_private_blobs",
    "lora: private blobs": "test_private_blobs",
    "transfer: sinusoids": "test_sinusoids",
    "transfer: private blobs": "test_private_blobs",
    "matching: sinusoids": "test_sinusoids",
    "matching: private blobs": "test_private_blobs",
    "relation: private blobs": "test_private_blobs",
    "simpleshot: private blobs": "test_private_blobs",
    "in_context: sinusoids": "test_sinusoids",
    "in_context: private blobs": "test_private_blobs",
}


def held_out(drawn, n_train, n_support):
    """Yield support and query of each task that was not trained on, with the query's truth."""
    for task in range(n_train, drawn.groups.max() + 1):
        rows = np.flatnonzero(drawn.groups == task)
        support, query = rows[:n_support], rows[n_support:]
        truth = drawn.truth(task, drawn.X[query])
        yield drawn.X[support], drawn.y[support], drawn.X[query], drawn.y[query], truth


def trained(meta, drawn, n_train):
    old = drawn.groups < n_train
    return meta.fit(drawn.X[old], drawn.y[old], groups=drawn.groups[old])


def mean_error(predict, drawn, n_train, n_support):
    errors = [
        ((predict(X, y, X_query) - truth) ** 2).mean()
        for X, y, X_query, _, truth in held_out(drawn, n_train, n_support)
    ]
    return float(np.mean(errors))


def adapted(meta):
    return lambda X, y, X_query: meta.adapt(X, y).predict(X_query)


def copies_of(meta, tasks):
    """Return the copy adapted to each task; they are adapted in a few stacked calls."""
    groups = np.repeat(np.arange(len(tasks)), [len(y) for _, y, *_ in tasks])
    X, y = (np.concatenate([task[part] for task in tasks]) for part in (0, 1))
    return [*meta.adapt_groups(X, y, groups).values()]


@pytest.fixture(scope="module")
def lines():
    drawn = LinearTasks(n_features=3, noise=0.3).sample(400, 25, random_state=0)
    meta = RidgeHeadRegressor(backbone=MLP(()), max_epochs=3, outer_lr=0.03, random_state=0)
    return drawn, trained(meta, drawn, 300)


@pytest.mark.parametrize("n_support", [3, 5, 10])
def test_a_ridge_head_is_as_good_as_bayes_on_lines(lines, n_support):
    drawn, meta = lines
    prior = np.append(drawn.parameters["common"][0], 0.0)

    def bayes(X, y, X_query):  # knows the prior of the coefficients and the noise
        rows, query = (np.column_stack([part, np.ones(len(part))]) for part in (X, X_query))
        precision = np.eye(4) + rows.T @ rows / 0.3**2
        return query @ np.linalg.solve(precision, prior + rows.T @ y / 0.3**2)

    best = mean_error(bayes, drawn, 300, n_support)
    found = mean_error(adapted(meta), drawn, 300, n_support)
    assert 0.9 < found / best < 1.1
    before = mean_error(lambda X, y, X_query: meta.predict(X_query), drawn, 300, n_support)
    assert found < 0.4 * before


def test_a_ridge_head_knows_how_uncertain_it_is(lines):
    drawn, meta = lines
    inside = []
    for X, y, X_query, y_query, _ in held_out(drawn, 300, 5):
        mean, std = meta.adapt(X, y).predict(X_query, return_std=True)
        inside.append((np.abs(y_query - mean) < 1.96 * std).mean())
    assert 0.92 < np.mean(inside) < 0.98  # 95 % are promised


def test_a_ridge_head_learns_a_kernel():
    family = GaussianProcessTasks(noise=0.05)
    drawn = family.sample(600, 30, random_state=0)
    meta = RidgeHeadRegressor(n_shot=10, max_epochs=4, outer_lr=3e-3, random_state=0)
    meta = trained(meta, drawn, 500)
    best = mean_error(family.posterior_mean, drawn, 500, 10)
    found = mean_error(adapted(meta), drawn, 500, 10)
    nothing = mean_error(lambda X, y, X_query: np.zeros(len(X_query)), drawn, 500, 10)
    assert found - best < 0.25 * (nothing - best)


@pytest.mark.parametrize(("cls", "epochs"), [(DKTRegressor, 3), (ADKFRegressor, 1)])
def test_deep_kernels_learn_a_kernel(cls, epochs):
    # The family's own posterior, which knows the kernel, is the best there is.
    family = GaussianProcessTasks(noise=0.1)
    drawn = family.sample(250, 24, random_state=0)
    meta = cls(backbone=MLP(()), kernel="rbf", max_epochs=epochs, outer_lr=1e-2, random_state=0)
    meta = trained(meta.set_params(n_shot=10), drawn, 200)
    best = mean_error(family.posterior_mean, drawn, 200, 12)
    assert mean_error(adapted(meta), drawn, 200, 12) < 1.15 * best
    inside = []
    for X, y, X_query, y_query, _ in held_out(drawn, 200, 12):
        mean, std = meta.adapt(X, y).predict(X_query, return_std=True)
        inside.append((np.abs(y_query - mean) < 1.96 * std).mean())
    assert 0.92 < np.mean(inside) < 0.98  # 95 % are promised


@pytest.mark.parametrize("cls", [CNPRegressor, AttentiveCNPRegressor])
def test_neural_processes_learn_sine_waves(cls):
    drawn = SinusoidTasks(amplitude=(0.5, 2.0)).sample(550, 30, random_state=0)
    meta = cls(n_shot=(5, 15), max_epochs=3, outer_lr=3e-3, random_state=0)
    meta = trained(meta, drawn, 500)
    before = mean_error(lambda X, y, X_query: meta.predict(X_query), drawn, 500, 12)
    assert mean_error(adapted(meta), drawn, 500, 12) < 0.45 * before
    inside = []
    for X, y, X_query, y_query, _ in held_out(drawn, 500, 12):
        mean, std = meta.adapt(X, y).predict(X_query, return_std=True)
        inside.append((np.abs(y_query - mean) < 1.96 * std).mean())
    assert 0.85 < np.mean(inside) <= 1.0  # 95 % are promised


@pytest.mark.parametrize(
    ("cls", "parameters", "left"),
    [
        (CAVIARegressor, {"max_epochs": 3}, 0.1),
        (MAMLRegressor, {"max_epochs": 2}, 0.3),
        (ReptileRegressor, {"max_epochs": 2, "inner_lr": 0.1, "test_adaptation_steps": 50}, 0.4),
        (
            TransferRegressor,
            {"max_epochs": 2, "strategy": "all", "pull": 0.0, "adaptation_steps": 50},
            0.6,
        ),
        (MatchingRegressor, {"max_epochs": 1}, 0.3),
        # It reads sine waves all of a sudden, after some hundred steps.
        pytest.param(
            InContextRegressor,
            {"width": 32, "outer_lr": 2e-3, "max_epochs": 6},
            0.05,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_sinusoids(cls, parameters, left):
    # The mean of all sine waves says little about one: adapting on ten points must help.
    drawn = SinusoidTasks().sample(1100, 30, random_state=0)
    given = {"backbone": MLP((40, 40)), "outer_lr": 3e-3, **parameters}
    meta = cls(n_shot=10, random_state=0, **given)
    meta = trained(meta, drawn, 1000)
    before = mean_error(lambda X, y, X_query: meta.predict(X_query), drawn, 1000, 10)
    tasks = [*held_out(drawn, 1000, 10)]
    after = [
        ((copy.predict(X_query) - truth) ** 2).mean()
        for copy, (_, _, X_query, _, truth) in zip(copies_of(meta, tasks), tasks, strict=True)
    ]
    assert np.mean(after) < left * before


@pytest.mark.parametrize(
    ("cls", "parameters", "lost"),
    [
        (ProtoNetClassifier, {}, 0.06),
        (RidgeHeadClassifier, {}, 0.08),
        (MAMLClassifier, {"max_epochs": 1}, 0.10),
        (MANNClassifier, {"max_epochs": 1, "meta_batch_size": 8, "outer_lr": 3e-3}, 0.10),
        (SNAILClassifier, {}, 0.10),
        (IMAMLClassifier, {"pull": 0.1, "cg_steps": 3, "steps_per_epoch": 20}, 0.10),
        (ReptileClassifier, {"inner_lr": 0.05, "max_epochs": 1, "test_adaptation_steps": 30}, 0.10),
        (TransferClassifier, {"inner_lr": 0.05, "pull": 0.0, "adaptation_steps": 50}, 0.12),
        (LinearProbeClassifier, {}, 0.10),
        (LogisticHeadClassifier, {}, 0.08),
        (LoRAClassifier, {"inner_lr": 0.05, "pull": 0.0, "adaptation_steps": 50}, 0.12),
        (MatchingClassifier, {}, 0.10),
        (RelationClassifier, {}, 0.10),
        (SimpleShotClassifier, {}, 0.10),
        (InContextClassifier, {"n_layers": 2, "width": 32, "max_epochs": 1}, 0.10),
        (DKTClassifier, {}, 0.08),
        (ADKFClassifier, {"max_epochs": 1}, 0.08),
        (CNPClassifier, {}, 0.10),
        (AttentiveCNPClassifier, {}, 0.10),
        (CAVIAClassifier, {"context_dim": 32}, 0.10),
    ],
)
def test_private_blobs(cls, parameters, lost):
    # Bayes knows the centres; a learner sees five rows of each of three classes.
    family = BlobTasks(n_features=2, n_way=3, spread=2.0)
    pool = family.sample_classes(200, 30, random_state=0)
    meta = cls(label_space="task", n_way=3, random_state=0, **{"max_epochs": 2, **parameters})
    meta.fit(pool.X, np.repeat(pool.task_ids, pool.sizes))
    tasks = [*held_out(family.sample(60, 60, random_state=1), 0, 15)]
    found, best = [], []
    for copy, (_, _, X_query, y_query, truth) in zip(copies_of(meta, tasks), tasks, strict=True):
        found.append(copy.score(X_query, y_query))
        best.append((truth.argmax(axis=1) == y_query).mean())
    assert np.mean(best) > 0.75
    assert np.mean(best) - np.mean(found) < lost


def learner_tried(figure):
    """Say whether the figure's test is parametrised with an estimator of its learner."""
    learner = registered_learners()[figure.partition(":")[0]]
    marks = getattr(globals()[FIGURES[figure]], "pytestmark", [])
    rows = [row for mark in marks if mark.name == "parametrize" for row in mark.args[1]]
    rows = [getattr(row, "values", row) for row in rows]
    first = [row[0] if isinstance(row, tuple) else row for row in rows]
    return learner in [cls._learner_class() for cls in first if isinstance(cls, type)]


def test_every_learner_has_a_figure():
    of_one_learner = {"ridge_head: lines", "ridge_head: Gaussian processes"}
    assert {name for name in FIGURES if not learner_tried(name)} == of_one_learner
    assert {name.partition(":")[0] for name in FIGURES} == set(registered_learners())
    of_classes = {n for n, cls in registered_learners().items() if "classification" in cls.kinds}
    assert {f"{name}: private blobs" for name in of_classes} <= set(FIGURES)
    assert set(FIGURES.values()) <= set(globals())
