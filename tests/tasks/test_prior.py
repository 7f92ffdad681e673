import numpy as np
import pytest
import torch

from metaskl.errors import TaskError
from metaskl.tasks import LinearTasks, TaskSet
from metaskl.tasks.prior import PriorEpisodes, random_functions

ROWS = LinearTasks(n_features=4).sample(10, 20, random_state=0).task_set()
DRAW = {"n_shot": (3, 6), "n_query": 7, "meta_batch_size": 5, "random_state": 0}


def test_numbers():
    episode = PriorEpisodes(ROWS, kind="regression", n_outputs=2, **DRAW).sample()
    assert 3 <= episode.X_support.shape[1] <= 6
    assert episode.X_query.shape == (5, 7, 4)
    assert episode.y_query.shape == (5, 7, 2)
    assert episode.y_query.dtype == episode.X_query.dtype == ROWS.X.dtype
    known = {tuple(row) for row in ROWS.X.tolist()}
    assert {tuple(row) for row in episode.X_query.flatten(0, 1).tolist()} <= known


def test_shared_classes():
    episode = PriorEpisodes(ROWS, kind="classification", n_outputs=3, **DRAW).sample()
    assert episode.y_query.sum(-1).eq(1).all()
    assert episode.weight_query.eq(1).all()


def test_private_classes_count_rows_by_class_and_ask_for_known_ones_only():
    prior = PriorEpisodes(
        ROWS, kind="classification", n_outputs=4, private_labels=True, **{**DRAW, "n_shot": 1}
    )
    episodes = [prior.sample() for _ in range(20)]
    assert episodes[0].X_support.shape[1] == 4
    assert episodes[0].X_query.shape[1] == 28
    hidden = 0
    for episode in episodes:
        seen = episode.y_support.sum(1)
        for task in range(5):
            label = episode.y_query[task].argmax(-1)
            expected = (seen[task][label] > 0).float()
            assert torch.equal(episode.weight_query[task].float(), expected)
            hidden += int((expected == 0).sum())
    assert hidden > 0


def test_draws_go_on_from_a_state():
    prior = PriorEpisodes(ROWS, kind="regression", n_outputs=1, **DRAW)
    prior.sample()
    state = prior.state_dict()
    expected = prior.sample()
    prior.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(prior.sample()[:6], expected[:6], strict=True))


def test_functions_are_standardised_and_depend_on_the_row_alone():
    X = np.random.default_rng(0).normal(size=(40, 30, 3))
    X[:, 1] = X[:, 0]
    values = random_functions(X, 2, np.random.default_rng(1))
    assert values.shape == (40, 30, 2)
    np.testing.assert_allclose(values.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(values.std(1), 1, atol=1e-6)
    np.testing.assert_allclose(values[:, 1], values[:, 0], atol=1e-9)


def test_some_functions_are_linear_and_some_are_not():
    X = np.random.default_rng(0).normal(size=(60, 30, 3))
    values = random_functions(X, 1, np.random.default_rng(1))[..., 0]
    design = np.concatenate([X, np.ones((60, 30, 1))], axis=2)
    errors = [
        np.linalg.lstsq(D, v, rcond=None)[1][0] / 30 for D, v in zip(design, values, strict=True)
    ]
    assert 10 < np.sum(np.array(errors) < 1e-9) < 40  # a third of sixty, but for chance


def test_pictures_have_no_columns():
    pictures = TaskSet.from_arrays(np.zeros((4, 1, 8, 8)), np.zeros(4), [0, 0, 1, 1])
    with pytest.raises(TaskError, match="prior_tasks must be 0 unless the rows are a table"):
        PriorEpisodes(pictures, kind="regression", n_outputs=1)
