import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from metaskl.search.meta_features import between_share, distance, meta_features
from metaskl.tasks import BlobTasks, LinearTasks


def test_share_between_tasks_by_hand():
    # Two tasks of two rows: means 1 and 5, mean squares between 16 and within 2 (each task has
    # the deviations -1 and 1), so the variance between is (16 - 2) / 2 = 7, of 7 + 2 in all.
    values, ids = np.array([0.0, 2.0, 4.0, 6.0]), np.array([0, 0, 1, 1])
    assert between_share(values, ids) == pytest.approx(7 / 9)
    assert between_share(values, np.array([0, 1, 1, 0])) == 0.0  # equal means: below 0 is 0
    assert between_share(np.array([1.0, 1.0, 3.0, 3.0]), ids) == 1.0
    assert between_share(values, np.zeros(4, int)) == 0.0  # of one task nothing can be said
    assert between_share(np.ones(4), ids) == 0.0


def test_counts_and_balance_by_hand():
    X = np.random.default_rng(0).normal(size=(1000, 10))
    y = np.repeat(["a", "b", "b", "b"], 250)
    found = meta_features(X, y, np.arange(1000) % 10, kind="classification")
    assert found["tasks"] == 1.0
    assert found["rows"] == 2.0
    assert found["unequal"] == 0.0
    assert found["features"] == 1.0
    assert found["classes"] == pytest.approx(np.log10(2), abs=1e-6)
    # A quarter against three quarters: 0.8113 bits of the 1 bit of equal classes.
    assert found["balance"] == pytest.approx(0.8113, abs=1e-4)


def test_landmarkers_know_who_wins():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 20)
    X = rng.normal(size=(800, 2))
    line = X @ [1.0, -1.0]
    shift = 3.0 * rng.normal(size=40)[groups]
    same = meta_features(X, line, groups, kind="regression")
    moved = meta_features(X, line + shift, groups, kind="regression")
    assert same["pooled"] > 0.95
    assert moved["shifted"] > 0.9
    assert moved["pooled"] < moved["alone"] < moved["shifted"]
    slopes = rng.normal(size=(40, 2))[groups]
    own = meta_features(X, (X * slopes).sum(axis=1), groups, kind="regression")
    assert own["alone"] > own["pooled"]


def test_private_classes_are_told_apart_by_the_nearest_mean():
    blobs = BlobTasks().sample(20, 40, random_state=0)
    found = meta_features(blobs.X, blobs.y, blobs.groups, kind="classification", n_way=2)
    assert found["alone"] > 0.3
    assert found["pooled"] == found["target_between"] == 0.0


@pytest.mark.parametrize(
    "change",
    [
        csr_matrix,
        lambda X: pd.DataFrame(X).assign(text="a").iloc[:, :3],
        lambda X: X.reshape(-1, 1, 3),
        lambda X: X.astype(object),
    ],
)
def test_any_container_says_the_same(change):
    lines = LinearTasks().sample(20, 10, random_state=0)
    plain = meta_features(lines.X, lines.y, lines.groups, kind="regression")
    assert meta_features(change(lines.X), lines.y, lines.groups, kind="regression") == plain


def test_text_gaps_and_constants_are_no_obstacle():
    lines = LinearTasks().sample(20, 10, random_state=0)
    frame = pd.DataFrame({"a": lines.X[:, 0], "b": 1.0, "c": np.nan, "d": "x"})
    frame.loc[3, "a"] = np.nan
    found = meta_features(frame, lines.y, lines.groups, kind="regression")
    assert found["features"] == pytest.approx(np.log10(4), abs=1e-6)
    assert all(np.isfinite(value) for value in found.values())
    texts = np.full((200, 3), "word")
    assert np.isfinite(
        list(meta_features(texts, lines.y, lines.groups, kind="regression").values())
    ).all()


def test_distance_is_euclidean_and_a_missing_feature_counts_one():
    assert distance({"a": 1.0, "b": 5.0}, {"a": 4.0, "b": 1.0}) == 5.0
    assert distance({"a": 1.0}, {"a": 1.0, "b": 7.0}) == 1.0


def test_a_second_sample_of_a_family_is_nearer_than_another_family():
    def of(family, seed, kind):
        tasks = family.sample(60, 20, random_state=seed)
        return meta_features(tasks.X, tasks.y, tasks.groups, kind=kind)

    lines, more = (of(LinearTasks(), seed, "regression") for seed in (0, 1))
    blobs = of(BlobTasks(), 0, "classification")
    assert distance(lines, more) < 0.3 < distance(lines, blobs)
