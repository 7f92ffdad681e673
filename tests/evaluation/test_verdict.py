import json

import numpy as np
import pandas as pd
import pytest

from metaskl.evaluation.differences import Difference, chosen_difference, interval
from metaskl.evaluation.verdict import Verdict, reach_verdict


def difference(n_shot, mean, half):
    return Difference(n_shot, "maml", "pooled ridge", mean, mean - half, mean + half, 30)


def verdict(*against_all, alone=()):
    return Verdict(tuple(against_all), tuple(alone), "accuracy", False)


def test_interval_is_students():
    # Mean 2, standard deviation 1, standard error 1 / sqrt(3), t(0.975; 2) = 4.302653.
    mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2.0
    assert high - mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_one_task_has_no_interval():
    mean, low, high = interval(np.array([1.5]))
    assert mean == 1.5
    assert np.isnan([low, high]).all()


def scores(table):
    rows = [
        {"candidate": c, "fold": f, "task": t, "n_shot": 5, "score": s}
        for c, cells in table.items()
        for (f, t), s in cells.items()
    ]
    return pd.DataFrame(rows)


def test_the_baseline_is_the_one_that_is_named():
    # b1 is better on average; the fold that it loses must not make b2 the baseline elsewhere.
    table = scores(
        {
            "a": {(0, "s"): 1.0, (0, "t"): 1.0, (1, "u"): 1.0, (1, "v"): 1.0},
            "b1": {(0, "s"): 3.0, (0, "t"): 3.0, (1, "u"): 0.0, (1, "v"): 0.0},
            "b2": {(0, "s"): 1.0, (0, "t"): 1.0, (1, "u"): 1.5, (1, "v"): 1.5},
        }
    )
    found = chosen_difference(table, ["a"], ["b1", "b2"], 5)
    assert (found.second, found.mean) == ("b1", -0.5)  # -2 -2 +1 +1


def test_learners_are_chosen_on_the_other_folds():
    # a1 wins fold 0 and a2 wins fold 1, each by luck: chosen on the other fold, each loses.
    table = scores(
        {
            "a1": {(0, "s"): 1.0, (0, "t"): 1.0, (1, "u"): 0.0, (1, "v"): 0.0},
            "a2": {(0, "s"): 0.0, (0, "t"): 0.0, (1, "u"): 1.0, (1, "v"): 1.0},
            "b": {(0, "s"): 0.5, (0, "t"): 0.5, (1, "u"): 0.5, (1, "v"): 0.5},
        }
    )
    found = chosen_difference(table, ["a1", "a2"], ["b"], 5)
    assert found.mean == -0.5
    assert (found.first, found.others) == ("a1", ("a2",))
    assert found.sign == -1
    assert found.n_tasks == 4


def test_learners_are_chosen_on_other_tasks_where_each_fold_holds_all():
    # Each learner is right on one task only. In a block of two tasks the other eight choose, so
    # one that is lucky on one of those: on the block's own it gains 0 - 0.5.
    tasks = list("abcdefghij")
    cells = [(fold, task) for fold in (0, 1) for task in tasks]
    table = {f"lucky {t}": {(f, u): 1.0 if t == u else 0.0 for f, u in cells} for t in tasks}
    table["base"] = dict.fromkeys(cells, 0.5)
    found = chosen_difference(scores(table), [f"lucky {t}" for t in tasks], ["base"], 5)
    assert (found.mean, found.n_tasks) == (-0.5, 10)


def test_a_single_fold_is_cut_into_blocks_too():
    tasks = list("abcdefghij")
    table = {f"lucky {t}": {(0, u): 1.0 if t == u else 0.0 for u in tasks} for t in tasks}
    table["base"] = {(0, u): 0.5 for u in tasks}
    found = chosen_difference(scores(table), [f"lucky {t}" for t in tasks], ["base"], 5)
    assert found.mean == -0.5


def test_shot_counts_without_common_scores_are_named():
    table = scores({"a": {(0, "s"): 2.0, (1, "t"): 5.0}, "b": {(0, "s"): 1.0, (1, "t"): 3.0}})
    late = table.assign(n_shot=10, score=np.nan)
    late.loc[late["candidate"] == "a", "score"] = 1.0
    settings = {"metric": "accuracy", "lower_is_better": False, "condition": "", "failures": {}}
    families = {"a": "learner", "b": "pooled"}
    found = reach_verdict(pd.concat([table, late]), families, left_out={}, **settings)
    assert found.left_out == {10: "no task has a score of every candidate"}
    assert "at 5 labelled rows" in str(found).splitlines()[0]
    none = reach_verdict(late, families, left_out={}, **settings)
    assert not none.compared
    assert str(none).startswith("Verdict: nothing was compared: no task has a score of every")


def test_scores_on_different_tasks_are_no_comparison():
    apart = scores({"a": {(0, "s"): 2.0}, "b": {(1, "t"): 1.0}})
    assert chosen_difference(apart, ["a"], ["b"], 5) is None


