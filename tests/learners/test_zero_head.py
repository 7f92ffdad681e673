import numpy as np
import pytest
import torch

from metaskl import IMAMLClassifier, MAMLClassifier, ReptileClassifier
from metaskl.backbones import MLP
from metaskl.errors import ParameterError, SupportError
from metaskl.learners.imaml import IMAML
from metaskl.learners.maml import MAML
from metaskl.learners.reptile import Reptile
from metaskl.tasks import BlobTasks, Episode

RATE = 0.5
FIXED = {"inner_lr": RATE, "inner_clip": None}
X = np.random.default_rng(0).normal(size=(6, 2))
LABELS = np.array([0, 2, 1, 1, 0, 2])
BLOBS = BlobTasks().sample(12, 24, random_state=0)
SMALL = {"max_epochs": 1, "steps_per_epoch": 4, "n_shot": 2, "n_query": 2, "random_state": 0}
ESTIMATORS = (MAMLClassifier, IMAMLClassifier, ReptileClassifier)


def private(learner_class, n_ways, *, hidden=(), **arguments):
    torch.manual_seed(0)
    body = MLP(hidden, activation="tanh").build((2,))
    kind = {"kind": "classification", "private_labels": True, "n_pool_classes": 9}
    arguments = {"zero_head": True, **kind, **arguments}
    return learner_class(body, n_ways, **arguments).double().eval()


def one_hot(labels, n_ways):
    return torch.eye(n_ways, dtype=torch.float64)[torch.as_tensor(labels)]


def fitted(estimator_class, **arguments):
    """Fit on classes that are of each task's own: 36 of them."""
    arguments = {"zero_head": True, **SMALL, **arguments}
    estimator = estimator_class(label_space="task", n_way=3, **arguments)
    return estimator.fit(BLOBS.X, BLOBS.groups * 3 + BLOBS.y)


@pytest.mark.parametrize(
    "learner",
    [
        private(MAML, 3, adaptation_steps=1, inner_lr_mode="fixed", **FIXED),
        private(MAML, 2, adaptation_steps=1, inner_lr_mode="fixed", **FIXED),
        private(Reptile, 5, adaptation_steps=1, **FIXED),
        private(IMAML, 5, adaptation_steps=1, inner_lr=RATE),
    ],
    ids=["maml", "maml of two ways", "reptile of five ways", "imaml of five ways"],
)
def test_a_step_from_zero_is_the_mean_of_the_rows(learner):
    # All three classes are as likely at first: W = α/n Σ (y_i − 1/3) x_iᵀ, b = α/n Σ (y_i − 1/3).
    surprise = np.eye(3)[LABELS] - 1 / 3
    state = torch.get_rng_state()
    with torch.no_grad():
        adapted = learner.adapt(torch.from_numpy(X), one_hot(LABELS, 3))
    assert torch.equal(torch.get_rng_state(), state)  # as before: no number is drawn for a head
    np.testing.assert_allclose(adapted["head.weight"], RATE * surprise.T @ X / 6, rtol=1e-12)
    np.testing.assert_allclose(adapted["head.bias"], RATE * surprise.mean(0), atol=1e-15)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_one_row_for_all_classes_is_as_good_as_zero(hidden):
    # What all logits have in common cancels in the softmax and in every gradient.
    shared = {"adaptation_steps": 3, "inner_lr_mode": "fixed", **FIXED}
    zero = private(MAML, 3, hidden=hidden, **shared)
    alike = private(MAML, 3, hidden=hidden, zero_head=False, **shared)
    with torch.no_grad():
        for parameter in alike.network.head.parameters():
            parameter.copy_(torch.randn_like(parameter[:1]).expand_as(parameter))
    rows = torch.from_numpy(X), one_hot(LABELS, 3)
    found = [
        each.predict(each.adapt(*rows), rows[0]).softmax(-1).detach() for each in (zero, alike)
    ]
    np.testing.assert_allclose(*found, rtol=1e-10)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_the_head_stays_at_zero_and_the_body_learns(estimator_class):
    arguments = {"label_space": "task", "n_way": 3, "zero_head": True, **SMALL}
    start = estimator_class(**arguments, backbone=MLP((8,)))
    learned = start.fit(BLOBS.X, BLOBS.groups * 3 + BLOBS.y).net_.module_.network
    assert all(not p.any() for p in learned.head.parameters())
    before = fitted(estimator_class, backbone=MLP((8,)), outer_lr=1e-12).net_.module_.network
    moved = [
        float((a - b).detach().abs().max())
        for a, b in zip(learned.body.parameters(), before.body.parameters(), strict=True)
    ]
    assert min(moved) > 1e-4


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_new_task_may_have_any_number_of_classes(estimator_class):
    meta = fitted(estimator_class)
    for n_ways in (2, 3, 7):
        labels = np.repeat(np.arange(n_ways), 5)
        new = np.random.default_rng(1).normal(size=(5 * n_ways, BLOBS.X.shape[1]))
        new[:, 0] += 3 * labels
        adapted = meta.adapt(new, labels)
        probability = adapted.predict_proba(new)
        assert probability.shape == (5 * n_ways, n_ways)
        np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-6)
        assert probability[np.arange(len(new)), labels].mean() > 1.001 / n_ways  # some is learned
        together = meta.adapt_groups(
            np.tile(new, (2, 1)), np.tile(labels, 2), np.repeat([0, 1], len(new))
        )
        for each in together.values():
            np.testing.assert_allclose(
                each.predict_proba(new), adapted.predict_proba(new), atol=1e-5
            )


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_head_that_is_learned_has_places(estimator_class):
    meta = fitted(estimator_class, zero_head=False)
    assert all(p.any() for p in meta.net_.module_.network.head.parameters())
    with pytest.raises(SupportError, match="at most n_way=3 classes"):
        meta.adapt(BLOBS.X[:8], np.arange(8) % 4)


