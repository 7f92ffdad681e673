"""What a comparison found: scores, leaderboard and verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaskl.evaluation.cross_validate import shots_curve
from metaskl.evaluation.verdict import Verdict


@dataclass(frozen=True)
class Comparison:
    """The result of :func:`compare`.

    Attributes
    ----------
    scores : DataFrame
        One row a candidate, fold, task, repeat and shot count; greater is better.
    families : dict of str
        ``"learner"``, ``"pooled"``, ``"per-task"`` or ``"shrunk"`` for each candidate.
    verdict : Verdict
        Whether meta-learning pays; ``str(verdict)`` says it in words.
    metric : str
        Name of the score; errors are shown without their sign.
    lower_is_better : bool
        Whether the metric is an error.
    protocol : dict
        How it was measured.
    failures : dict of str
        Candidates that could not be fitted, with the reason.
    """

    scores: pd.DataFrame
    families: dict[str, str]
    verdict: Verdict
    metric: str
    lower_is_better: bool
    protocol: dict[str, Any]
    failures: dict[str, str]

    def leaderboard(self) -> pd.DataFrame:
        """Return means with 95 % intervals over tasks, the best candidate first.

        Returns
        -------
        DataFrame
            A row a candidate, with its family, columns ``mean``, ``low``, ``high`` for each
            shot count, and its mean ``rank`` over tasks and shot counts (1 is best).
        """
        curve = self._curve()
        table = curve.pivot(index="candidate", columns="n_shot", values=["mean", "low", "high"])
        table = table.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
        table.insert(0, ("", "family"), pd.Series(self.families))
        table.insert(1, ("", "rank"), self._ranks())
        return table.sort_values(("", "rank"))

    def _curve(self) -> pd.DataFrame:
        """Return the curves over shot counts, errors without the sign that scorers give them."""
        curve = shots_curve(self.scores, by="candidate")
        if self.lower_is_better:
            curve = curve.assign(mean=-curve["mean"], low=-curve["high"], high=-curve["low"])
        return curve

    def _ranks(self) -> pd.Series:
        cells = self.scores.groupby(["n_shot", "task", "candidate"])["score"].mean().unstack()
        return cells.rank(axis=1, ascending=False).mean()

    def __str__(self) -> str:
        board = self.leaderboard()
        shots = [key for key in dict.fromkeys(board.columns.get_level_values(0)) if key != ""]
        columns: dict[str, Any] = {"rank": board[("", "rank")].map("{:.2f}".format)}
        for shot in shots:
            part = board[shot]
            columns[f"{shot} rows" if isinstance(shot, int) else f"{shot:.0%} rows"] = [
                f"{m:.4g} [{a:.4g}, {b:.4g}]"
                for m, a, b in zip(part["mean"], part["low"], part["high"], strict=True)
            ]
        text = pd.DataFrame(columns, index=board.index).to_string()
        better = "lower" if self.lower_is_better else "higher"
        title = f"{self.metric} ({better} is better), mean [95 % interval over tasks]"
        failed = [f"  {name} failed: {reason}" for name, reason in self.failures.items()]
        return "\n".join([title, text, "", str(self.verdict), *failed])

    def as_dict(self) -> dict[str, Any]:
        """Return protocol, leaderboard and verdict as plain values, for JSON."""
        curve = self._curve()
        return {
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "protocol": self.protocol,
            "families": self.families,
            "curve": curve.to_dict("records"),
            "rank": self._ranks().to_dict(),
            "verdict": self.verdict.as_dict(),
            "failures": self.failures,
        }
