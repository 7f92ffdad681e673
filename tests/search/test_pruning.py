import math

import numpy as np
import optuna
import pandas as pd
import pytest

from metaskl.errors import ParameterError
from metaskl.search.objective import _batches, _falls
from metaskl.search.pruning import Earlier, Rival, TaskRival, choose_pruning


def by_task(best, n_shot=None):
    """Return the rival of a trial with one draw a task."""
    n = len(best or ())
    draws = pd.DataFrame({"task": range(n), "n_shot": n_shot or [5] * n})
    return TaskRival(choose_pruning("tasks").tasks, best, draws, [1] * n)


def test_worse_on_four_tasks_of_four_is_beaten():
    # The one-sided p-value of four differences of one sign is 1/2⁴ = 0.0625 < 0.1.
    rival = by_task([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert not rival.is_beaten([0.9, 1.8, 2.7])
    assert rival.is_beaten([0.9, 1.8, 2.7, 3.6])
    # The best's mean of 3.5, less the mean gap of 0.25.
    assert rival.predicted() == pytest.approx(3.25)


def test_better_or_mixed_is_not_beaten():
    best = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert not by_task(best).is_beaten(np.add(best, 0.1).tolist())
    assert not by_task(best).is_beaten([0.9, 2.2, 2.9, 4.3, 4.9])


def test_better_on_average_is_not_beaten_whatever_its_ranks():
    # Worse on eight tasks of nine by 0.1 to 0.8, which are the ranks 1 to 8, better on one by 9:
    # 33 of the 512 sets of ranks have a sum of at most 9: p = 0.064. The mean gap is
    # (9 - 3.6) / 9 = 0.6. Optuna's own safety compares with the mean over all of the best's tasks.
    best = [1.0] * 9 + [50.0] * 9
    gaps = [-0.1 * k for k in range(1, 9)] + [9.0]
    rival = by_task(best)
    assert not rival.is_beaten([1.0 + gap for gap in gaps])
    assert rival.rival.trial.should_prune()
    assert rival.predicted() == pytest.approx(np.mean(best) + 0.6)


def test_tasks_without_a_score_are_left_out():
    rival = by_task([1.0, math.nan, 3.0, 4.0, 5.0])
    assert not rival.is_beaten([0.5, -9.0, math.nan, 3.5])
    assert sorted(rival.rival.steps) == [0, 3]


def test_gap_weighs_shot_counts_as_the_score_does():
    # Three draws of 5 rows, worse by 1, and one of 20, better by 1: a mean of 0 over shot counts.
    rival = by_task([5.0] * 4, n_shot=[5, 5, 5, 20])
    rival.is_beaten([4.0, 4.0, 4.0, 6.0])
    assert rival.gap == pytest.approx(0.0)


def test_first_trial_has_no_rival():
    assert not by_task(None).is_beaten([-1e9])


def test_any_pruner_by_epoch():
    # The median of the earlier trials' second epochs is -2.
    earlier = [Earlier({0: -3.0, 1: value}, value) for value in (-1.0, -2.0, -3.0)]
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3)
    rival = Rival(choose_pruning(pruner).epochs, earlier)
    assert not rival.is_beaten({0: -3.0})
    assert rival.is_beaten({1: -2.5})
    halving = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    rival = Rival(choose_pruning(halving).epochs, [])
    rival.is_beaten({1: -1.0})
    assert rival.system == {"completed_rung_0": -1.0}  # which later trials are shown


def test_names():
    assert choose_pruning(None).tasks is None
    assert choose_pruning("both").tasks is not None
    assert choose_pruning("both").epochs is not None
    with pytest.raises(ParameterError, match=r"pruning must be 'tasks', .* got 'task'"):
        choose_pruning("task")


def test_batches_double():
    assert [len(batch) for batch in _batches(list(range(40)))] == [5, 10, 20, 5]


def test_only_the_best_third_goes_up_a_rung():
    assert not _falls(-9.0, [1.0, 2.0])  # too few to compare with
    assert _falls(1.5, [1.0, 2.0, 3.0])
    assert not _falls(3.0, [1.0, 2.0, 3.0])
    assert _falls(float("nan"), [])