def test_rates_are_alike_for_classes():
    learner = private(MAML, 3, inner_lr_mode="per_parameter", adaptation_steps=1, inner_clip=None)
    with torch.no_grad():
        learner.rates["head__weight"].copy_(torch.tensor([[0.1, 0.2], [0.2, 0.4], [0.3, 0.0]]))
        learner.rates["head__bias"].copy_(torch.tensor([1.0, 0.5, 0.0]))
    learner.after_step()
    np.testing.assert_allclose(learner.rates["head__weight"].detach(), 0.2, rtol=1e-6)
    np.testing.assert_allclose(learner.rates["head__bias"].detach(), 0.5, rtol=1e-6)
    surprise = np.eye(4)[[0, 1, 2, 3, 0, 1]] - 1 / 4
    with torch.no_grad():
        adapted = learner.adapt(torch.from_numpy(X), one_hot([0, 1, 2, 3, 0, 1], 4))
    expected = np.array([0.2, 0.2]) * (surprise.T @ X / 6)
    np.testing.assert_allclose(adapted["head.weight"], expected, rtol=1e-6)
    np.testing.assert_allclose(adapted["head.bias"], 0.5 * surprise.mean(0), rtol=1e-6)
    assert learner.rates["head__weight"].shape == (3, 2)  # the learner's own are as they were


def test_classes_that_tasks_share_and_targets_keep_a_learned_head():
    meta = MAMLClassifier(zero_head=True, **SMALL).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)
    assert meta.net_.module_.network.head.weight.any()


def test_a_body_alone_cannot_tell_classes_apart_from_zero():
    learner = private(MAML, 3, hidden=(4,), adapt_part="body")
    assert not learner.zero_head
    assert learner.fixed_ways
    assert learner.network.head.weight.any()


