import numpy as np
import pytest
from skorch.callbacks import Callback

from metaskl import InContextClassifier, InContextRegressor, load, save
from metaskl.errors import ParameterError, TaskError
from metaskl.tasks import BlobTasks, LinearTasks

TINY = {"width": 8, "n_layers": 1, "n_heads": 2, "max_epochs": 2, "steps_per_epoch": 2}
LINES = LinearTasks(n_features=3).sample(12, 12, random_state=0)


class StopsInTheSecondEpoch(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            raise InterruptedError


def fitted(**parameters):
    meta = InContextRegressor(**{**TINY, "random_state": 0, **parameters})
    return meta.fit(LINES.X, LINES.y, groups=LINES.groups)


def prediction(meta):
    return meta.adapt(LINES.X[:5], LINES.y[:5]).predict(LINES.X)


def test_prior_tasks_change_where_training_starts_and_not_how_long_it_is():
    plain, prior, again = (prediction(fitted(prior_tasks=n)) for n in (0, 40, 40))
    assert np.array_equal(prior, again)
    assert not np.allclose(plain, prior)
    assert fitted(prior_tasks=40).n_iter_ == 2


def test_prior_tasks_teach_to_read_a_support_before_any_task():
    parameters = {"max_epochs": 1, "steps_per_epoch": 1, "outer_lr": 3e-3, "n_shot": 10}
    size = {"width": 32, "n_layers": 2, "n_heads": 4}
    errors = [
        np.mean((prediction(fitted(**parameters, **size, prior_tasks=n)) - LINES.y)[5:12] ** 2)
        for n in (0, 3200)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_classes_of_either_kind_have_prior_tasks():
    blobs = BlobTasks(n_features=3).sample(6, 12, random_state=0)
    shared = InContextClassifier(prior_tasks=20, **TINY).fit(blobs.X, blobs.y, blobs.groups)
    assert shared.adapt(blobs.X[:6], blobs.y[:6]).predict_proba(blobs.X).shape == (72, 3)
    name = blobs.groups * 3 + blobs.y
    private = InContextClassifier(label_space="task", n_way=4, n_shot=2, prior_tasks=20, **TINY)
    adapted = private.fit(blobs.X, name).adapt(blobs.X[:36], name[:36])
    assert adapted.predict_proba(blobs.X).shape == (72, 9)  # more classes than in training


def test_a_fit_with_prior_tasks_is_resumed(tmp_path):
    whole = fitted(prior_tasks=40)
    with pytest.raises(InterruptedError):
        fitted(prior_tasks=40, checkpoint=tmp_path / "file", callbacks=[StopsInTheSecondEpoch()])
    resumed = fitted(prior_tasks=40, checkpoint=tmp_path / "file")
    assert np.array_equal(prediction(resumed), prediction(whole))


def test_a_stored_model_predicts_alike(tmp_path):
    meta = fitted(prior_tasks=16)
    adapted = meta.adapt(LINES.X[:5], LINES.y[:5])
    loaded = load(save(adapted, tmp_path / "model"))
    found, expected = (m.predict(LINES.X, return_std=True) for m in (loaded, adapted))
    np.testing.assert_array_equal(found, expected)


def test_what_cannot_be_a_prior_is_refused():
    with pytest.raises(ParameterError, match="prior_tasks must be at least 0, got -1"):
        fitted(prior_tasks=-1)
    pictures = np.zeros((8, 1, 16, 16))
    with pytest.raises(TaskError, match="prior_tasks must be 0 unless the rows are a table"):
        InContextRegressor(prior_tasks=16, **TINY).fit(pictures, np.arange(8.0))
