"""What taggers of entities have in common: how they are scored."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from metaskl_text.span_scores import SpanScores, span_scores
from metaskl_text.windows import sentence_numbers


class EntityTagger(BaseEstimator, abc.ABC):  # type: ignore[misc]
    """A tagger of token tables, scored by whole entities: a subclass gives `predict`."""

    sentence: str | Sequence[str]

    @abc.abstractmethod
    def predict(self, X: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Return a tag for each token, shape (n_tokens,)."""

    def span_scores(self, X: pd.DataFrame, y: Sequence[str]) -> SpanScores:
        """Return precision, recall and F1 of the predicted entities.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        y : array-like of str, shape (n_tokens,)
            True tags.
        """
        sentences = sentence_numbers(X, self.sentence).tolist()
        return span_scores([str(tag) for tag in y], self.predict(X).tolist(), sentences)

    def score(self, X: pd.DataFrame, y: Sequence[str]) -> float:
        """Return the F1 of whole entities, in [0, 1].

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        y : array-like of str, shape (n_tokens,)
            True tags.
        """
        return self.span_scores(X, y).f1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags
