"""The suite of speed itself: that it runs, that it counts right, and that its checks can fail."""

import sys

import numpy as np
import pytest
import torch

from speed.__main__ import main
from speed.arithmetic import operations
from speed.options import Options
from speed.packages import use_learn2learn
from speed.peers import CLONE, ROWS, made
from speed.pictures import Pictures
from speed.problems import Problem, in_double, same_gradients
from speed.timing import Row, interleaved, middle, ratios, table
from speed.workloads import WORKLOADS

QUICK = Options(quick=True, compiled=False)


@pytest.mark.parametrize("name", ["gradients", "learners", "sequences", "predicting"])
def test_a_workload_prints_its_table(name, capsys):
    WORKLOADS[name](QUICK)
    printed = capsys.readouterr().out
    assert "times as fast" in printed
    assert any(name in printed for name in ("metaskl, ", "MAMLRegressor", "FOMAML"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", "pictures", "--device", "cuda"])
    with pytest.raises(SystemExit):
        main()
    assert "--device cuda needs a CUDA device" in capsys.readouterr().err


def test_pictures_of_others_are_of_the_same_network_in_the_usual_layout():
    problem = Pictures(n_channels=8, n_query=2)
    network, own = problem.network(), problem.learner("loop").network
    assert all(p.is_contiguous() for p in network.parameters())
    X = problem.sampler().sample().X_query[0]
    torch.testing.assert_close(network(X), own(X))


def test_pictures_are_drawn_class_by_class_without_a_row_twice():
    problem = Pictures(n_channels=8, n_query=2)
    X, y, u, v = problem.stack(np.random.default_rng(0))
    assert X.shape == (2, 5, 1, 28, 28)
    assert u.shape == (2, 10, 1, 28, 28)
    assert (v.argmax(-1) == np.repeat(np.arange(5), 2)).all()
    assert (y.argmax(-1) == np.arange(5)).all()
    assert len(np.unique(np.concatenate([X[0], u[0]]), axis=0)) == 15


def test_operations_are_counted():
    A = torch.ones(8, 4)
    assert operations(lambda: A @ A.T) == 2 * 8 * 4 * 8


def test_rows_that_disagree_are_refused():
    problem = Problem(n_tasks=2)
    rows = made(problem, torch.float64, {CLONE: ROWS[CLONE], "twice the rate": ROWS[CLONE]})
    rows["twice the rate"].problem = Problem(n_tasks=2, rate=0.02)
    with pytest.raises(AssertionError, match="twice the rate"):
        same_gradients(rows, in_double(problem.sampler().sample()))


def test_peers_draw_distinct_rows_of_distinct_tasks():
    problem = Problem(n_tasks=5, n_shot=3, n_query=4)
    row = made(problem, torch.float32, {CLONE: ROWS[CLONE]})[CLONE]
    drawn = [torch.cat([X, u]) for X, _, u, _ in row.sample()]
    assert [len(rows.unique()) for rows in drawn] == [7] * 5
    row.train(2)
    assert all(np.isfinite(g).all() for g in row.gradients())


def test_ratios_are_taken_within_a_round():
    times = {"slow": [4.0, 6.0, 30.0], "fast": [2.0, 2.0, 3.0]}
    assert ratios(times, "fast") == [2.0, 3.0, 10.0]
    assert ratios(times, "slow", reference="fast") == [0.5, 1 / 3, 0.1]
    assert middle([2.0, 3.0, 10.0]) == "3 | 2.5 to 6.5"
    assert "| fast | 3 | 2.5 to 6.5 | 2e+03 |" in table("of something", times)


def test_every_round_runs_every_row():
    calls = []
    rows = [Row("a", lambda: sum(range(1000))), Row("b", lambda: calls.append(0), count=10)]
    times = interleaved(rows, 3)
    assert {name: len(own) for name, own in times.items()} == {"a": 3, "b": 3}
    assert (len(calls) - 2) % 3 == 0


def test_no_rounds_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", "predicting", "--rounds", "0"])
    with pytest.raises(SystemExit):
        main()
    assert "--rounds must be at least 1, got 0" in capsys.readouterr().err


def test_a_folder_without_learn2learn_is_told(tmp_path):
    with pytest.raises(SystemExit, match="holds no learn2learn"):
        use_learn2learn(tmp_path)
