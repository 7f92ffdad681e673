"""Entities between tags: where they begin and end, and of what type they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

OUTSIDE = "O"


class Span(NamedTuple):
    """An entity: the tokens from `start` up to, without, `stop`, and its type."""

    start: int
    stop: int
    type: str


def split_tag(tag: str) -> tuple[str, str]:
    """Return a tag's position and type.

    Parameters
    ----------
    tag : str
        ``"O"``, ``"B-type"`` (begins an entity) or ``"I-type"`` (goes on).

    Returns
    -------
    tuple of two str
        ``("O", "")``, ``("B", type)`` or ``("I", type)``.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    position, _, kind = str(tag).partition("-")
    if tag != OUTSIDE and (position not in ("B", "I") or not kind):
        raise ValueError(
            f"a tag must be 'O', 'B-' or 'I-' with a type, got {tag!r}. Turn other schemes into "
            "this one first; an empty tag is 'O'."
        )
    return position, kind


def spans_of(tags: Sequence[str], sentences: Sequence[Any] | None = None) -> list[Span]:
    """Return the entities of a sequence of tags, by the convention of CoNLL.

    A ``B-`` begins an entity; so does an ``I-`` that follows an ``O``, another type or the start of
    a sentence [1]_. Whatever does not continue an entity ends it.

    Parameters
    ----------
    tags : sequence of str, shape (n_tokens,)
        Tags, sentence after sentence.
    sentences : sequence, shape (n_tokens,), optional
        What sentence a token belongs to; an entity ends where it changes. By default all is one.

    Returns
    -------
    list of Span
        In reading order; start and stop count tokens from the first of all.

    Raises
    ------
    ValueError
        If a tag is of another scheme, or the lengths differ.

    References
    ----------
    .. [1] E. Tjong Kim Sang, F. De Meulder. Introduction to the CoNLL-2003 Shared Task:
       Language-Independent Named Entity Recognition. CoNLL 2003.

    Examples
    --------
    >>> from metaskl_text import spans_of
    >>> spans_of(["B-per", "I-per", "O", "I-loc"])
    [Span(start=0, stop=2, type='per'), Span(start=3, stop=4, type='loc')]
    """
    tags = [str(tag) for tag in tags]
    first = _first_tokens(len(tags), sentences)
    found: list[Span] = []
    start, type_now = 0, ""
    for i, tag in enumerate(tags):
        position, kind = split_tag(tag)
        goes_on = position == "I" and kind == type_now and not first[i]
        if not goes_on:
            if type_now:
                found.append(Span(start, i, type_now))
            start, type_now = i, kind
    if type_now:
        found.append(Span(start, len(tags), type_now))
    return found


def tags_of(spans: Iterable[Span], n_tokens: int) -> list[str]:
    """Return the tags of entities.

    Parameters
    ----------
    spans : iterable of Span
        Entities that do not overlap.
    n_tokens : int
        Number of tokens.

    Returns
    -------
    list of str
        ``B-``, ``I-`` and ``O``.

    Raises
    ------
    ValueError
        If entities overlap or lie beyond the tokens.

    Examples
    --------
    >>> from metaskl_text import Span, tags_of
    >>> tags_of([Span(1, 3, "loc")], 4)
    ['O', 'B-loc', 'I-loc', 'O']
    """
    tags = [OUTSIDE] * n_tokens
    for span in spans:
        if not 0 <= span.start < span.stop <= n_tokens:
            raise ValueError(f"a span must lie in the {n_tokens} tokens, got {span}.")
        if any(tag != OUTSIDE for tag in tags[span.start : span.stop]):
            raise ValueError(f"spans must not overlap, got {span} on another.")
        tags[span.start : span.stop] = [f"I-{span.type}"] * (span.stop - span.start)
        tags[span.start] = f"B-{span.type}"
    return tags


def _first_tokens(n_tokens: int, sentences: Sequence[Any] | None) -> npt.NDArray[np.bool_]:
    first = np.zeros(n_tokens, dtype=bool)
    first[:1] = True
    if sentences is not None:
        ids = np.asarray(sentences)
        if len(ids) != n_tokens:
            raise ValueError(
                f"sentences must name the sentence of each of {n_tokens} tokens, got {len(ids)}."
            )
        first[1:] = ids[1:] != ids[:-1]
    return first
