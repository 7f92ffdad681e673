"""How many entities were found: precision, recall and F1 of whole spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaskl_text.spans import Span, spans_of

_COLUMNS = ["precision", "recall", "f1", "n_true", "n_predicted", "n_correct"]


@dataclass(frozen=True)
class SpanScores:
    """Counts of entities, and what follows from them.

    Attributes
    ----------
    n_true : int
        Entities there are.
    n_predicted : int
        Entities that were predicted.
    n_correct : int
        Those predicted with exactly the right tokens and type.
    by_type : DataFrame
        The columns precision, recall, f1, n_true, n_predicted, n_correct; a row per type.
    """

    n_true: int
    n_predicted: int
    n_correct: int
    by_type: pd.DataFrame

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are right; 0 if none was predicted."""
        return self.n_correct / self.n_predicted if self.n_predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the entities that were found; 0 if there are none."""
        return self.n_correct / self.n_true if self.n_true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 0 if nothing is right."""
        total = self.n_true + self.n_predicted
        return 2 * self.n_correct / total if total else 0.0


def span_scores(
    y_true: Sequence[str], y_pred: Sequence[str], sentences: Sequence[Any] | None = None
) -> SpanScores:
    """Compare entities by exact match, over all types together, as CoNLL does.

    Parameters
    ----------
    y_true, y_pred : sequence of str, shape (n_tokens,)
        Tags ``O``, ``B-type``, ``I-type``, sentence after sentence.
    sentences : sequence, shape (n_tokens,), optional
        What sentence a token belongs to.

    Returns
    -------
    SpanScores
        Precision, recall and F1 as fractions.

    Raises
    ------
    ValueError
        If the lengths differ, or a tag is of another scheme.

    Notes
    -----
    An entity counts only if its first token, last token and type are all right [1]_; a part of it,
    or another type, is one error of precision and one of recall. Where an ``I-`` follows no entity
    of its type, it begins one (see :func:`spans_of`).

    References
    ----------
    .. [1] E. Tjong Kim Sang, F. De Meulder. Introduction to the CoNLL-2003 Shared Task:
       Language-Independent Named Entity Recognition. CoNLL 2003.

    Examples
    --------
    >>> from metaskl_text import span_scores
    >>> scores = span_scores(["B-per", "I-per", "O", "B-loc"], ["B-per", "O", "O", "B-loc"])
    >>> scores.precision, scores.recall, scores.f1
    (0.5, 0.5, 0.5)
    """
    if len(y_true) != len(y_pred):
        raise ValueError(
            f"y_true and y_pred must tag the same tokens, got {len(y_true)} and {len(y_pred)}."
        )
    true = set(spans_of(y_true, sentences))
    predicted = set(spans_of(y_pred, sentences))
    rows = {}
    for kind in sorted({span.type for span in true | predicted}):
        there, given = (
            {span for span in spans if span.type == kind} for spans in (true, predicted)
        )
        scores = SpanScores(*_counts(there, given), pd.DataFrame())
        rows[kind] = {name: getattr(scores, name) for name in _COLUMNS}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_COLUMNS)
    return SpanScores(*_counts(true, predicted), table)


def _counts(true: set[Span], predicted: set[Span]) -> tuple[int, int, int]:
    return len(true), len(predicted), len(true & predicted)