def test_a_task_in_more_folds_weighs_no_more_when_the_learner_is_chosen():
    # Only the task "a" is in six folds, and there alone "once" is right. Of the eight tasks that
    # choose for a block without "a", "mostly" has 7 x 2 / 8 and "once" 9 / 8; over the rows of
    # folds it would be 14 / 13 and 54 / 13.
    cells = [(fold, "a") for fold in range(6)] + [(0, task) for task in "bcdefghij"]
    table = {
        "once": {cell: 9.0 if cell[1] == "a" else 0.0 for cell in cells},
        "mostly": {cell: 0.0 if cell[1] == "a" else 2.0 for cell in cells},
        "base": dict.fromkeys(cells, 0.0),
    }
    found = chosen_difference(scores(table), ["once", "mostly"], ["base"], 5)
    assert (found.first, found.others) == ("mostly", ())


def test_the_difference_is_paired_over_tasks_and_repeats_are_averaged():
    table = scores({"a": {(0, "s"): 2.0, (1, "t"): 5.0}, "b": {(0, "s"): 1.0, (1, "t"): 3.0}})
    twice = pd.concat([table, table.assign(score=table["score"] + 1.0)])
    found = chosen_difference(twice, ["a"], ["b"], 5)
    assert found.mean == 1.5
    assert found.high - found.mean == pytest.approx(12.7062047 * 0.5, rel=1e-6)  # t(0.975; 1)


def test_there_is_nothing_to_compare_without_both_sides():
    table = scores({"a": {(0, "s"): 2.0}})
    assert chosen_difference(table, ["a"], ["b"], 5) is None
    assert "nothing to compare" in str(verdict())


def test_it_can_say_yes():
    text = str(verdict(difference(5, 0.1, 0.05), difference(10, 0.2, 0.1)))
    assert text.startswith("Verdict: yes, meta-learning pays at every shot count tried.")
    assert "5 labelled rows: maml is better than the best baseline, pooled ridge: gain +0.1" in text


def test_it_can_say_no():
    even = verdict(difference(5, 0.0, 0.1), difference(10, -0.2, 0.1))
    assert not even.pays
    assert str(even).startswith("Verdict: no, meta-learning does not beat the best baseline")
    assert "cannot be told from" in str(even)
    worse = verdict(difference(5, -0.2, 0.1))
    assert str(worse).startswith("Verdict: no, a baseline is better at every shot count tried.")


def test_it_can_say_that_it_depends():
    mixed = verdict(difference(5, 0.2, 0.1), difference(10, 0.0, 0.1))
    assert mixed.pays
    assert str(mixed).startswith("Verdict: it depends: meta-learning pays at 5 labelled rows.")


NO_MODEL = "no model of the task's own rows alone is as good as the best learner."
NOT_TOLD = "it cannot be told that meta-learning beats a plain per-task model."


@pytest.mark.parametrize(
    ("signs", "start", "sentence"),
    [
        ((1, 1, 1), None, f"Up to 20 labelled rows {NO_MODEL}"),
        ((0, 1, 1), None, f"At 20 labelled rows {NO_MODEL}"),
        ((1, 1, 0), 20, f"From 20 labelled rows on {NOT_TOLD}"),
        ((1, 0, -1), 10, f"From 10 labelled rows on {NOT_TOLD}"),
        ((-1, -1, -1), 5, "From 5 labelled rows on a plain per-task model is better."),
    ],
)
def test_from_which_shot_count_a_per_task_model_is_as_good(signs, start, sentence):
    alone = [difference(k, s, 0.5) for k, s in zip((5, 10, 20), signs, strict=True)]
    found = verdict(difference(5, 0.0, 0.1), alone=alone)
    assert found.no_gain_over_per_task_from == start
    assert str(found).splitlines()[-1].strip() == sentence


def test_where_it_pays_over_all_baselines_no_per_task_model_is_called_as_good():
    # At 3 rows the per-task models are so unstable that their own interval holds 0; the best
    # baseline, pooled, is beaten beyond its interval all the same.
    unstable = [difference(3, 1.3, 2.0), difference(10, 0.1, 0.2)]
    found = verdict(difference(3, 0.4, 0.2), difference(10, 0.1, 0.2), alone=unstable)
    assert found.no_gain_over_per_task_from == 10
    assert "it depends: meta-learning pays at 3 labelled rows" in str(found)
    assert str(found).splitlines()[-1].strip() == f"From 10 labelled rows on {NOT_TOLD}"
    only = verdict(difference(3, 0.4, 0.2), alone=unstable[:1])
    assert str(only).splitlines()[-1].strip() == f"Up to 3 labelled rows {NO_MODEL}"


def test_it_is_plain_values_too():
    found = verdict(difference(5, 0.2, 0.1)).as_dict()
    assert found["pays"] is True
    assert found["against_baselines"][0]["mean"] == 0.2


def test_a_bound_that_is_not_a_number_is_none_among_plain_values():
    alone = Difference(5, "maml", "pooled ridge", 0.1, float("nan"), float("nan"), n_tasks=1)
    found = verdict(alone).as_dict()
    assert found["against_baselines"][0]["low"] is None
    assert '"mean": 0.1' in json.dumps(found, allow_nan=False)