@pytest.mark.parametrize("first_order", [False, True])
def test_a_single_step_from_zero_leaves_the_body_and_its_gradient_as_they_are(first_order):
    # The body's gradient is Wᵀ(p − y), zero for W = 0 whatever the body is: ∂θ′/∂θ is the identity.
    rng = np.random.default_rng(2)
    query = torch.from_numpy(rng.normal(size=(1, 3, 2))), one_hot(np.arange(3)[None], 3)
    support = torch.from_numpy(X)[None], one_hot(LABELS[None], 3)
    rows = [*support, torch.ones(1, 6).double(), *query, torch.ones(1, 3).double()]
    shared = {"hidden": (4,), "adaptation_steps": 1, "first_order": first_order}
    alone = private(MAML, 3, inner_lr_mode="fixed", **shared, **FIXED)
    whole = private(MAML, 3, inner_lr_mode="fixed", zero_head=False, **shared, **FIXED)
    with torch.no_grad():
        for parameter in whole.network.head.parameters():
            parameter.zero_()
    assert set(alone.adapted_names) == {"head.weight", "head.bias"}
    assert set(whole.adapted_names) > set(alone.adapted_names)
    losses = [each.episode_loss(Episode(*rows)) for each in (alone, whole)]
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    for loss in losses:
        loss.backward()
    for name, parameter in alone.network.body.named_parameters():
        expected = whole.network.body.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-9, atol=1e-12)


def test_a_body_that_training_leaves_alone_stays_on_new_tasks():
    # One step in training: the body's rates were never learned, so that more steps leave it, too.
    learner = private(MAML, 3, hidden=(4,), adaptation_steps=1, test_adaptation_steps=2)
    with torch.no_grad():
        adapted = learner.adapt(torch.from_numpy(X), one_hot(LABELS, 3))
    assert set(adapted) == {"head.weight", "head.bias"}


def test_a_body_moves_from_the_second_step_on():
    rows = torch.from_numpy(X), one_hot(LABELS, 3)
    moved = []
    for n_steps in (1, 2):
        learner = private(MAML, 3, hidden=(4,), adaptation_steps=2, test_adaptation_steps=n_steps)
        own = learner.network.body.get_parameter("layers.0.weight")
        with torch.no_grad():
            moved.append(not torch.equal(learner.adapt(*rows)["body.layers.0.weight"], own))
    assert moved == [False, True]


class AddsTheFeatures(MAML):
    """Its logits do not vanish with the head, so that the body has a gradient at once."""

    def predict_tasks(self, adapted, X_query):
        logits = super().predict_tasks(adapted, X_query)
        return logits + self.network.body(X_query.flatten(0, 1))[:, :1].reshape_as(logits[..., :1])


class Doubles(MAML):
    def adapt_tasks(self, X_support, y_support, weight=None):
        return super().adapt_tasks(2 * X_support, y_support, weight)


def test_a_subclass_that_predicts_otherwise_adapts_its_body():
    assert private(AddsTheFeatures, 3, hidden=(4,), adaptation_steps=1).adapts_body
    assert not private(Doubles, 3, hidden=(4,), adaptation_steps=1).adapts_body


def test_what_a_subclass_does_to_a_support_is_done_once():
    rows = torch.from_numpy(X), one_hot(LABELS, 3)
    with torch.no_grad():
        found = [
            private(Doubles, n_ways, hidden=(4,), adaptation_steps=2).adapt(*rows)["head.weight"]
            for n_ways in (3, 5)
        ]
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_adam_makes_no_step_of_rounding():
    # As many rows of each class: from zeros the bias has no gradient, but for rounding.
    torch.manual_seed(0)
    body = MLP((8,)).build((3,))
    kind = {"kind": "classification", "private_labels": True, "n_pool_classes": 9}
    how = {"inner_optimizer": "adam", "inner_lr": 0.1, "zero_head": True}
    learner = Reptile(body, 5, **how, **kind).eval()
    rows, labels = torch.randn(15, 3), torch.eye(5)[torch.arange(15) % 5]
    order, turned = torch.randperm(15), torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        found = learner.predict(learner.adapt(rows, labels), rows)
        mixed = learner.predict(learner.adapt(rows[order], labels[order]), rows)
        other = learner.predict(learner.adapt(rows, labels[:, turned]), rows)
    torch.testing.assert_close(mixed, found, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other, found[:, turned], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_further_training_has_as_many_classes(estimator_class):
    meta = fitted(estimator_class).set_params(n_way=4)
    with pytest.raises(ParameterError, match="n_way must stay 3 in further training"):
        meta.partial_fit(BLOBS.X, BLOBS.groups * 3 + BLOBS.y)
