"""The suite of speed itself: that it runs, that it counts right, and that its checks can fail."""

import sys

import numpy as np
import pytest
import torch

from speed.__main__ import main
from speed.options import Options
from speed.packages import use_learn2learn
from speed.peers import CLONE, ROWS, made
from speed.problems import Problem, in_double, same_gradients
from speed.timing import Row, interleaved, middle, ratios, table
from speed.workloads import WORKLOADS

QUICK = Options(quick=True, compiled=False)


@pytest.mark.parametrize("name", ["gradients", "sequences", "predicting"])
def test_a_workload_prints_its_table(name, capsys):
    WORKLOADS[name](QUICK)
    printed = capsys.readouterr().out
    assert "times as fast" in printed
    assert "metaskl, " in printed or "MAMLRegressor" in printed


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
