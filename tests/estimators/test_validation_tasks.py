import numpy as np
import pytest

from metaskl import ProtoNetClassifier, RidgeHeadRegressor
from metaskl.backbones import MLP
from metaskl.errors import TaskError
from metaskl.estimators import base
from metaskl.estimators.training import split_validation
from metaskl.tasks import LinearTasks, TaskSet

LINES = LinearTasks(n_features=2).sample(30, 8, random_state=0)
QUICK = {"max_epochs": 1, "steps_per_epoch": 1, "backbone": MLP((4,)), "random_state": 0}


@pytest.fixture
def splits(monkeypatch):
    """Record the ids on both sides of every split."""
    seen = []

    def recorded(tasks, units, *rest):
        train, validation, below = split_validation(tasks, units, *rest)
        by_id = dict(zip(tasks.task_ids.tolist(), units.tolist(), strict=True))
        seen.append([{by_id[t] for t in side.task_ids.tolist()} for side in (train, validation)])
        return train, validation, below

    monkeypatch.setattr(base, "split_validation", recorded)
    return seen


def rows_of(*tasks):
    return np.isin(LINES.groups, tasks)


def test_further_training_keeps_the_same_tasks_apart_whatever_else_it_brings(splits):
    meta = RidgeHeadRegressor(validation_fraction=0.3, **QUICK)
    for start in (0, 5, 10):
        rows = rows_of(*range(start, start + 20))
        meta.partial_fit(LINES.X[rows], LINES.y[rows], groups=LINES.groups[rows])
    trained = set().union(*(train for train, _ in splits))
    watched = set().union(*(validation for _, validation in splits))
    assert len(splits[0][1]) == 6
    assert len(trained | watched) == 30
    assert trained & watched == set()


def test_private_classes_are_kept_apart_by_their_names(splits):
    meta = ProtoNetClassifier(label_space="task", n_way=2, validation_fraction=0.3, **QUICK)
    y = np.char.add("class ", (LINES.groups % 10).astype(str))
    for first, last in ((0, 25), (5, 30)):  # the numbers of classes move, their names do not
        rows = rows_of(*range(first, last))
        parents = LINES.groups[rows] // 10
        meta.partial_fit(LINES.X[rows], y[rows], groups=parents if first else None)
    assert all(" class " in name for name in splits[0][0])
    assert splits[1][0] | splits[1][1] == {"0", "1", "2"}  # whole parents, within one each


def test_the_share_is_that_asked_for_and_the_seed_chooses():
    tasks = TaskSet.from_arrays(LINES.X, LINES.y[:, None], LINES.groups)
    names = tasks.task_ids.astype(str)
    sides = [
        set(split_validation(tasks, names, 1, 0.2, seed, None)[1].task_ids) for seed in range(3)
    ]
    assert [len(side) for side in sides] == [6, 6, 6]
    assert sides[0] != sides[1] != sides[2]


def test_a_side_without_tasks_is_refused():
    meta = RidgeHeadRegressor(validation_fraction=0.3, **QUICK)
    meta.fit(LINES.X, LINES.y, groups=LINES.groups)
    tasks = TaskSet.from_arrays(LINES.X, LINES.y[:, None], LINES.groups)
    kept = split_validation(tasks, tasks.task_ids.astype(str), 1, 0.3, meta.seed_, None)[1]
    rows = rows_of(*kept.task_ids.tolist())
    with pytest.raises(TaskError, match="got only tasks kept for it since the first fit"):
        meta.partial_fit(LINES.X[rows], LINES.y[rows], groups=LINES.groups[rows])
    with pytest.raises(TaskError, match="got none of the tasks kept for it"):
        meta.partial_fit(LINES.X[~rows], LINES.y[~rows], groups=LINES.groups[~rows])
