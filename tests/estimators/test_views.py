"""Images seen several times: each copy of a support row is a row, outputs are averaged."""

import pickle

import numpy as np
import pytest
import torch

from metaskl import (
    MAMLClassifier,
    MANNClassifier,
    MetaClassifier,
    MetaRegressor,
    ProtoNetClassifier,
    RidgeHeadRegressor,
)
from metaskl.backbones import Conv4
from metaskl.errors import ParameterError
from metaskl.registry import get_learner
from metaskl.tasks import RandomAffine
from metaskl.testing import registered_learners

RNG = np.random.default_rng(0)
X, Y = RNG.random((40, 1, 8, 8)), np.repeat(np.arange(8), 5)
NEW, LABELS = RNG.random((9, 1, 8, 8)), np.array([*"aabbccabc"])
MOVES = RandomAffine(degrees=20.0, translate=0.2, scale=0.2)
PRIVATE = {"label_space": "task", "n_way": 3, "n_shot": 2, "n_query": 2}
QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "meta_batch_size": 2, "random_state": 0}
SMALL = {"backbone": Conv4(n_channels=8, n_blocks=2), "augment": MOVES, **PRIVATE, **QUICK}
LEARNERS = [ProtoNetClassifier(**SMALL), MAMLClassifier(**SMALL), MANNClassifier(**SMALL)]


@pytest.fixture(scope="module", params=LEARNERS, ids=lambda learner: type(learner).__name__)
def meta(request):
    return request.param.fit(X, Y).set_params(test_views=3)


def test_views_are_rows_of_the_support_and_outputs_are_averaged():
    meta = ProtoNetClassifier(standardize=False, **SMALL).fit(X, Y)
    query = torch.tensor(X[:4], dtype=torch.float32)
    support = torch.tensor(NEW[:6], dtype=torch.float32)
    seen = torch.cat([*MOVES.views(support, 3), support]).numpy()
    by_hand = meta.adapt(seen, np.tile(LABELS[:6], 4))
    logs = [np.log(by_hand.predict_proba(view)) for view in (query, *MOVES.views(query, 3))]
    odds = np.exp(np.mean(logs, axis=0))
    adapted = meta.set_params(test_views=3).adapt(NEW[:6], LABELS[:6])
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adapted.predict_proba(X[:4]), expected, rtol=1e-4)
    assert adapted.n_support_ == 6
    plain = meta.set_params(test_views=0).adapt(NEW[:6], LABELS[:6])
    assert not np.allclose(plain.predict_proba(X[:4]), expected, rtol=1e-3)


def test_tasks_of_unequal_size_are_adapted_to_as_one_by_one(meta):
    ids = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    together = meta.adapt_groups(NEW, LABELS, ids)
    for task, copy in together.items():
        alone = meta.adapt(NEW[ids == task], LABELS[ids == task])
        np.testing.assert_allclose(copy.predict_proba(X), alone.predict_proba(X), atol=1e-4)


def test_a_prediction_does_not_depend_on_the_rows_beside_it(meta):
    adapted = meta.adapt(NEW, LABELS)
    whole = adapted.predict_proba(X)
    parts = [adapted.predict_proba(part) for part in (X[:7], X[7:])]
    assert np.array_equal(whole, np.concatenate(parts))
    stored = pickle.loads(pickle.dumps(adapted))
    assert stored.test_views == 3
    assert np.array_equal(stored.predict_proba(X), whole)


@pytest.mark.parametrize("name", registered_learners())
def test_every_learner_adapts_to_views(name):
    params = {**QUICK, "backbone": Conv4(n_channels=8, n_blocks=2, skip=True), "test_views": 2}
    rows = {"n_shot": 2, "n_query": 2}
    for kind in get_learner(name).kinds:
        if kind == "classification":
            meta = MetaClassifier(learner=name, label_space="task", n_way=3, **rows, **params)
            meta, y = meta.fit(X, Y), LABELS
        else:
            meta = MetaRegressor(learner=name, **rows, **params).fit(X, Y / 8.0, groups=Y)
            y = np.arange(9.0)
        alone = meta.adapt(NEW, y)
        together = meta.adapt_groups(NEW, y, np.zeros(9, int))[0]
        outputs = [getattr(m, "predict_proba", m.predict)(X) for m in (alone, together)]
        assert np.isfinite(outputs[0]).all()
        np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-4)
        assert alone.n_support_ == 9


def test_what_was_read_of_a_row_is_what_was_read_of_its_views():
    adapted = MANNClassifier(**SMALL, test_views=3).fit(X, Y).adapt(NEW, LABELS)
    assert adapted.written_.shape == (128, 9)
    np.testing.assert_allclose(adapted.state_["written"].sum(), adapted.written_.sum(), rtol=1e-5)
    looked = adapted.read_weights(X)
    assert looked.shape == (40, 9)
    adapted.set_params(test_views=0)  # what is in the memory stays there
    assert adapted.read_weights(X).shape == (40, 9)


def test_views_of_tables_are_refused():
    table = {"X": X[:, 0, 0], "y": RNG.random(40), "groups": Y}
    with pytest.raises(ParameterError, match=r"test_views=2 needs images .* shape \(8,\)"):
        RidgeHeadRegressor(n_shot=2, test_views=2, **QUICK).fit(**table)
    fitted = RidgeHeadRegressor(n_shot=2, **QUICK).fit(**table).set_params(test_views=2)
    with pytest.raises(ParameterError, match="Set test_views=0"):
        fitted.adapt(table["X"][:5], table["y"][:5])


@pytest.mark.parametrize("n_views", [-1, 1, 2.5, None, "3", True])
def test_a_number_of_views_is_asked_for_in_a_fit_and_after_it(n_views):
    message = r"test_views must be 0 or a whole number of at least 2, got .*Give 0 to adapt"
    with pytest.raises(ParameterError, match=message):
        ProtoNetClassifier(**SMALL, test_views=n_views).fit(X, Y)
    fitted = ProtoNetClassifier(**SMALL).fit(X, Y)
    adapted = fitted.adapt(NEW, LABELS)
    fitted.set_params(test_views=n_views)
    for call in (fitted.adapt, lambda X, y: fitted.adapt_groups(X, y, y > "a")):
        with pytest.raises(ParameterError, match=message):
            call(NEW, LABELS)
    with pytest.raises(ParameterError, match=message):
        adapted.set_params(test_views=n_views).predict(X)


def test_a_stored_fit_goes_on_with_other_views(tmp_path):
    shared = {**SMALL, "max_epochs": 2, "checkpoint": tmp_path / "fit.ckpt"}
    fitted = ProtoNetClassifier(**shared).fit(X, Y)
    again = ProtoNetClassifier(**shared, test_views=2).fit(X, Y)
    weights = zip(fitted.net_.module_.parameters(), again.net_.module_.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
