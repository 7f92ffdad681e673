"""Candidates ranked over many task sets, with the difference in rank that chance explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

from metaskl.errors import ParameterError


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of candidates over task sets.

    Attributes
    ----------
    ranks : Series
        The mean rank of each candidate, the best (lowest) first; 1 is best everywhere.
    n_sets : int
        Task sets that were ranked on.
    critical_difference : float
        Two mean ranks that lie closer together than this cannot be told apart (Nemenyi).
    p_value : float
        Of Friedman's test that all candidates are alike.
    alpha : float
        Level of the critical difference.
    left_out : tuple of str
        Candidates without a score on every set.
    """

    ranks: pd.Series
    n_sets: int
    critical_difference: float
    p_value: float
    alpha: float
    left_out: tuple[str, ...]

    def cliques(self) -> list[tuple[str, ...]]:
        """Return the largest groups of candidates that cannot be told apart, the best first."""
        values = self.ranks.to_numpy()
        found: list[tuple[str, ...]] = []
        reached = 0
        for first, value in enumerate(values):
            last = int(np.searchsorted(values, value + self.critical_difference, side="right"))
            if last > max(reached, first + 1):
                found.append(tuple(self.ranks.index[first:last]))
                reached = last
        return found

    def __str__(self) -> str:
        lines = [f"{rank:6.2f}  {name}" for name, rank in self.ranks.items()]
        lines.append(
            f"Mean ranks over {self.n_sets} task sets; a difference below "
            f"{self.critical_difference:.2f} may be chance (Nemenyi, {self.alpha:.0%}; Friedman's "
            f"test that all are alike: p = {self.p_value:.2g})."
        )
        if self.left_out:
            lines.append(f"Without a score on every set: {', '.join(self.left_out)}.")
        return "\n".join(lines)


def rank_candidates(
    scores: pd.DataFrame, *, lower_is_better: bool = False, alpha: float = 0.05
) -> Ranking:
    """Rank candidates over task sets [1]_.

    Parameters
    ----------
    scores : DataFrame of shape (n_sets, n_candidates)
        A row a task set, a column a candidate. Scores need not be comparable between rows.
        Candidates with a missing score are left out.
    lower_is_better : bool, default=False
        Whether the scores are errors.
    alpha : float, default=0.05
        Level of the critical difference, between 0 and 1.

    Returns
    -------
    Ranking
        Mean ranks and their critical difference.

    Raises
    ------
    ParameterError
        If fewer than two sets or two candidates with a score on each are left, or `alpha` is
        not between 0 and 1.

    References
    ----------
    .. [1] J. Demšar. Statistical Comparisons of Classifiers over Multiple Data Sets.
       Journal of Machine Learning Research 7, 2006.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.evaluation import rank_candidates
    >>> scores = pd.DataFrame({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.7, 0.8], "c": [0.1, 0.2, 0.3]})
    >>> rank_candidates(scores).ranks.round(2).to_dict()
    {'a': 1.33, 'b': 1.67, 'c': 3.0}
    """
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha must be between 0 and 1, got {alpha!r}. Take 0.05.")
    complete = scores.dropna(axis=1)
    n_sets, n_candidates = complete.shape
    if n_sets < 2 or n_candidates < 2:
        raise ParameterError(
            "scores must hold at least 2 task sets and 2 candidates with a score on each, got "
            f"{n_sets} and {n_candidates}. Leave out the sets on which candidates failed."
        )
    ranks = complete.rank(axis=1, ascending=lower_is_better)
    quantile = studentized_range.ppf(1 - alpha, n_candidates, np.inf) / np.sqrt(2)
    spread = np.sqrt(n_candidates * (n_candidates + 1) / (6 * n_sets))
    # Friedman's test needs three candidates; of two, ranks say no more than a sign test would.
    columns = [complete[name].to_numpy() for name in complete]
    p_value = float(friedmanchisquare(*columns).pvalue) if n_candidates > 2 else float("nan")
    left_out = tuple(str(name) for name in scores.columns if name not in complete.columns)
    return Ranking(
        ranks=ranks.mean().sort_values(kind="stable"),
        n_sets=n_sets,
        critical_difference=float(quantile * spread),
        p_value=p_value,
        alpha=alpha,
        left_out=left_out,
    )
