"""Hashed features of a token and those around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction import FeatureHasher
from sklearn.utils.validation import check_is_fitted

from metaskl.errors import ParameterError


class TokenFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Words, word shapes, beginnings and endings of a window, hashed to columns.

    The customary features of entity taggers [1]_: of each token of the window the word in
    small letters and its shape (``Xx``, ``X.X.``, ``d-d``), of the middle one also its long shape,
    prefixes and suffixes, and the pairs of shapes and words with its neighbours. The middle may
    hold several words, an entity of :func:`span_windows`: then each counts besides.

    Parameters
    ----------
    n_features : int, default=16384
        Columns to hash to, >= 1.
    affixes : int, default=4
        Longest prefix and suffix of the middle token, in characters; 0 for none.
    shapes : bool, default=True
        Whether to use the shapes of words.
    words : bool, default=True
        Whether to use the words themselves; without them, features carry over to texts of
        another vocabulary.

    Attributes
    ----------
    n_features_in_ : int
        Tokens of a window.

    References
    ----------
    .. [1] L. Ratinov, D. Roth. Design Challenges and Misconceptions in Named Entity
       Recognition. CoNLL 2009.

    Examples
    --------
    >>> from metaskl_text import TokenFeatures
    >>> windows = [["", "Ann", "runs"], ["Ann", "runs", ""]]
    >>> TokenFeatures().fit_transform(windows).shape
    (2, 16384)
    """

    def __init__(
        self,
        n_features: int = 2**14,
        *,
        affixes: int = 4,
        shapes: bool = True,
        words: bool = True,
    ) -> None:
        self.n_features = n_features
        self.affixes = affixes
        self.shapes = shapes
        self.words = words

    def fit(self, X: Any, y: Any = None) -> Self:
        """Note the length of a window; there is nothing else to learn.

        Parameters
        ----------
        X : array-like of str, shape (n_tokens, n_window)
            Windows, of odd length, the token in the middle.
        y : None
            Not used.

        Returns
        -------
        self
            The transformer.
        """
        if self.affixes < 0 or not (self.shapes or self.words or self.affixes):
            raise ParameterError(
                f"affixes must be 0 or more, and something must be used, got affixes="
                f"{self.affixes}, shapes={self.shapes}, words={self.words}."
            )
        self.n_features_in_ = _windows(X).shape[1]
        return self

    def transform(self, X: Any) -> sp.csr_matrix:
        """Return a sparse matrix of shape (n_tokens, n_features), rows of length 1.

        Parameters
        ----------
        X : array-like of str, shape (n_tokens, n_window)
            Windows.
        """
        check_is_fitted(self)
        windows = _windows(X)
        if windows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must hold windows of {self.n_features_in_} tokens as in fit, got "
                f"{windows.shape[1]}."
            )
        hasher = FeatureHasher(self.n_features, input_type="string", dtype=np.float32)
        hashed = hasher.transform(self._features(row) for row in windows.tolist())
        # Two features may meet in one column with opposite signs: no row is empty by rule.
        size = np.sqrt(np.asarray(hashed.multiply(hashed).sum(axis=1)).ravel())
        return sp.csr_matrix(sp.diags(1 / np.maximum(size, 1e-12)) @ hashed, dtype=np.float32)

    def _features(self, window: list[str]) -> Iterator[str]:
        middle = len(window) // 2
        token = window[middle]
        small = [word.lower() for word in window]
        shapes = [shape_of(word) for word in window]
        yield "bias"
        if self.words:
            yield from (f"w{i - middle}={word}" for i, word in enumerate(small))
            yield from (f"p{i - middle}={a} {b}" for i, (a, b) in _near(small, middle))
            yield from (f"in={word}" for word in small[middle].split())
        if self.shapes:
            yield from (f"s{i - middle}={shape}" for i, shape in enumerate(shapes))
            yield from (f"q{i - middle}={a} {b}" for i, (a, b) in _near(shapes, middle))
            yield f"long={long_shape_of(token)}"
        for length in range(1, min(self.affixes, len(token)) + 1):
            yield f"begins={small[middle][:length]}"
            yield f"ends={small[middle][-length:]}"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def long_shape_of(word: str) -> str:
    """Return a word with every letter as X or x and every digit as d.

    Parameters
    ----------
    word : str
        A token.

    Returns
    -------
    str
        Its shape, of the same length.

    Examples
    --------
    >>> from metaskl_text.token_features import long_shape_of
    >>> long_shape_of("U.S.-27th")
    'X.X.-ddxx'
    """
    return "".join(_kind(letter) for letter in word)


@lru_cache(maxsize=2**16)
def shape_of(word: str) -> str:
    """Return a word's shape with runs shortened to one.

    Parameters
    ----------
    word : str
        A token.

    Returns
    -------
    str
        Its shape; empty for the empty word beyond a sentence.

    Examples
    --------
    >>> from metaskl_text.token_features import shape_of
    >>> shape_of("McDonald"), shape_of("1984")
    ('XxXx', 'd')
    """
    return "".join(kind for kind, _ in groupby(long_shape_of(word)))


def _kind(letter: str) -> str:
    if letter.isdigit():
        return "d"
    if letter.isalpha():
        return "x" if letter.islower() else "X"
    return letter


def _near(items: list[str], middle: int) -> Iterable[tuple[int, tuple[str, str]]]:
    """Return the pairs of the middle with the one before, and with the one after."""
    pairs = enumerate(pairwise(items))
    return [(i, pair) for i, pair in pairs if middle in (i, i + 1)]


def _windows(X: Any) -> np.ndarray[Any, np.dtype[np.object_]]:
    windows = np.asarray(X, dtype=object)
    if windows.ndim != 2 or windows.shape[1] % 2 == 0 or not len(windows):
        raise ValueError(
            f"X must hold windows (n_tokens, odd number of tokens), got the shape {windows.shape}. "
            "Make them of a token table with TokenWindows."
        )
    if not all(isinstance(word, str) for word in windows.flat):
        raise ValueError("X must hold texts only. Make it of a token table with TokenWindows.")
    return windows
