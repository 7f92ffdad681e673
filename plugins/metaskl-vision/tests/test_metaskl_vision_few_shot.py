"""Few labelled pictures: the same draws for all, known scores."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from metaskl import ProtoNetClassifier
from metaskl.backbones import MLP
from metaskl.errors import TaskError
from metaskl_vision import few_shot_scores, flatten_pictures


def levels(n_classes=2, n_each=10):
    y = np.repeat(np.arange(n_classes), n_each)
    return y.astype(float).reshape(-1, 1, 1, 1), y


class Remembering(KNeighborsClassifier):
    """Keep what every clone was fitted on."""

    seen = []  # noqa: RUF012

    def fit(self, X, y):
        self.seen.append((np.ravel(X).tolist(), y.tolist()))
        return super().fit(X, y)


def nearest():
    return make_pipeline(flatten_pictures(), KNeighborsClassifier(1))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_what_can_be_told_apart_is(n_classes):
    X, y = levels(n_classes)
    scores = few_shot_scores(
        {"nearest": nearest()}, X, y, X_test=X, y_test=y, n_shot=[1, 3], n_repeats=4
    )
    assert len(scores) == 2 * 4
    assert (scores[["balanced_accuracy", "roc_auc"]] == 1).all(axis=None)


def test_unbalanced_tests_are_scored_by_class():
    X, y = levels()
    # Of 9 + 1 tests the one of class 1 looks like class 0: 1 and 0 by class.
    X_test, y_test = np.zeros((10, 1, 1, 1)), np.array([0] * 9 + [1])
    scores = few_shot_scores({"nearest": nearest()}, X, y, X_test=X_test, y_test=y_test, n_shot=[1])
    assert (scores["balanced_accuracy"] == 0.5).all()


def test_supports_are_nested_balanced_and_the_same_for_all():
    X = np.arange(20.0).reshape(20, 1, 1, 1)
    y = np.repeat([0, 1], 10)
    Remembering.seen.clear()
    candidates = {
        name: make_pipeline(flatten_pictures(), Remembering(1)) for name in ("one", "two")
    }
    few_shot_scores(candidates, X, y, X_test=X, y_test=y, n_shot=[2, 4], n_repeats=2)
    small, same, large, _, other = Remembering.seen[:5]
    assert other != small
    assert small == same
    assert small[1] == [0, 0, 1, 1]
    assert large[1] == [0] * 4 + [1] * 4
    assert set(small[0]) < set(large[0])


def test_a_draw_does_not_depend_on_who_else_is_there():
    X, y = np.random.default_rng(0).random((40, 1, 2, 2)), np.repeat([0, 1], 20)
    test = {"X_test": X, "y_test": y, "n_shot": [2], "n_repeats": 3}
    alone = few_shot_scores({"one": nearest()}, X, y, **test)
    both = few_shot_scores({"other": nearest(), "one": nearest()}, X, y, **test)
    found = both[both["candidate"] == "one"]["roc_auc"]
    assert found.tolist() == alone["roc_auc"].tolist()


def test_meta_learners_are_adapted_not_fitted_anew():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 10)
    X = (y[:, None] + 0.1 * rng.normal(size=(60, 4))).reshape(60, 1, 2, 2).reshape(60, 4)
    meta = ProtoNetClassifier(
        backbone=MLP((8,)), label_space="task", n_way=2, n_shot=2, max_epochs=1, steps_per_epoch=3,
        random_state=0,
    ).fit(X[:40], y[:40])  # fmt: skip
    network = meta.net_
    new = y >= 4
    scores = few_shot_scores(
        {"meta": meta}, X[new], y[new], X_test=X[new], y_test=y[new], n_shot=[2]
    )
    assert scores["balanced_accuracy"].mean() > 0.9
    assert meta.net_ is network


def test_pipelines_of_meta_learners_are_adapted_too():
    y = np.repeat(np.arange(6), 10)
    X = (y[:, None] + 0.1 * np.random.default_rng(0).normal(size=(60, 4))).reshape(60, 1, 2, 2)
    meta = ProtoNetClassifier(
        backbone=MLP((8,)), label_space="task", n_way=2, n_shot=2, max_epochs=1, steps_per_epoch=3,
        random_state=0,
    )  # fmt: skip
    held = make_pipeline(flatten_pictures(), meta).fit(X[:40], y[:40])
    new = {"X_test": X[40:], "y_test": y[40:], "n_shot": [2], "n_repeats": 2}
    scores = few_shot_scores({"held": held}, X[40:], y[40:], **new)
    assert scores["balanced_accuracy"].mean() > 0.9


def test_too_few_pictures_or_other_classes():
    X, y = levels()
    with pytest.raises(TaskError, match=r"n_shot=\[0, 1\] pictures each \(at least 1\)"):
        few_shot_scores({}, X, y, X_test=X, y_test=y, n_shot=[0, 1])
    with pytest.raises(TaskError, match=r"n_shot=\[11\] pictures each.*got \{0: 10, 1: 10\}"):
        few_shot_scores({}, X, y, X_test=X, y_test=y, n_shot=[11])
    with pytest.raises(TaskError, match=r"and \[0\]"):
        few_shot_scores({}, X, y, X_test=X[:5], y_test=y[:5], n_shot=[1])
