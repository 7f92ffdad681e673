"""Pictures are compared with the built-in baselines, which see their pixels as columns."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from metaskl import PerTask, compare
from metaskl.backbones import Conv4
from metaskl.evaluation import Flatten
from metaskl.evaluation.candidates import make_baselines

DIGITS = load_digits()
IMAGES, DIGIT = DIGITS.images[:320, None, 1:7, 1:7], DIGITS.target[:320]
HAND = np.arange(320) % 2  # two sets of the same digits, as if they were characters of their own
LETTER = DIGIT + 10 * HAND
QUICK = {
    "backbone": Conv4(n_channels=8, n_blocks=1),
    "max_epochs": 1,
    "steps_per_epoch": 2,
    "meta_batch_size": 2,
}


def test_flatten_keeps_the_pixels_in_their_order_and_tables_as_they_are():
    X = np.arange(24).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(Flatten().fit_transform(X), np.arange(24).reshape(2, 12))
    np.testing.assert_array_equal(clone(Flatten()).transform(X[0, 0]), X[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_every_baseline_is_fitted_to_pictures_that_the_tasks_share(kind):
    rng = np.random.default_rng(0)
    few, digit = IMAGES[:80], DIGIT[:80]
    groups = rng.permutation(np.arange(80) % 4)
    y = digit < 5 if kind == "classification" else digit + 0.1 * rng.normal(size=80)
    result = compare(few, y, groups, learners=[], n_shot=12, n_repeats=1, cv=2, kind=kind)
    assert result.failures == {}
    assert set(result.families) == set(make_baselines(kind))
    assert result.families["shrunk forest"] == "shrunk"


def test_pictures_with_classes_of_their_own_reach_a_verdict():
    result = compare(
        IMAGES,
        LETTER,
        LETTER // 5,
        label_space="task",
        n_way=3,
        n_shot=2,
        cv=2,
        n_repeats=1,
        learners=["protonet"],
        learner_params=QUICK,
    )
    assert result.compared
    assert result.failures == {}
    assert set(result.families.values()) == {"learner", "per-task"}


def test_a_preprocessing_may_make_columns_of_pictures_itself():
    plain = compare(IMAGES, LETTER, LETTER // 5, baselines=["per-task logistic"], **PRIVATE)
    columns = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    flat = compare(
        IMAGES, LETTER, LETTER // 5, baselines=["per-task logistic"], preprocess=columns, **PRIVATE
    )
    own = {"per-task logistic": make_pipeline(Flatten(), PerTask(LogisticRegression()))}
    ours = compare(IMAGES, LETTER, LETTER // 5, baselines=own, **PRIVATE)
    np.testing.assert_array_equal(plain.scores["score"], flat.scores["score"])
    assert ours.families == {"per-task logistic": "per-task"}


PRIVATE = {"label_space": "task", "n_way": 3, "n_shot": 2, "cv": 2, "n_repeats": 1, "learners": []}
