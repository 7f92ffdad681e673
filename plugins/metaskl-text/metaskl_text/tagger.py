"""Any classifier of tokens as a tagger of entities."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_consistent_length, check_is_fitted

import metaskl
from metaskl.errors import ParameterError
from metaskl_text.decoding import best_tags
from metaskl_text.entity_tagger import EntityTagger
from metaskl_text.fitting import fit_over_tasks
from metaskl_text.spans import Span, spans_of
from metaskl_text.windows import TokenWindows, sentence_numbers


class SpanTagger(EntityTagger):
    """Named entities by a classifier of tokens: windows in, allowed tags out.

    A token table becomes a row per token with the tokens around it; the classifier, or a Pipeline
    that begins with :class:`~metaskl_text.TokenFeatures`, scores each token's tags; the
    sequence of tags with the best sum that is allowed (an ``I-`` only within an entity) is the
    answer. With a meta-learner `fit` takes the task of each token, and `adapt` (or
    ``metaskl.adapt``) the tagged sentences of a new task.

    Parameters
    ----------
    estimator : classifier
        Of rows of texts (n_tokens, 2 · window + 1), with ``predict_proba`` or
        ``decision_function``; a meta-learner or an ordinary one.
    window : int, default=2
        Tokens to each side, >= 0.
    token : str, default="token"
        Column of the tokens.
    sentence : str or sequence of str, default="sentence"
        Column, or columns together, that name the sentence.

    Attributes
    ----------
    estimator_ : classifier
        The fitted or adapted classifier.
    classes_ : ndarray of str
        The tags that may be predicted.

    Raises
    ------
    TableError
        If a column is missing, or a sentence is in two pieces.
    ParameterError
        If the classifier gives neither probabilities nor scores.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from metaskl_text import SpanTagger, TokenFeatures
    >>> words = "I met Ann Lee today . She saw Bob Roy there .".split()
    >>> table = pd.DataFrame({"sentence": [0] * 6 + [1] * 6, "token": words})
    >>> tags = ["O", "O", "B-per", "I-per", "O", "O"] * 2
    >>> tagger = SpanTagger(make_pipeline(TokenFeatures(), LogisticRegression(C=100)))
    >>> new = pd.DataFrame({"sentence": 0, "token": "You met Eve Fox there .".split()})
    >>> tagger.fit(table, tags).predict_spans(new)
    [Span(start=2, stop=4, type='per')]
    """

    def __init__(
        self,
        estimator: Any,
        *,
        window: int = 2,
        token: str = "token",
        sentence: str | Sequence[str] = "sentence",
    ) -> None:
        self.estimator = estimator
        self.window = window
        self.token = token
        self.sentence = sentence

    def fit(self, X: pd.DataFrame, y: Sequence[str], groups: Any = None) -> Self:
        """Fit the classifier, or meta-train it over tasks.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        y : array-like of str, shape (n_tokens,)
            Tags ``O``, ``B-type``, ``I-type``.
        groups : array-like of shape (n_tokens,), optional
            Task of each token, for a meta-learner; an ordinary classifier has no use for it.

        Returns
        -------
        self
            The fitted tagger.
        """
        windows, tags = self._rows(X, y)
        self.estimator_ = fit_over_tasks(clone(self.estimator), windows, tags, groups)
        return self

    def adapt(self, X: pd.DataFrame, y: Sequence[str]) -> Self:
        """Return a copy adapted to the tagged sentences of a new task.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table of the support, in reading order.
        y : array-like of str, shape (n_tokens,)
            Its tags.

        Returns
        -------
        SpanTagger
            The adapted copy.
        """
        check_is_fitted(self)
        adapted = copy.copy(self)
        adapted.estimator_ = metaskl.adapt(self.estimator_, *self._rows(X, y))
        return adapted

    def predict(self, X: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Return a tag for each token, shape (n_tokens,).

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        """
        check_is_fitted(self)
        scores = self._scores(self._windows(X))
        return best_tags(scores, self.classes_, sentence_numbers(X, self.sentence))

    def predict_spans(self, X: pd.DataFrame) -> list[Span]:
        """Return the entities; start and stop count rows of the table.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        """
        return spans_of(self.predict(X).tolist(), sentence_numbers(X, self.sentence).tolist())

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Tags that may be predicted, in the order of the classifier's columns."""
        found: npt.NDArray[Any] = self.estimator_.classes_
        return found

    def _windows(self, X: pd.DataFrame) -> npt.NDArray[np.object_]:
        cut = TokenWindows(self.window, token=self.token, sentence=self.sentence)
        return cut.fit(X).transform(X)

    def _rows(self, X: pd.DataFrame, y: Any) -> tuple[npt.NDArray[np.object_], npt.NDArray[Any]]:
        windows = self._windows(X)
        check_consistent_length(windows, y)
        tags = [str(tag) for tag in y]
        spans_of(tags)  # refuses other schemes
        return windows, np.asarray(tags)

    def _scores(self, windows: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        """Return scores that may be added along a sentence, (token, tag)."""
        if hasattr(self.estimator_, "predict_proba"):
            shares = np.asarray(self.estimator_.predict_proba(windows), dtype=np.float64)
            return np.log(np.maximum(shares, 1e-30))
        if hasattr(self.estimator_, "decision_function"):
            scores = np.asarray(self.estimator_.decision_function(windows), dtype=np.float64)
            return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
        raise ParameterError(
            "estimator must have predict_proba or decision_function, to find the best tags that "
            f"are allowed, but {type(self.estimator_).__name__} has neither."
        )
