"""A table of tokens as a row per token with the tokens around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from metaskl.errors import ParameterError, TableError
from metaskl_text.spans import Span

Texts = npt.NDArray[np.object_]


class TokenWindows(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each token with its neighbours in the sentence: rows that can be split at will.

    A token table has a row per token, in reading order. Its rows cannot be drawn at random
    without tearing sentences apart; those of the windows can, for each holds its context.

    Parameters
    ----------
    window : int, default=2
        Tokens to each side, >= 0.
    token : str, default="token"
        Column of the tokens.
    sentence : str or sequence of str, default="sentence"
        Column that names the sentence, or columns that do together.

    Raises
    ------
    TableError
        By `transform`: a column is missing, a token is missing, or a sentence is in two pieces.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl_text import TokenWindows
    >>> table = pd.DataFrame({"sentence": [0, 0, 1], "token": ["Hello", "Ann", "Bye"]})
    >>> TokenWindows(window=1).fit_transform(table).tolist()
    [['', 'Hello', 'Ann'], ['Hello', 'Ann', ''], ['', 'Bye', '']]
    """

    def __init__(
        self, window: int = 2, *, token: str = "token", sentence: str | Sequence[str] = "sentence"
    ) -> None:
        self.window = window
        self.token = token
        self.sentence = sentence

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table.
        y : None
            Not used.

        Returns
        -------
        self
            The transformer.
        """
        if not isinstance(self.window, int | np.integer) or self.window < 0:
            raise ParameterError(f"window must be a whole number from 0 up, got {self.window!r}.")
        sentence_numbers(X, self.sentence)
        return self

    def transform(self, X: pd.DataFrame) -> Texts:
        """Return texts of shape (n_tokens, 2 · window + 1); beyond the sentence they are empty.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table.
        """
        numbers = sentence_numbers(X, self.sentence)
        tokens = table_tokens(X, self.token)
        windows = np.full((len(tokens), 2 * self.window + 1), "", dtype=object)
        for column in range(2 * self.window + 1):
            offset = column - self.window
            here = np.arange(max(0, -offset), len(tokens) - max(0, offset))
            same = here[numbers[here] == numbers[here + offset]]
            windows[same, column] = tokens[same + offset]
        return windows

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return a name for each column, ``token-1`` for the one before.

        Parameters
        ----------
        input_features : None
            Not used.
        """
        offsets = range(-self.window, self.window + 1)
        return np.array([f"token{i:+d}" if i else "token" for i in offsets], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags


def sentence_numbers(
    table: pd.DataFrame, sentence: str | Sequence[str] = "sentence"
) -> npt.NDArray[np.int64]:
    """Return the number of each token's sentence, from 0 in the order of the table.

    Parameters
    ----------
    table : DataFrame of shape (n_tokens, ...)
        Token table.
    sentence : str or sequence of str, default="sentence"
        Column or columns that name the sentence.

    Returns
    -------
    ndarray of int, shape (n_tokens,)
        Numbers of sentences.

    Raises
    ------
    TableError
        If a column is missing, or a sentence's tokens do not follow each other.
    """
    names = [sentence] if isinstance(sentence, str) else list(sentence)
    _require_columns(table, names)
    numbers = table.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
    # Numbered in the order of appearance: in reading order they never fall.
    torn = np.flatnonzero(np.diff(numbers) < 0)
    if len(torn):
        raise TableError(
            f"the tokens of a sentence must follow each other, but row {torn[0] + 1} goes back to "
            f"an earlier one. Keep the table in reading order, and name every column that tells "
            f"sentences apart: sentence={names} did not."
        )
    return np.asarray(numbers, dtype=np.int64)


def span_windows(
    tokens: Sequence[str], sentences: Sequence[int], spans: Sequence[Span], window: int = 2
) -> Texts:
    """Return a row per entity: its words as one text, in the middle of the tokens around it.

    Parameters
    ----------
    tokens : sequence of str, shape (n_tokens,)
        Tokens in reading order.
    sentences : sequence of int, shape (n_tokens,)
        What sentence a token belongs to.
    spans : sequence of Span
        Entities.
    window : int, default=2
        Tokens to each side, >= 0.

    Returns
    -------
    ndarray of str, shape (n_spans, 2 * window + 1)
        Texts; beyond the sentence they are empty.

    Examples
    --------
    >>> from metaskl_text import Span, span_windows
    >>> span_windows(["in", "New", "York", "City"], [0] * 4, [Span(1, 4, "loc")], 1).tolist()
    [['in', 'New York City', '']]
    """
    rows = np.full((len(spans), 2 * window + 1), "", dtype=object)
    for row, span in zip(rows, spans, strict=True):
        row[window] = " ".join(tokens[span.start : span.stop])
        places = [*range(span.start - window, span.start), *range(span.stop, span.stop + window)]
        columns = [*range(window), *range(window + 1, 2 * window + 1)]
        for column, i in zip(columns, places, strict=True):
            if 0 <= i < len(tokens) and sentences[i] == sentences[span.start]:
                row[column] = tokens[i]
    return rows


def table_tokens(table: pd.DataFrame, name: str = "token") -> Texts:
    """Return the tokens of a table.

    Parameters
    ----------
    table : DataFrame of shape (n_tokens, ...)
        Token table.
    name : str, default="token"
        Column of the tokens.

    Returns
    -------
    ndarray of str, shape (n_tokens,)
        Tokens.

    Raises
    ------
    TableError
        If the column is missing, or holds something else than texts.
    """
    _require_columns(table, [name])
    tokens = table[name].to_numpy(dtype=object)
    for row, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TableError(
                f"the column {name!r} must hold texts, got {token!r} in row {row}. pandas takes "
                "words such as 'None' and 'NA' for missing values: read_csv(..., "
                "keep_default_na=False, dtype={" + repr(name) + ": str})."
            )
    return tokens


def _require_columns(table: Any, names: Sequence[str]) -> None:
    if not isinstance(table, pd.DataFrame):
        raise TableError(
            f"a token table must be a DataFrame with a row per token, got {type(table).__name__}."
        )
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise TableError(
            f"the token table must have the column(s) {missing}, got {list(table.columns)}. "
            "Say what they are called: TokenWindows(token=..., sentence=...)."
        )
    if not len(table):
        raise TableError("the token table must hold at least one token, got 0 rows.")
