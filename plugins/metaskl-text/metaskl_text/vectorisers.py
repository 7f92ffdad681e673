"""Texts as dense vectors by their words alone: ready pipelines of scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer


def tfidf_vectors(
    n_components: int = 100,
    *,
    ngram_range: tuple[int, int] = (1, 2),
    analyzer: str = "word",
    min_df: int = 2,
    random_state: int | None = 0,
) -> Pipeline:
    """Return a Pipeline from texts to latent semantic vectors of their tf-idf words.

    Parameters
    ----------
    n_components : int, default=100
        Length of a vector, >= 1 and at most the number of words that are kept.
    ngram_range : tuple of two int, default=(1, 2)
        Shortest and longest run of words (or characters) that counts as one.
    analyzer : {"word", "char", "char_wb"}, default="word"
        What is counted: words; runs of characters suit languages rich in endings.
    min_df : int, default=2
        Texts that must hold a word, or it is left out.
    random_state : int or None, default=0
        Seed of the decomposition.

    Returns
    -------
    :class:`~sklearn.pipeline.Pipeline`
        With the steps ``words``, ``components`` and ``length``; vectors have length 1.

    References
    ----------
    S. Deerwester, S. Dumais, G. Furnas, T. Landauer, R. Harshman. Indexing by Latent Semantic
    Analysis. Journal of the American Society for Information Science, 1990.

    Examples
    --------
    >>> from metaskl_text import tfidf_vectors
    >>> texts = ["set an alarm", "set a timer", "play a song", "play an album"]
    >>> tfidf_vectors(2).fit_transform(texts).shape
    (4, 2)
    """
    words = TfidfVectorizer(
        sublinear_tf=True, min_df=min_df, ngram_range=ngram_range, analyzer=analyzer
    )
    return _pipeline([("words", words)], n_components, random_state)


def hashing_vectors(
    n_components: int = 100,
    *,
    n_features: int = 2**16,
    ngram_range: tuple[int, int] = (1, 2),
    analyzer: str = "word",
    random_state: int | None = 0,
) -> Pipeline:
    """Return a Pipeline from texts to vectors of hashed words, which keeps no vocabulary.

    A word is a column by its hash, so that a fitted Pipeline holds none of the texts' words, and
    memory does not grow with the vocabulary.

    Parameters
    ----------
    n_components : int, default=100
        Length of a vector, >= 1.
    n_features : int, default=65536
        Columns to hash to; fewer means more words that share one.
    ngram_range : tuple of two int, default=(1, 2)
        Shortest and longest run of words (or characters) that counts as one.
    analyzer : {"word", "char", "char_wb"}, default="word"
        What is counted.
    random_state : int or None, default=0
        Seed of the decomposition.

    Returns
    -------
    :class:`~sklearn.pipeline.Pipeline`
        With the steps ``words``, ``weights`` (tf-idf), ``components`` and ``length``; vectors
        have length 1.

    References
    ----------
    K. Weinberger, A. Dasgupta, J. Langford, A. Smola, J. Attenberg. Feature Hashing for Large
    Scale Multitask Learning. ICML 2009.

    Examples
    --------
    >>> from metaskl_text import hashing_vectors
    >>> hashing_vectors(2).fit_transform(["set an alarm", "set a timer", "play a song"]).shape
    (3, 2)
    """
    words = HashingVectorizer(
        n_features=n_features,
        ngram_range=ngram_range,
        analyzer=analyzer,
        alternate_sign=False,
        norm=None,
    )
    steps = [("words", words), ("weights", TfidfTransformer(sublinear_tf=True))]
    return _pipeline(steps, n_components, random_state)


def _pipeline(
    steps: list[tuple[str, Any]], n_components: int, random_state: int | None
) -> Pipeline:
    components = TruncatedSVD(n_components, random_state=random_state)
    return Pipeline([*steps, ("components", components), ("length", Normalizer())])
