import numpy as np
import pytest

from metaskl import MANNClassifier, MANNRegressor, SNAILClassifier
from metaskl.errors import NotAdaptedError, SupportError
from metaskl.tasks import BlobTasks, LinearTasks

QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
LINES = LinearTasks(n_features=3).sample(10, 12, random_state=0)
POOL = BlobTasks(n_features=3).sample_classes(8, 6, random_state=0)
POOL_X, POOL_Y = POOL.X.numpy(), np.repeat([f"c{k}" for k in range(8)], 6)


@pytest.fixture(scope="module")
def meta():
    return MANNRegressor(n_slots=8, **QUICK).fit(LINES.X, LINES.y, groups=LINES.groups)


def test_what_a_prediction_looked_at_can_be_seen(meta):
    new = meta.adapt(LINES.X[:5], LINES.y[:5])
    assert new.memory_.shape == (8, 40)
    assert new.written_.shape == (8, 5)
    # A row is written with a weight of 1 in all, most of it to a slot of its own; what of it
    # went to other slots is erased when they are needed.
    total = new.written_.sum(axis=0)
    np.testing.assert_allclose(total[-1], 1.0, rtol=1e-5)
    assert (np.diff(total) > 0).all()
    assert len(set(new.written_.argmax(axis=0))) == 5
    looked = new.read_weights(LINES.X[5:9])
    assert looked.shape == (4, 5)
    assert (looked >= 0).all()
    assert (looked > 0).any()
    assert np.array_equal(new.read_weights(LINES.X[5:6]), looked[:1])


def test_tasks_of_unequal_size_look_at_their_own_rows(meta):
    rows = np.r_[0:3, 12:18]
    tasks = meta.adapt_groups(LINES.X[rows], LINES.y[rows], LINES.groups[rows])
    assert [task.written_.shape for task in tasks.values()] == [(8, 3), (8, 6)]
    alone = meta.adapt(LINES.X[:3], LINES.y[:3]).read_weights(LINES.X[20:24])
    np.testing.assert_allclose(tasks[0].read_weights(LINES.X[20:24]), alone, atol=1e-5)


def test_the_memory_is_blank_before_a_support(meta):
    assert meta.written_.shape == (8, 0)
    assert meta.read_weights(LINES.X[:2]).shape == (2, 0)
    private = MANNClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
    for look in (lambda: private.memory_, lambda: private.read_weights(POOL_X)):
        with pytest.raises(NotAdaptedError, match="must be adapted before it has a memory"):
            look()


@pytest.mark.parametrize("cls", [MANNClassifier, SNAILClassifier])
def test_more_classes_than_ways_are_refused(cls):
    private = cls(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
    with pytest.raises(SupportError, match=r"at most n_way=3 classes .* got 4"):
        private.adapt(POOL_X[:24], POOL_Y[:24])
