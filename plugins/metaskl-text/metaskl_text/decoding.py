"""The best sequence of tags that is allowed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metaskl_text.spans import split_tag

Floats = npt.NDArray[np.float64]


def allowed_steps(
    tags: Sequence[str],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Say which tags may begin a sentence, and which may follow which.

    ``I-type`` must follow ``B-type`` or itself; where there is no ``B-type`` among the tags, it may
    begin an entity.

    Parameters
    ----------
    tags : sequence of str, shape (n_tags,)
        All tags.

    Returns
    -------
    first : ndarray of bool, shape (n_tags,)
        Whether a sentence may begin with it.
    follows : ndarray of bool, shape (n_tags, n_tags)
        Whether the tag of the column may follow the one of the row.

    Examples
    --------
    >>> from metaskl_text.decoding import allowed_steps
    >>> first, follows = allowed_steps(["B-per", "I-per", "O"])
    >>> first.tolist(), follows[:, 1].tolist()
    ([True, False, True], [True, True, False])
    """
    parts = [split_tag(tag) for tag in tags]
    begun = {kind for position, kind in parts if position == "B"}
    first = np.array([position != "I" or kind not in begun for position, kind in parts])
    same = np.array([[kind == other for _, other in parts] for _, kind in parts])
    return first, first[None] | same


def best_tags(
    scores: npt.ArrayLike, tags: npt.ArrayLike, sentences: npt.ArrayLike
) -> npt.NDArray[np.object_]:
    """Return the allowed tags with the highest sum of scores, sentence by sentence [1]_.

    Parameters
    ----------
    scores : array-like of shape (n_tokens, n_tags)
        Logarithms of probabilities, or other scores that may be added; −inf is never taken where
        something else is allowed.
    tags : array-like of str, shape (n_tags,)
        The tags of the columns.
    sentences : array-like, shape (n_tokens,)
        What sentence a token belongs to.

    Returns
    -------
    ndarray of str, shape (n_tokens,)
        Tags.

    References
    ----------
    .. [1] A. Viterbi. Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding
       Algorithm. IEEE Transactions on Information Theory, 1967.

    Examples
    --------
    >>> from metaskl_text.decoding import best_tags
    >>> best_tags([[-1, -9, -2], [-5, -1, -2]], ["B-per", "I-per", "O"], [0, 0]).tolist()
    ['B-per', 'I-per']
    """
    # Not minus infinity: a tag of probability 0 is still better than one that is not allowed.
    values = np.maximum(np.asarray(scores, dtype=np.float64), -1e6)
    names = np.asarray(tags, dtype=object)
    first, follows = allowed_steps(names.tolist())
    barred = np.where(follows, 0.0, -np.inf)
    begin = np.where(first, 0.0, -np.inf)
    ids = np.asarray(sentences)
    if not len(ids):
        return names[:0]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    paths = [
        _best_path(values[start:stop], begin, barred)
        for start, stop in zip(starts, np.r_[starts[1:], len(ids)], strict=True)
    ]
    found: npt.NDArray[np.object_] = names[np.concatenate(paths)]
    return found


def _best_path(values: Floats, begin: Floats, barred: Floats) -> npt.NDArray[np.int64]:
    """Return the indices of one sentence's tags."""
    best = values[0] + begin
    before = np.zeros(values.shape, dtype=np.int64)
    for i in range(1, len(values)):
        steps = best[:, None] + barred
        before[i] = steps.argmax(0)
        best = steps.max(0) + values[i]
    path = np.empty(len(values), dtype=np.int64)
    path[-1] = best.argmax()
    for i in range(len(values) - 1, 0, -1):
        path[i - 1] = before[i, path[i]]
    return path
