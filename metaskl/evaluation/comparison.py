"""What a comparison found: scores, leaderboard and verdict."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from metaskl.evaluation.curve import shots_curve
from metaskl.evaluation.plain import plain
from metaskl.evaluation.scoring import within_bounds
from metaskl.evaluation.verdict import Verdict, failure_lines


def four_digits(value: float) -> str:
    """Return a number with four digits, zeros at its end included: 10.40."""
    return f"{value:#.4g}".removesuffix(".")


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of :func:`metaskl.compare`.

    Attributes
    ----------
    scores : DataFrame
        One row a candidate, fold, task, repeat and shot count; greater is better.
    families : dict of str
        ``"learner"``, ``"pooled"``, ``"per-task"``, ``"shrunk"`` or, for a model of another
        kind among the baselines, ``"baseline"``, for each candidate.
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
    seconds : dict of float
        Seconds that each candidate took for fitting, adapting and predicting, over all folds.
    """

    scores: pd.DataFrame
    families: dict[str, str]
    verdict: Verdict
    metric: str
    lower_is_better: bool
    protocol: dict[str, Any]
    failures: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def compared(self) -> bool:
        """Whether a learner was compared with a baseline: without it there is no verdict."""
        return self.verdict.compared

    @property
    def held_out(self) -> str:
        """What was held out, in words: tasks, or sets of classes dealt out from a pool."""
        return str(self.protocol.get("tasks_are", "tasks"))

    @property
    def per_class(self) -> bool:
        """Whether shot counts are rows of each class: where tasks have classes of their own."""
        whole = self.protocol.get("holdout") == "tasks"  # of rows that are held out it does not
        return whole and self.protocol.get("n_way") is not None

    def leaderboard(self) -> pd.DataFrame:
        """Return means with 95 % intervals over tasks, the best candidate first.

        Returns
        -------
        DataFrame
            A row a candidate, with its family, columns ``mean``, ``low``, ``high`` for each
            shot count, its mean ``rank`` over tasks and shot counts (1 is best), and the
            ``seconds`` that it took.
        """
        curve = self._curve()
        table = curve.pivot(index="candidate", columns="n_shot", values=["mean", "low", "high"])
        table = table.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
        table.insert(0, ("", "family"), pd.Series(self.families))
        table.insert(1, ("", "rank"), self._ranks())
        table.insert(2, ("", "seconds"), pd.Series(self.seconds, dtype=float))
        return table.sort_values(("", "rank"))

    def _curve(self) -> pd.DataFrame:
        """Return the curves over shot counts, errors without the sign that scorers give them."""
        curve = shots_curve(self.scores, by="candidate")
        curve = curve[curve["n_tasks"] > 0].reset_index(drop=True)  # the verdict names the others
        if self.lower_is_better:
            curve = curve.assign(mean=-curve["mean"], low=-curve["high"], high=-curve["low"])
        bounded: pd.DataFrame = within_bounds(curve, self.metric)
        return bounded

    def _ranks(self) -> pd.Series:
        cells = self.scores.groupby(["n_shot", "task", "candidate"])["score"].mean().unstack()
        return cells.rank(axis=1, ascending=False).mean()

    def __str__(self) -> str:
        verdict = str(self.verdict)
        # Where nothing was compared, the verdict itself says who failed.
        failed = [line for line in failure_lines(self.failures) if line not in verdict]
        return "\n".join([self._title(), self._table().to_string(), "", verdict, *failed])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Return the same as a table and text, for notebooks."""
        verdict = str(self.verdict)
        failed = [line for line in failure_lines(self.failures) if line not in verdict]
        text = html.escape("\n".join([verdict, *failed]))
        return f"<p>{html.escape(self._title())}</p>{self._table().to_html()}<pre>{text}</pre>"

    def _title(self) -> str:
        better = "lower" if self.lower_is_better else "higher"
        return f"{self.metric} ({better} is better), mean [95 % interval over {self.held_out}]"

    def _table(self) -> pd.DataFrame:
        """Return the leaderboard as texts."""
        board = self.leaderboard()
        shots = [key for key in dict.fromkeys(board.columns.get_level_values(0)) if key != ""]
        columns: dict[str, Any] = {"rank": board[("", "rank")].map("{:.2f}".format)}
        if self.seconds:
            columns["seconds"] = board[("", "seconds")].map("{:.1f}".format)
        for shot in sorted(shots):
            part = board[shot]
            rows = f"{shot:.0%} rows" if shot < 1 else f"{shot:g} row{'s' * (shot != 1)}"
            rows += " of each class" * self.per_class
            columns[rows] = [
                f"{four_digits(m)} [{four_digits(a)}, {four_digits(b)}]"
                for m, a, b in zip(part["mean"], part["low"], part["high"], strict=True)
            ]
        table = pd.DataFrame(columns, index=board.index)
        table.index.name = None
        return table

    def as_dict(self) -> dict[str, Any]:
        """Return protocol, leaderboard and verdict as plain values, for JSON."""
        curve = self._curve()
        held = {
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "protocol": self.protocol,
            "families": self.families,
            "curve": curve.to_dict("records"),
            "rank": self._ranks().to_dict(),
            "verdict": self.verdict.as_dict(),
            "failures": self.failures,
            "seconds": self.seconds,
        }
        return {name: plain(value) for name, value in held.items()}
