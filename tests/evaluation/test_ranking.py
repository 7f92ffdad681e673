import math

import numpy as np
import pandas as pd
import pytest

from metaskl.errors import ParameterError
from metaskl.evaluation import rank_candidates

SCORES = pd.DataFrame(
    {"a": [0.9, 0.8, 0.7, 0.9], "b": [0.8, 0.7, 0.8, 0.9], "c": [0.1, 0.2, 0.3, 0.0]},
    index=["school", "radon", "landmine", "faces"],
)


def test_ranks_are_means_over_sets_and_ties_share_theirs():
    ranks = rank_candidates(SCORES).ranks
    # a: 1, 1, 2, 1.5; b: 2, 2, 1, 1.5; c: last everywhere.
    assert ranks.to_dict() == {"a": 5.5 / 4, "b": 6.5 / 4, "c": 3.0}
    assert list(ranks.index) == ["a", "b", "c"]


def test_errors_rank_the_other_way():
    ranks = rank_candidates(SCORES, lower_is_better=True).ranks
    assert list(ranks.index) == ["c", "b", "a"]


# Demšar 2006, table 5 (a): critical values of the two-tailed Nemenyi test.
@pytest.mark.parametrize(
    ("k", "alpha", "q"),
    [(2, 0.05, 1.960), (3, 0.05, 2.343), (5, 0.05, 2.728), (10, 0.05, 3.164), (4, 0.10, 2.291)],
)
def test_the_critical_difference_is_that_of_the_paper(k, alpha, q):
    n_sets = 14
    scores = pd.DataFrame(np.random.default_rng(0).normal(size=(n_sets, k)))
    ranking = rank_candidates(scores, alpha=alpha)
    expected = q * math.sqrt(k * (k + 1) / (6 * n_sets))
    assert ranking.critical_difference == pytest.approx(expected, rel=5e-4)


def test_friedmans_p_value_is_that_of_its_formula():
    # 12 n / (k (k + 1)) · Σ (R − (k + 1) / 2)², for ranks without ties, χ² of k − 1 degrees: with
    # two degrees the tail is exp(−χ² / 2).
    scores = SCORES.iloc[:3]
    means = np.array([4 / 3, 5 / 3, 3.0])
    chi2 = 12 * 3 / (3 * 4) * ((means - 2) ** 2).sum()
    assert rank_candidates(scores).p_value == pytest.approx(math.exp(-chi2 / 2))


def test_cliques_are_the_largest_groups_within_the_critical_difference():
    better = np.arange(6.0)[::-1]
    ranking = rank_candidates(pd.DataFrame([better] * 30, columns=list("abcdef")))
    # 2.850 · sqrt(6 · 7 / 180) = 1.377: each and its neighbour.
    assert 1 < ranking.critical_difference < 2
    assert ranking.cliques() == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")]
    apart = rank_candidates(pd.DataFrame([better] * 90, columns=list("abcdef")))
    assert apart.critical_difference < 1
    assert apart.cliques() == []


def test_candidates_without_a_score_everywhere_are_left_out_and_named():
    scores = SCORES.assign(b=[0.8, np.nan, 0.8, 0.9])
    ranking = rank_candidates(scores)
    assert ranking.left_out == ("b",)
    assert math.isnan(ranking.p_value)  # of two candidates
    assert "Without a score on every set: b." in str(ranking)


def test_too_little_to_rank_is_refused():
    with pytest.raises(ParameterError, match=r"at least 2 task sets and 2 candidates.*1 and 3"):
        rank_candidates(SCORES.iloc[:1])
    with pytest.raises(ParameterError, match="alpha must be between 0 and 1, got 5"):
        rank_candidates(SCORES, alpha=5)
