import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin

from metaskl.errors import TaskError
from metaskl.evaluation import episode_scores
from metaskl.evaluation.draws import check_n_shot, draw_classes, draw_rows, fewest_ways

ONE_EPISODE = {"n_way": 2, "n_repeats": 1, "random_state": 0}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 3))
def test_support_and_query_never_share_a_row(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for draw in draw_rows(groups, (1, 3, 10), n_repeats=2, random_state=seed):
        assert not set(draw.support) & set(draw.query)
        assert (groups[np.concatenate([draw.support, draw.query])] == draw.task).all()
        assert len(draw.support) == draw.n_shot
        assert len(draw.query) >= np.ceil(sizes[draw.task] / 4)


def test_smaller_supports_are_part_of_larger_ones_and_the_query_is_the_same():
    draws = draw_rows(np.zeros(30, int), (2, 5, 20), n_repeats=1, random_state=0)
    small, middle, large = draws
    assert set(small.support) < set(middle.support) < set(large.support)
    assert small.query.tolist() == middle.query.tolist() == large.query.tolist()
    assert len(large.query) == 10


def test_a_task_too_small_for_a_shot_count_is_left_out_there():
    groups = np.repeat(["big", "small", "single"], [40, 8, 1])
    found = [(d.task, d.n_shot) for d in draw_rows(groups, (5, 10), n_repeats=1, random_state=0)]
    assert found == [("big", 5), ("big", 10), ("small", 5)]


def test_a_tasks_draw_does_not_depend_on_the_other_tasks():
    alone = draw_rows(np.repeat(["a"], 20), (5,), n_repeats=2, random_state=3)
    beside = draw_rows(np.repeat(["a", "b"], [20, 9]), (5,), n_repeats=2, random_state=3)
    for one, other in zip(alone, [d for d in beside if d.task == "a"], strict=True):
        assert one.support.tolist() == other.support.tolist()


def test_fractions_count_the_tasks_own_rows():
    draws = draw_rows(np.repeat([0, 1], [40, 8]), (0.5,), n_repeats=1, random_state=0)
    assert [len(draw.support) for draw in draws] == [20, 4]


def test_three_quarters_fit_a_task_of_any_size():
    for n_rows in range(2, 60):
        draws = draw_rows(np.zeros(n_rows, int), (0.75,), n_repeats=1, random_state=0)
        assert [len(d.support) + len(d.query) for d in draws] == [n_rows]


def test_class_draws_hold_the_same_number_of_each_class():
    y = np.tile(np.repeat(np.arange(6), 5), 2)
    groups = np.repeat(["x", "y"], 30)
    for draw in draw_classes(y, groups, (1, 3), n_way=4, n_repeats=2, random_state=0):
        classes, counts = np.unique(y[draw.support], return_counts=True)
        assert len(classes) == 4
        assert (counts == draw.n_shot).all()
        assert set(y[draw.query]) == set(classes)
        assert not set(draw.support) & set(draw.query)


def test_supports_are_in_no_order():
    groups = np.zeros(200, int)
    (draw,) = draw_rows(groups, (100,), n_repeats=1, random_state=0)
    assert 30 < (np.diff(draw.support) > 0).sum() < 70
    (draw,) = draw_classes(groups + np.arange(200) % 2, groups, (50,), **ONE_EPISODE)
    assert 30 < (np.diff(draw.support % 2) != 0).sum() < 70  # class after class it is one


class Presented(ClassifierMixin, BaseEstimator):
    """What keeps the supports that it is given, and predicts nothing of use."""

    def adapt(self, X, y):
        """Keep the order of the classes."""
        self.orders_ = [*getattr(self, "orders_", []), list(y)]
        return self

    def predict(self, X):
        """Predict one class."""
        return np.zeros(len(X))


def test_episodes_are_presented_in_no_order():
    presented = Presented()
    X, y = np.zeros((60, 1)), np.repeat(np.arange(6), 10)
    episode_scores(presented, X, y, n_way=3, n_shot=4, n_query=2, n_episodes=20)
    runs = [np.count_nonzero(np.diff(order)) for order in presented.orders_]
    assert len(runs) == 20
    assert min(runs) > 2  # class after class there are two changes
    assert all(sorted(np.unique(o, return_counts=True)[1]) == [4, 4, 4] for o in presented.orders_)


def test_class_draws_leave_out_the_shot_counts_that_are_too_large():
    y = np.repeat(np.arange(4), [9, 9, 9, 3])  # three classes of nine rows, one of three
    found = draw_classes(y, np.zeros(30, int), (2, 5, 20), n_way=3, n_repeats=1, random_state=0)
    assert [draw.n_shot for draw in found] == [2, 5]
    assert len(found[0].query) == len(found[1].query) == 3 * 4


def test_all_classes_of_a_task_that_have_rows_to_spare_are_drawn():
    y = np.repeat(np.arange(9), [4, 4, 4, 2, 4, 4, 4, 1, 1])
    groups = np.repeat(["four", "three", "one"], [14, 12, 2])
    groups[13] = "three"  # of its second row
    found = draw_classes(y, groups, (1, 3), n_way="all", n_repeats=1, random_state=0)
    drawn = {(d.task, d.n_shot): set(y[d.support]) for d in found}
    assert drawn[("four", 3)] == drawn[("four", 1)] == {0, 1, 2}
    assert drawn[("three", 3)] == drawn[("three", 1)] == {4, 5, 6}
    assert len(drawn) == 4


def test_ways_are_a_number_or_all():
    with pytest.raises(TaskError, match=r"n_way must be a number of classes or 'all', got 'every'"):
        fewest_ways("every")
    with pytest.raises(TaskError, match=r"n_way must be a whole number, at least 2, got 1"):
        fewest_ways(1)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, (5, 0), "5", (), True, (5, "10"), None])
def test_shot_counts_must_be_positive_numbers(wrong):
    with pytest.raises(TaskError, match=r"n_shot must hold"):
        check_n_shot(wrong, fractions=True)


def test_a_shot_count_that_is_given_twice_counts_once():
    assert check_n_shot((5, 0.5, 5, 0.5), fractions=True) == (5, 0.5)


def test_fractions_are_for_held_out_rows_only():
    assert check_n_shot(0.5, fractions=True) == (0.5,)
    with pytest.raises(TaskError, match=r"at least 1, got 0\.5"):
        check_n_shot(0.5, fractions=False)
