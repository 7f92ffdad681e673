import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaskl.errors import GroupsError, TaskError
from metaskl.tasks import TaskSet, check_groups, pad_tasks, resolve_groups, split_tasks

IDS = st.lists(st.sampled_from(["a", "b", "c", "dd", ""]), min_size=1, max_size=30)


@given(IDS)
def test_rows_lie_side_by_side_by_task_and_keep_their_order(ids):
    X = np.arange(len(ids), dtype=float)[:, None]
    tasks = TaskSet.from_arrays(X, 10 * X[:, 0], ids)
    assert tasks.task_ids.tolist() == sorted(set(ids))
    assert tasks.offsets.tolist() == [0, *np.cumsum(tasks.sizes)]
    for number, name in enumerate(tasks.task_ids):
        expected = [i for i, own in enumerate(ids) if own == name]
        rows, targets = tasks.task(number)
        assert rows[:, 0].tolist() == expected
        assert targets[:, 0].tolist() == [10 * i for i in expected]
        first, last = tasks.offsets[number : number + 2]
        assert tasks.rows[first:last].tolist() == expected


@given(IDS, st.data())
def test_selected_tasks_are_those_tasks(ids, data):
    tasks = TaskSet.from_arrays(np.arange(len(ids))[:, None], np.arange(len(ids)), ids)
    chosen = data.draw(st.lists(st.integers(0, len(tasks) - 1), max_size=5, unique=True))
    part = tasks.select(np.array(chosen, dtype=int))
    assert part.task_ids.tolist() == tasks.task_ids[chosen].tolist()
    for new, old in enumerate(chosen):
        for found, expected in zip(part.task(new), tasks.task(old), strict=True):
            assert torch.equal(found, expected)
    assert part.X[:, 0].tolist() == part.rows.tolist()


def test_images_and_several_targets_keep_their_axes():
    tasks = TaskSet.from_arrays(np.zeros((4, 1, 5, 6)), np.zeros((4, 2)), [1, 0, 1, 0])
    assert tasks.X.shape == (4, 1, 5, 6)
    assert tasks.y.shape == (4, 2)
    assert tasks.to("cpu").X.device.type == "cpu"


def test_tensors_keep_their_type():
    tasks = TaskSet.from_arrays(torch.zeros(2, 1, dtype=torch.uint8), [0.0, 1.0], [0, 1])
    assert tasks.X.dtype == torch.uint8
    assert tasks.y.dtype == torch.float32


def test_a_task_has_one_parent():
    tasks = TaskSet.from_arrays(np.eye(4), np.zeros(4), [3, 1, 3, 2], parents=list("xyxx"))
    assert tasks.parents.tolist() == [1, 0, 0]
    with pytest.raises(TaskError, match=r"one parent a task, got several for 3"):
        TaskSet.from_arrays(np.eye(4), np.zeros(4), [3, 1, 3, 2], parents=list("xyyx"))


def test_a_frame_names_target_and_task():
    frame = pd.DataFrame({"x": [1.0, 2.0], "school": ["b", "a"], "score": [3.0, 4.0]})
    tasks = TaskSet.from_frame(frame, "score", "school")
    assert tasks.X[:, 0].tolist() == [2.0, 1.0]
    assert tasks.y[:, 0].tolist() == [4.0, 3.0]
    assert TaskSet.from_frame(frame, ["score", "x"], "school").y.shape == (2, 2)
    with pytest.raises(TaskError, match=r"target must name columns.*\['grade'\]"):
        TaskSet.from_frame(frame, "grade", "school")
    with pytest.raises(GroupsError, match="'shop' must be a column of X"):
        TaskSet.from_frame(frame, "score", "shop")


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_padded_tasks_hold_their_rows_and_zeros(sizes, data):
    ids = np.repeat(np.arange(len(sizes)), sizes)
    X = 1.0 + np.arange(len(ids), dtype=float)[:, None]
    tasks = TaskSet.from_arrays(X, X[:, 0], ids)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=6)))
    stack, y, weight = pad_tasks(tasks.X, tasks.y, tasks.offsets, chosen)
    assert stack.shape == (len(chosen), max(sizes[t] for t in chosen), 1)
    assert weight.sum(1).tolist() == [sizes[t] for t in chosen]
    for place, task in enumerate(chosen):
        assert torch.equal(stack[place, : sizes[task]], tasks.task(task)[0])
        assert stack[place, sizes[task] :].abs().sum() == 0
        assert y[place, sizes[task] :].abs().sum() == 0


class TestGroups:
    @pytest.mark.parametrize(
        "groups",
        [
            [2, 1, 2],
            np.array(["t2", "t1", "t2"]),
            np.array(["t2", "t1", "t2"], dtype=object),
            pd.Series(["t2", "t1", "t2"], index=[9, 8, 7]),
            pd.Categorical(["t2", "t1", "t2"]),
            np.array([[2], [1], [2]]),
            np.array([2.0, 1.0, 2.0]),
            pd.Series(["t2", "t1", "t2"], dtype="string"),
            pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
            [True, False, True],
        ],
    )
    def test_every_form_of_ids_tells_the_tasks_apart(self, groups):
        ids = check_groups(groups, 3)
        assert np.unique(ids, return_inverse=True)[1].tolist() == [1, 0, 1]

    def test_ids_of_mixed_types_are_told_apart_as_text(self):
        assert check_groups(np.array([1, "a"], dtype=object), 2).tolist() == ["1", "a"]

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ([1, 2], "one entry for each of the 3 rows of X, got 2"),
            (np.zeros((3, 2)), r"one task id a row, got an array of shape \(3, 2\)"),
            ([1.0, np.nan, 2.0], "must not hold missing values, got 1 of them"),
            (["a", None, None], "must not hold missing values, got 2 of them"),
            (pd.Series(["a", pd.NA, "b"], dtype="string"), "must not hold missing values, got 1"),
            (pd.to_datetime(["2020-01-02", None, None]), "must not hold missing values, got 2"),
        ],
    )
    def test_other_groups_are_refused(self, groups, message):
        with pytest.raises(GroupsError, match=message):
            check_groups(groups, 3)

    def test_a_column_of_a_frame_is_taken_out_of_it(self):
        frame = pd.DataFrame({"x": [1.0, 2.0], "school": ["a", "b"]})
        X, ids, column = resolve_groups(frame, "school")
        assert (list(X), ids.tolist(), column) == (["x"], ["a", "b"], "school")
        assert list(frame) == ["x", "school"]
        X, ids, column = resolve_groups(frame, None, column="school")
        assert (list(X), ids, column) == (["x"], None, "school")
        X, ids, column = resolve_groups(frame[["x"]], None, column="school")
        assert list(X) == ["x"]

    def test_a_name_needs_a_frame_that_has_it(self):
        with pytest.raises(GroupsError, match="names a column, but X is a ndarray"):
            resolve_groups(np.eye(2), "school")
        with pytest.raises(GroupsError, match=r"must be a column of X, got the columns \['x'\]"):
            resolve_groups(pd.DataFrame({"x": [1.0]}), "school")


class TestSplitTasks:
    @given(IDS.filter(lambda ids: len(set(ids)) >= 3), st.integers(0, 2**31))
    def test_no_task_is_on_two_sides_and_no_row_is_lost(self, ids, seed):
        sides = split_tasks(ids, validation=1, test=1, random_state=seed)
        names = [{ids[row] for row in side} for side in sides]
        assert sorted(np.concatenate(sides)) == list(range(len(ids)))
        assert [len(side) for side in names] == [len(set(ids)) - 2, 1, 1]
        assert len(set.union(*names)) == sum(map(len, names))

    def test_fractions_are_of_tasks_and_at_least_one(self):
        groups = np.repeat(np.arange(20), 2)
        _, validation, test = split_tasks(groups, validation=0.01, test=0.25, random_state=0)
        assert (len(validation), len(test)) == (2, 10)

    def test_the_seed_decides(self):
        groups = np.arange(50)
        first, again, other = (split_tasks(groups, test=0.5, random_state=s)[2] for s in (0, 0, 1))
        assert first.tolist() == again.tolist() != other.tolist()

    @pytest.mark.parametrize("part", [-0.1, 1.0, 1.5, -1, "half", True])
    def test_other_parts_are_refused(self, part):
        with pytest.raises(TaskError, match=r"a fraction in \[0, 1\) or a number of tasks"):
            split_tasks([1, 2, 3], test=part)

    def test_one_task_must_be_left(self):
        with pytest.raises(TaskError, match="leave at least one of the 3 tasks"):
            split_tasks([1, 2, 3], validation=1, test=2)
