"""Galleries, error rates and protocols: known answers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import MAMLClassifier, ProtoNetClassifier, load, save
from metaskl.backbones import Conv4
from metaskl.errors import ModelFileError, ParameterError, SupportError, TaskError
from metaskl_vision import (
    Gallery,
    MetaEmbedding,
    RandomFlip,
    equal_error_rate,
    flatten_pictures,
    identify,
    verification_report,
    verify,
)


def points(*rows):
    return np.array(rows, dtype=float)[:, None, None]


def gallery(**parameters):
    return Gallery(flatten_pictures(), **parameters)


def test_a_person_is_a_mean_or_the_nearest():
    X, y = points([0, 0], [8, 0], [5, 0]), ["ann", "ann", "bob"]
    probe = points([7, 0])  # ann's mean is at 4, bob at 5, ann's own at 8
    mean = gallery(metric="euclidean").fit(X, y)
    nearest = gallery(metric="euclidean", rule="nearest").fit(X, y)
    np.testing.assert_allclose(mean.similarity(probe), [[-3, -2]])
    np.testing.assert_allclose(nearest.similarity(probe), [[-1, -2]])
    assert mean.predict(probe).tolist() == ["bob"]
    assert nearest.predict(probe).tolist() == ["ann"]


def test_cosine_looks_at_directions():
    known = gallery().fit(points([1, 0], [0, 5]), ["ann", "bob"])
    np.testing.assert_allclose(
        known.similarity(points([9, 9], [3, 4])), [[0.5**0.5] * 2, [0.6, 0.8]]
    )


def test_verify_accepts_from_the_threshold_on():
    known = gallery(metric="euclidean", threshold=-2.0)
    known.fit(points([0, 0], [9, 0]), ["ann", "bob"])
    probes = points([2, 0], [2.1, 0], [8, 0], [8, 0])
    claimed = ["ann", "ann", "bob", "ann"]
    assert known.verify(probes, claimed).tolist() == [True, False, True, False]


def test_bad_claims_and_parameters():
    known = gallery().fit(points([1, 0], [0, 1]), ["ann", "bob"])
    with pytest.raises(SupportError, match=r"unknown among them: \['cy'\]"):
        known.verify(points([1, 0]), ["cy"])
    with pytest.raises(SupportError, match=r"got names of shape \(2,\)"):
        known.verify(points([1, 0]), ["ann", "bob"])
    with pytest.raises(SupportError, match="got 1 names for 2 pictures"):
        known.fit(points([1, 0], [0, 1]), ["ann"])
    with pytest.raises(ParameterError, match=r"metric must be one of .*got 'manhattan'"):
        gallery(metric="manhattan").fit(points([1, 0]), ["ann"])
    with pytest.raises(ParameterError, match=r"rule must be one of .*got 'median'"):
        gallery(rule="median").fit(points([1, 0]), ["ann"])


@pytest.mark.parametrize(
    ("same", "similarity", "rate", "threshold"),
    [
        ([1, 1, 0, 0], [4, 3, 2, 1], 0.0, 2.5),
        # Accepting from 3 on: half the strangers, and half the own are refused.
        ([1, 0, 1, 0], [4, 3, 2, 1], 0.5, 2.5),
        # (false accept, false reject): from 5 (0, 2/3), from 4 (0, 1/3), from 3 (1/2, 1/3): the
        # line from (0, 1/3) to (1/2, 1/3) meets the diagonal at 1/3. At 3 they differ less (1/6).
        ([1, 1, 0, 1, 0], [5, 4, 3, 2, 1], 1 / 3, 2.5),
        ([0, 0, 1, 1], [4, 3, 2, 1], 1.0, 2.5),
        ([1, 0], [1, 1], 0.5, 1.0),
    ],
)
def test_equal_error_rate_by_hand(same, similarity, rate, threshold):
    found = equal_error_rate(same, similarity)
    assert found == pytest.approx((rate, threshold))


def test_equal_error_rate_needs_both_kinds():
    with pytest.raises(ParameterError, match="got 2 of 2 of one"):
        equal_error_rate([True, True], [1, 2])


def people(n=6, n_each=5, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(n, 1, 2, 2)), n_each, axis=0)
    return X + noise * rng.normal(size=X.shape), np.repeat([f"p{i}" for i in range(n)], n_each)


def test_protocols_of_people_who_always_look_alike():
    X, y = people()
    known = y < "p3"
    named = identify(gallery(), X, y, n_shot=2, n_repeats=3)
    assert (named["accuracy"] == 1).all()
    assert len(named) == 3 * 6
    trials = verify(
        gallery(), X[known], y[known], X_other=X[~known], y_other=y[~known], n_repeats=3
    )
    assert len(trials) == 3 * 3 * 12  # repeats, persons claimed, 4 probes of 3 persons
    assert trials["same"].sum() == 3 * 12
    assert (trials.loc[trials["same"], "similarity"] > 0.999).all()
    report = verification_report(trials)
    assert report.loc["roc_auc", "mean"] == 1
    assert report.loc["false_reject", "mean"] == 0


def test_the_threshold_lies_between_the_others_own_and_strangers():
    X, y = points(*[[10.0 * (i // 2), 0] for i in range(8)]), np.repeat(["a", "b", "c", "d"], 2)
    known = y < "c"
    trials = verify(
        gallery(metric="euclidean"), X[known], y[known], X_other=X[~known], y_other=y[~known]
    )
    # c is at 20 and d at 30: their own pictures are 0 apart, those of the other 10.
    assert trials["threshold"].unique().tolist() == [-5]
    assert trials["accepted"].equals(trials["same"])


def test_the_threshold_comes_from_the_others_alone():
    X, y = people(noise=0.5)
    known = y < "p3"
    trials = [
        verify(
            gallery(), factor * X[known], y[known], X_other=X[~known], y_other=y[~known]
        )["threshold"]
        for factor in (1, -3)
    ]  # fmt: skip
    assert trials[0].unique().tolist() == trials[1].unique().tolist()


def test_candidates_see_the_same_rows_and_stay_as_they_are():
    X, y = people(noise=0.5)
    known = y < "p3"
    others = {"X_other": X[~known], "y_other": y[~known]}
    first, second = gallery(), gallery(metric="euclidean")
    a, b = (verify(one, X[known], y[known], **others) for one in (first, second))
    assert a[["repeat", "claimed", "probe"]].equals(b[["repeat", "claimed", "probe"]])
    assert not hasattr(first, "classes_")


def test_persons_in_both_parts_or_with_too_few_pictures():
    X, y = people()
    with pytest.raises(TaskError, match=r"other persons than y, got \['p0'"):
        verify(gallery(), X, y, X_other=X, y_other=y)
    with pytest.raises(TaskError, match=r"more than n_shot=5 .* got 6 persons, the least with 5"):
        identify(gallery(), X, y, n_shot=5)


def test_the_report_counts_similarities_from_the_threshold_of_their_fold():
    fold = pd.DataFrame(
        {"claimed": ["a", "a", "b", "b"], "same": [True, False] * 2, "similarity": [3.0, 1, 4, 0]}
    )
    fold = fold.assign(threshold=2.0, accepted=fold["similarity"] >= 2)
    shifted = fold.assign(similarity=fold["similarity"] + 9, threshold=11.0)
    report = verification_report(pd.concat([fold, shifted]))
    assert report["mean"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_the_report_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    trials = pd.DataFrame(
        {"claimed": rng.integers(9, size=400), "same": rng.random(400) < 0.3, "threshold": 3}
    )
    trials["similarity"] = rng.integers(8, size=400) + trials["same"]  # many are equal
    trials["accepted"] = trials["similarity"] >= 3
    report = verification_report(trials)
    same, similarity = trials["same"], trials["similarity"]
    expected = [
        roc_auc_score(same, similarity),
        equal_error_rate(same, similarity)[0],
        (similarity[~same] >= 3).mean(),
        (similarity[same] < 3).mean(),
    ]
    np.testing.assert_allclose(report["mean"], expected)
    assert (report["low"] < report["mean"]).all()
    assert (report["mean"] < report["high"]).all()
    # The same person's trials go together: repeated, they are no more evidence.
    repeated = verification_report(pd.concat([trials] * 4))
    np.testing.assert_allclose(repeated, report)


def embedding(**parameters):
    return MetaEmbedding(
        ProtoNetClassifier(
            backbone=Conv4(8, norm="batch"), label_space="task", n_way=3, n_shot=1, n_query=2,
            max_epochs=1, steps_per_epoch=3, random_state=0, **parameters,
        )
    )  # fmt: skip


def test_features_are_those_of_the_network():
    rng = np.random.default_rng(0)
    X, y = rng.random((300, 1, 16, 16)), np.repeat(np.arange(6), 50)
    fitted = clone(embedding()).fit(X, y)
    Z = fitted.transform(X)
    assert Z.shape == (300, 8)
    np.testing.assert_allclose(fitted.transform(X[7:9]), Z[7:9], rtol=1e-5, atol=1e-6)
    # A class of one row is its own prototype.
    adapted = fitted.estimator_.adapt(X[:2], ["a", "b"])
    np.testing.assert_allclose(adapted.state_["prototypes"], Z[:2], rtol=1e-5, atol=1e-6)
    assert make_pipeline(fitted, StandardScaler()).fit_transform(X, y).shape == (300, 8)
    with pytest.raises(ParameterError, match=r"pictures of shape \(1, 16, 16\) as in fit"):
        fitted.transform(X[:, :, :8])


def test_learners_without_one_network_for_all_are_refused():
    X, y = np.random.default_rng(0).random((30, 1, 16, 16)), np.repeat(np.arange(6), 5)
    meta = MAMLClassifier(
        backbone=Conv4(8), label_space="task", n_shot=1, n_query=1, max_epochs=1, steps_per_epoch=1
    )
    with pytest.raises(ParameterError, match="one network for all tasks, got a MAMLClassifier"):
        MetaEmbedding(meta).fit(X, y)


def test_saved_without_pickle_a_gallery_knows_the_same_people(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 1, 16, 16)), np.repeat(np.arange(6), 5)
    known = Gallery(embedding(augment=[RandomFlip()]).fit(X, y)).fit(X[:10], y[:10])
    file = save(known, tmp_path / "gallery")
    own = [
        "metaskl_vision.augmentation.RandomFlip",
        "metaskl_vision.embedding.MetaEmbedding",
        "metaskl_vision.gallery.Gallery",
    ]
    with pytest.raises(ModelFileError, match=r"types that are not trusted: \['metaskl_vision"):
        load(file)
    found = load(file, trusted=own).similarity(X)
    np.testing.assert_allclose(found, known.similarity(X), rtol=1e-6)


def test_a_gallery_with_a_frozen_embedding_may_be_cloned():
    X, y = np.repeat([0.0, 4.0, 8.0], 6).reshape(18, 1, 1, 1), np.repeat(list("abc"), 6)
    X = np.concatenate([X, np.random.default_rng(0).random((18, 1, 1, 1))], axis=3)
    embedding = make_pipeline(flatten_pictures(), PCA(1)).fit(X)
    gallery = Gallery(FrozenEstimator(embedding), metric="euclidean")
    assert cross_val_score(gallery, X, y, cv=3).tolist() == [1.0, 1.0, 1.0]


def test_a_person_of_one_kind_of_trials_has_no_rates():
    trials = pd.DataFrame(
        {"claimed": ["ann", "ann", "bob"], "same": [True, False, False], "similarity": 0.5,
         "threshold": 0.5, "accepted": True}
    )  # fmt: skip
    with pytest.raises(ParameterError, match=r"of each person claimed.* one kind of \['bob'\]"):
        verification_report(trials)
    with pytest.raises(ParameterError, match=r"one kind of \[\]"):
        verification_report(trials[:0])


def test_a_single_name_is_no_claim_for_each_picture():
    known = gallery().fit(np.zeros((2, 1, 1, 1)), ["ann", "bob"])
    with pytest.raises(SupportError, match=r"each of the 2 pictures, got names of shape \(\)"):
        known.verify(np.zeros((2, 1, 1, 1)), "ann")
