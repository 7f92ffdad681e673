"""Entities in two steps: where they are, which tasks share, and of what type, which they do not."""

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
from metaskl.estimators.adapt import can_adapt
from metaskl_text.entity_tagger import EntityTagger
from metaskl_text.fitting import fit_over_tasks
from metaskl_text.spans import Span, spans_of, tags_of
from metaskl_text.tagger import SpanTagger
from metaskl_text.windows import sentence_numbers, span_windows, table_tokens

_ENTITY = "entity"


class TwoStageTagger(EntityTagger):
    """Find entities as other tasks taught, then tell their types from the few of the new task.

    New tasks bring types that no other task has, but names look alike everywhere. So a
    detector tags tokens as beginning, inside or outside an entity of any type, learned over all
    tasks, and a typer classifies each entity found, after Ma et al. [1]_. Each may be a
    meta-learner, which is meta-trained by `fit` and adapted by `adapt`, or an ordinary classifier:
    such a detector is the one of `fit`, such a typer is fitted on the support alone.

    Parameters
    ----------
    detector : classifier
        Of rows of texts (n_tokens, 2 · window + 1), as in :class:`~metaskl_text.SpanTagger`.
    typer : classifier
        Of rows of texts (n_entities, 2 · window + 1), the entity's words in the middle, see
        :func:`~metaskl_text.span_windows`; a meta-learner needs ``label_space="task"``.
    window : int, default=2
        Tokens to each side, >= 0.
    token : str, default="token"
        Column of the tokens.
    sentence : str or sequence of str, default="sentence"
        Column, or columns together, that name the sentence.

    Attributes
    ----------
    detector_ : SpanTagger
        The fitted detector.
    typer_ : classifier or None
        The fitted typer; None where it waits for a support, or the support has no entity.
    types_ : list of str
        The types of the entities that were given last, to `fit` or `adapt`.

    Raises
    ------
    TableError
        If a column is missing, or a sentence is in two pieces.

    References
    ----------
    .. [1] T. Ma, H. Jiang, Q. Wu, T. Zhao, C.-Y. Lin. Decomposed Meta-Learning for Few-Shot Named
       Entity Recognition. Findings of ACL 2022.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from metaskl_text import TokenFeatures, TwoStageTagger
    >>> words = "I met Ann Lee in Rome . She saw Bob Roy in Bonn .".split()
    >>> table = pd.DataFrame({"sentence": [0] * 7 + [1] * 7, "token": words})
    >>> tags = ["O", "O", "B-per", "I-per", "O", "B-loc", "O"] * 2
    >>> plain = make_pipeline(TokenFeatures(), LogisticRegression(C=100))
    >>> tagger = TwoStageTagger(plain, plain).fit(table, tags).adapt(table, tags)
    >>> new = pd.DataFrame({"sentence": 0, "token": "You met Eve Fox in Genf .".split()})
    >>> tagger.predict(new).tolist()
    ['O', 'O', 'B-per', 'I-per', 'O', 'B-loc', 'O']
    """

    def __init__(
        self,
        detector: Any,
        typer: Any,
        *,
        window: int = 2,
        token: str = "token",
        sentence: str | Sequence[str] = "sentence",
    ) -> None:
        self.detector = detector
        self.typer = typer
        self.window = window
        self.token = token
        self.sentence = sentence

    def fit(self, X: pd.DataFrame, y: Sequence[str], groups: Any = None) -> Self:
        """Learn from many tasks.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        y : array-like of str, shape (n_tokens,)
            Tags ``O``, ``B-type``, ``I-type``.
        groups : array-like of shape (n_tokens,), optional
            Task of each token, for those of the two that are meta-learners; an ordinary one
            has no use for it.

        Returns
        -------
        self
            The fitted tagger. Without a meta-learner as typer it predicts once adapted.
        """
        rows, spans = self._entities(X, y)
        detector = SpanTagger(
            self.detector, window=self.window, token=self.token, sentence=self.sentence
        )
        ids = None if groups is None else np.asarray(groups)
        self.detector_ = detector.fit(X, _any_type(spans, len(X)), ids)
        self.types_ = sorted({span.type for span in spans})
        self.typer_ = None
        self.__dict__.pop("_is_adapted", None)  # of an adapted copy that is fitted anew
        if can_adapt(self.typer):
            tasks = None if ids is None else ids[[span.start for span in spans]]
            self.typer_ = fit_over_tasks(clone(self.typer), rows, _types(spans), tasks)
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
        TwoStageTagger
            The adapted copy. A support of one type is taken to say that there is no other.
        """
        check_is_fitted(self, "detector_")
        rows, spans = self._entities(X, y)
        adapted = copy.copy(self)
        if can_adapt(self.detector):
            adapted.detector_ = self.detector_.adapt(X, _any_type(spans, len(X)))
        adapted.types_ = sorted({span.type for span in spans})
        adapted.typer_ = None
        if len(adapted.types_) > 1 and can_adapt(self.typer):
            adapted.typer_ = metaskl.adapt(self.typer_, rows, _types(spans))
        elif len(adapted.types_) > 1:
            adapted.typer_ = clone(self.typer).fit(rows, _types(spans))
        adapted._is_adapted = True
        return adapted

    def predict_spans(self, X: pd.DataFrame) -> list[Span]:
        """Return the entities; start and stop count rows of the table.

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        """
        check_is_fitted(self, "_is_adapted", msg="Call adapt with tagged sentences first.")
        found = self.detector_.predict_spans(X)
        if not found or not self.types_:
            return []
        if self.typer_ is None:
            types = [self.types_[0]] * len(found)
        else:
            types = self.typer_.predict(self._span_rows(X, found)).tolist()
        return [Span(span.start, span.stop, kind) for span, kind in zip(found, types, strict=True)]

    def predict(self, X: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Return a tag for each token, shape (n_tokens,).

        Parameters
        ----------
        X : DataFrame of shape (n_tokens, ...)
            Token table, in reading order.
        """
        return np.asarray(tags_of(self.predict_spans(X), len(X)), dtype=object)

    def _entities(self, X: pd.DataFrame, y: Any) -> tuple[npt.NDArray[np.object_], list[Span]]:
        """Return the rows of the true entities, and where they are."""
        sentences = sentence_numbers(X, self.sentence).tolist()
        check_consistent_length(sentences, y)
        spans = spans_of([str(tag) for tag in y], sentences)
        return self._span_rows(X, spans), spans

    def _span_rows(self, X: pd.DataFrame, spans: list[Span]) -> npt.NDArray[np.object_]:
        tokens = table_tokens(X, self.token).tolist()
        return span_windows(tokens, sentence_numbers(X, self.sentence).tolist(), spans, self.window)


def _any_type(spans: list[Span], n_tokens: int) -> list[str]:
    """Return tags that tell where entities are, and nothing else."""
    return tags_of([Span(span.start, span.stop, _ENTITY) for span in spans], n_tokens)


def _types(spans: list[Span]) -> npt.NDArray[Any]:
    return np.array([span.type for span in spans])
