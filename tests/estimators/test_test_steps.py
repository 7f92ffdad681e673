"""Steps on new tasks may be set after training."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from metaskl import (
    CAVIARegressor,
    IMAMLRegressor,
    MAMLRegressor,
    MetaRegressor,
    ReptileRegressor,
)
from metaskl.errors import ParameterError
from metaskl.learners.maml import MAML
from metaskl.tasks import SinusoidTasks

WAVES = SinusoidTasks().sample(20, 20, random_state=0)
X, Y = WAVES.X[:8], WAVES.y[:8]
QUICK = {"max_epochs": 1, "steps_per_epoch": 3, "random_state": 0}
FAMILIES = (MAMLRegressor, CAVIARegressor, IMAMLRegressor, ReptileRegressor)


def fitted(family, **parameters):
    return family(adaptation_steps=2, **QUICK, **parameters).fit(WAVES.X, WAVES.y, WAVES.groups)


def predicted(meta):
    return meta.adapt(X[:5], Y[:5]).predict(X[5:])


@pytest.mark.parametrize("family", FAMILIES)
def test_set_after_fit_they_are_as_if_set_before(family):
    # Training knows nothing of them, so that both have the same network.
    meta = fitted(family)
    plain = predicted(meta)
    meta.set_params(test_adaptation_steps=6)
    assert (predicted(meta) == predicted(fitted(family, test_adaptation_steps=6))).all()
    assert (predicted(meta) != plain).any()
    assert (predicted(pickle.loads(pickle.dumps(meta))) == predicted(meta)).all()
    copies = meta.adapt_groups(X[:5], Y[:5], np.zeros(5, int))
    np.testing.assert_allclose(copies[0].predict(X[5:]), predicted(meta), rtol=1e-5, atol=1e-6)
    assert (predicted(meta.set_params(test_adaptation_steps=None)) == plain).all()


def test_copies_that_share_a_network_keep_their_own():
    meta = fitted(MAMLRegressor)
    copy = meta.adapt(X[:5], Y[:5]).set_params(test_adaptation_steps=6)
    plain = predicted(meta)
    assert (predicted(copy) != plain).any()
    assert (predicted(meta) == plain).all()


def test_a_learner_by_name_takes_them_too():
    meta = MetaRegressor(learner="maml", learner_params={"adaptation_steps": 2}, **QUICK)
    meta.fit(WAVES.X, WAVES.y, WAVES.groups)
    many = fitted(MAMLRegressor, test_adaptation_steps=6)
    assert (predicted(meta) != predicted(many)).any()
    meta.set_params(learner_params__test_adaptation_steps=6)
    assert (predicted(meta) == predicted(many)).all()


@pytest.mark.parametrize("steps", [0, 2.5, "many"])
def test_a_number_that_is_none_is_refused_when_it_is_used(steps):
    meta = fitted(MAMLRegressor).set_params(test_adaptation_steps=steps)
    with pytest.raises(ParameterError, match="test_adaptation_steps must be a whole number of at"):
        predicted(meta)
    predicted(meta.set_params(test_adaptation_steps=3))


def test_further_training_validates_with_what_is_set_and_not_with_what_a_copy_asked_for():
    def losses(change):
        meta = fitted(MAMLRegressor, validation_fraction=0.3)
        change(meta)
        return meta.partial_fit(WAVES.X, WAVES.y, WAVES.groups).history_[-1]["valid_loss"]

    plain = losses(lambda meta: None)
    many = losses(lambda meta: meta.set_params(test_adaptation_steps=20))
    copy = losses(lambda meta: predicted(meta.adapt(X, Y).set_params(test_adaptation_steps=20)))
    assert many != plain
    assert copy == plain


def test_threads_keep_to_their_own():
    meta = fitted(MAMLRegressor)
    copy = meta.adapt(X[:5], Y[:5]).set_params(test_adaptation_steps=30)
    expected = [predicted(meta), predicted(copy)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(predicted, [meta, copy] * 40))
    finally:
        sys.setswitchinterval(interval)
    assert all((one == two).all() for one, two in zip(found, expected * 40, strict=True))


class ManySteps(MAML):
    """A learner that sets the steps itself, and has no argument for them."""

    def __init__(self, backbone, n_outputs, *, kind="regression", **pool):
        super().__init__(backbone, n_outputs, kind=kind, test_adaptation_steps=7, **pool)


def test_what_a_learner_sets_itself_stays(monkeypatch):
    monkeypatch.setattr(MetaRegressor, "_learner", lambda self: ManySteps)
    meta = MetaRegressor(**QUICK).fit(WAVES.X, WAVES.y, WAVES.groups)
    many = MAMLRegressor(test_adaptation_steps=7, **QUICK).fit(WAVES.X, WAVES.y, WAVES.groups)
    assert (predicted(meta) == predicted(many)).all()
