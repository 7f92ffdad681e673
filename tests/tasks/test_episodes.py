import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaskl.errors import TaskError
from metaskl.tasks import ClassEpisodes, TaskEpisodes, TaskSet
from metaskl.tasks.rows import draw_rows, is_sorted, sort_numbers

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=6).filter(lambda s: max(s) >= 2)


def numbered(sizes, parents=None):
    """Make tasks in which the only feature is the number of the row, and the target the task's."""
    ids = np.repeat(np.arange(len(sizes)), sizes)
    rows = 1.0 + np.arange(len(ids), dtype=float)[:, None]
    parents = None if parents is None else np.repeat(parents, sizes)
    return TaskSet.from_arrays(rows, ids, ids, parents=parents)


def rows_of(episode, task):
    """Return the numbers of a task's support and query rows, without padding."""
    return [
        X[task, weight[task] > 0, 0].int().tolist()
        for X, weight in (
            (episode.X_support, episode.weight_support),
            (episode.X_query, episode.weight_query),
        )
    ]


def sizes_of(size, n_shot, n_query):
    """Return how many rows a task gives: one third, or at least one, is kept for the query."""
    n_support = min(n_shot, size - min(n_query, max(size // 3, 1)))
    return n_support, min(n_query, size - n_support)


@given(SIZES, st.integers(1, 8), st.integers(1, 8), st.integers(1, 9), st.integers(0, 2**31))
def test_support_and_query_never_share_a_row(sizes, n_shot, n_query, meta_batch_size, seed):
    draw = {"n_shot": n_shot, "n_query": n_query, "meta_batch_size": meta_batch_size}
    sampler = TaskEpisodes(numbered(sizes), **draw, random_state=seed)
    for _ in range(3):
        episode = sampler.sample()
        assert len(episode.X_support) == meta_batch_size
        drawn = []
        for t in range(meta_batch_size):
            support, query = rows_of(episode, t)
            assert len({*support, *query}) == len(support) + len(query)
            (task,) = {*episode.y_support[t, episode.weight_support[t] > 0, 0].int().tolist()} | {
                *episode.y_query[t, episode.weight_query[t] > 0, 0].int().tolist()
            }
            drawn.append(task)
            assert (len(support), len(query)) == sizes_of(sizes[task], n_shot, n_query)
            first = 1 + sum(sizes[:task])
            assert {*support, *query} <= set(range(first, first + sizes[task]))
        if meta_batch_size <= sum(size >= 2 for size in sizes):
            assert len(set(drawn)) == len(drawn), "a task stands twice in a meta-batch"


def test_padding_is_zero():
    episode = TaskEpisodes(numbered([2, 9]), n_shot=4, meta_batch_size=2, random_state=0).sample()
    for X, y, weight in (episode[:3], episode[3:6]):
        assert X[weight == 0].abs().sum() == 0
        assert y[weight == 0].abs().sum() == 0


def test_tasks_of_two_rows_give_one_row_on_each_side():
    episode = TaskEpisodes(numbered([2] * 4), meta_batch_size=4, random_state=0).sample()
    assert episode.X_support.shape == episode.X_query.shape == (4, 1, 1)
    assert bool((episode.X_support != episode.X_query).all())


@pytest.mark.parametrize(
    ("size", "n_support", "n_query"), [(2, 1, 1), (3, 2, 1), (6, 4, 2), (9, 5, 4), (50, 5, 10)]
)
def test_small_tasks_keep_a_third_for_the_query(size, n_support, n_query):
    sampler = TaskEpisodes(numbered([size]), n_shot=5, n_query=10, meta_batch_size=1)
    episode = sampler.sample()
    assert (episode.X_support.shape[1], episode.X_query.shape[1]) == (n_support, n_query)


def test_tasks_of_one_row_are_left_out():
    sampler = TaskEpisodes(numbered([1, 5, 1]), n_shot=2, meta_batch_size=3, random_state=0)
    assert set(sampler.sample().y_query[..., 0].flatten().int().tolist()) == {1}
    with pytest.raises(TaskError, match=r"at least 2 rows .* got 3 task\(s\) of one row each"):
        TaskEpisodes(numbered([1, 1, 1]))


def test_every_row_and_task_is_drawn_equally_often():
    sampler = TaskEpisodes(numbered([4, 4]), n_shot=1, n_query=1, meta_batch_size=1, random_state=0)
    drawn = [rows_of(sampler.sample(), 0) for _ in range(2000)]
    counts = np.bincount(np.ravel(drawn), minlength=9)[1:]
    # Each of the 8 rows: 4000 / 8 = 500, with a standard deviation below 22.
    assert counts.min() > 400
    assert counts.max() < 600


def test_a_range_of_shots_is_drawn_anew():
    sampler = TaskEpisodes(numbered([20] * 3), n_shot=(2, 4), meta_batch_size=3, random_state=0)
    widths = {sampler.sample().X_support.shape[1] for _ in range(50)}
    assert widths == {2, 3, 4}


def test_large_tasks_are_drawn_without_repetition():
    # Above 4096 rows another way of drawing is taken, for small tasks beside them too.
    sampler = TaskEpisodes(
        numbered([6000, 3, 20]), n_shot=30, n_query=40, meta_batch_size=3, random_state=0
    )
    for _ in range(20):
        episode = sampler.sample()
        for t in range(3):
            support, query = rows_of(episode, t)
            assert len({*support, *query}) == len(support) + len(query)


@pytest.mark.parametrize("n_draw", [2, 5])
def test_few_of_many_rows_are_drawn_equally_often_in_any_order(n_draw):
    # 300 units of 100 rows are drawn by chance, a tenth of them anew for repeats among 5 rows, and
    # not by sorting 30,000 keys.
    assert not is_sorted(300, 100, 100, n_draw)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([draw_rows(rng, np.full(300, 100), n_draw) for _ in range(40)])
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    for column in drawn.T:  # 12,000 draws of 100 rows: 120 each, with a deviation of 11
        counts = np.bincount(column, minlength=100)
        assert len(counts) == 100
        assert ((counts > 65) & (counts < 175)).all()


def test_numbers_are_sorted_by_their_keys():
    keys = np.random.default_rng(0).random((30, 2, 50))
    keys[0, 0, :3] = [0.0, 2.0, 1e-300]
    expected = keys.argsort(axis=-1)
    assert np.array_equal(sort_numbers(keys), expected)
    wide = np.random.default_rng(0).random((2, 5000))  # more than the last bits can number
    assert np.array_equal(sort_numbers(wide.copy()), wide.argsort(axis=-1))


@pytest.mark.parametrize(
    "bad",
    [{"n_shot": 0}, {"n_query": 0}, {"meta_batch_size": 0}, {"n_shot": (3, 2)}, {"n_shot": (0, 2)}],
)
def test_other_sizes_are_refused(bad):
    with pytest.raises(TaskError, match="must be at least 1 and a range of n_shot must ascend"):
        TaskEpisodes(numbered([5, 5]), **bad)


def test_a_seed_decides_and_a_state_goes_on():
    def sampler():
        return TaskEpisodes(numbered([9, 5, 3]), n_shot=(1, 3), meta_batch_size=2, random_state=7)

    first, second = sampler(), sampler()
    for _ in range(3):
        for one, other in zip(first.sample()[:6], second.sample()[:6], strict=True):
            assert torch.equal(one, other)
    state = json.loads(json.dumps(first.state_dict()))  # it survives a text file
    third = sampler()
    third.load_state_dict(state)
    expected = first.sample()
    assert all(map(torch.equal, third.sample()[:6], expected[:6]))
    assert torch.equal(next(iter(third)).X_query, first.sample().X_query)


class TestClassEpisodes:
    @given(
        st.lists(st.integers(1, 7), min_size=4, max_size=9),
        st.integers(2, 3),
        st.booleans(),
        st.integers(0, 2**31),
    )
    def test_ways_are_classes_with_their_own_rows(self, sizes, n_way, within, seed):
        parents = np.arange(len(sizes)) % 2
        tasks = numbered(sizes, parents)
        pools = [[c for c in range(len(sizes)) if sizes[c] >= 2]]
        if within:
            pools = [[c for c in pools[0] if parents[c] == p] for p in (0, 1)]
        draw = {"n_shot": 2, "n_query": 3, "meta_batch_size": 4, "random_state": seed}
        if max(map(len, pools)) < n_way:
            with pytest.raises(TaskError, match=f"got n_way={n_way} where there are"):
                ClassEpisodes(tasks, n_way=n_way, within_parent=within, **draw)
            return
        episode = ClassEpisodes(tasks, n_way=n_way, within_parent=within, **draw).sample()
        for t in range(4):
            ways = episode.ways[t].tolist()
            assert len(set(ways)) == n_way
            assert any(set(ways) <= set(pool) for pool in pools)
            support, query = rows_of(episode, t)
            assert len({*support, *query}) == len(support) + len(query)
            for way, number in enumerate(ways):
                own = {
                    "support": _rows_of_way(episode.X_support, episode.y_support, t, way),
                    "query": _rows_of_way(episode.X_query, episode.y_query, t, way),
                }
                first = 1 + sum(sizes[:number])
                assert {*own["support"], *own["query"]} <= set(range(first, first + sizes[number]))
                assert tuple(map(len, own.values())) == sizes_of(sizes[number], 2, 3)

    def test_rows_are_one_hot_and_padding_is_not(self):
        draw = {"n_shot": 3, "n_query": 1, "meta_batch_size": 2, "random_state": 0}
        episode = ClassEpisodes(numbered([2, 5, 5]), n_way=3, **draw).sample()
        assert torch.equal(episode.y_support.sum(-1), episode.weight_support)
        assert torch.equal(episode.y_query.sum(-1), episode.weight_query)

    def test_a_support_in_random_order_is_the_same_support(self):
        draw = {"n_way": 3, "n_shot": 4, "n_query": 2, "meta_batch_size": 8, "random_state": 0}
        tasks = numbered([2, 9, 9, 9])
        episode = ClassEpisodes(tasks, shuffle=True, **draw).sample()
        in_order = ClassEpisodes(tasks, **draw).sample()
        assert torch.equal(episode.ways, in_order.ways)
        assert torch.equal(episode.X_query, in_order.X_query)
        for t in range(8):
            assert sorted(rows_of(episode, t)[0]) == sorted(rows_of(in_order, t)[0])
            assert rows_of(episode, t)[0] != rows_of(in_order, t)[0]
            for way in range(3):
                own = [_rows_of_way(e.X_support, e.y_support, t, way) for e in (episode, in_order)]
                assert sorted(own[0]) == sorted(own[1])
        assert torch.equal(episode.y_support.sum(-1), episode.weight_support)

    def test_which_label_a_class_has_is_drawn_anew(self):
        sampler = ClassEpisodes(numbered([5] * 3), n_way=3, meta_batch_size=600, random_state=0)
        counts = torch.bincount(sampler.sample().ways[:, 0], minlength=3)
        # Each class leads in 600 / 3 = 200 episodes, with a standard deviation below 12.
        assert counts.min() > 150

    def test_more_ways_than_classes_are_refused(self):
        with pytest.raises(TaskError, match=r"n_way=3 where there are 2\. Lower n_way"):
            ClassEpisodes(numbered([2, 2, 1]), n_way=3)
        with pytest.raises(TaskError, match="within one group, got n_way=2 where there are 1"):
            ClassEpisodes(numbered([2, 2], parents=[0, 1]), n_way=2, within_parent=True)
        with pytest.raises(TaskError, match="n_way must be at least 2"):
            ClassEpisodes(numbered([2, 2]), n_way=1)

    def test_a_state_goes_on(self):
        first, second = (
            ClassEpisodes(numbered([4] * 6), n_way=2, meta_batch_size=2, random_state=s)
            for s in (0, 1)
        )
        first.sample()
        second.load_state_dict(first.state_dict())
        expected, found = first.sample(), second.sample()
        assert torch.equal(found.ways, expected.ways)
        assert torch.equal(found.X_query, expected.X_query)


def _rows_of_way(X, y, task, way):
    return X[task, y[task, :, way] > 0, 0].int().tolist()


@pytest.mark.parametrize(
    ("sizes", "n_shot", "at_once"),
    [([6] * 40, 3, True), ([6] * 40, (2, 3), False), ([6] * 39 + [5], 3, False), ([6], 3, False)],
)
def test_a_stream_is_what_single_draws_are(sizes, n_shot, at_once):
    draw = {"n_shot": n_shot, "n_query": 2, "meta_batch_size": 4, "random_state": 0}
    one, many = (TaskEpisodes(numbered(sizes), **draw) for _ in range(2))
    streamed = list(many.stream(75))
    assert len(streamed) == 75
    for episode in streamed:
        expected = one.sample()
        for part, known in zip(episode[:6], expected[:6], strict=True):
            assert torch.equal(part, known)
            assert part.is_contiguous()
    assert one.state_dict() == many.state_dict()
    own = streamed[0].X_support.untyped_storage().nbytes()
    assert (own > streamed[0].X_support.nbytes) is at_once
