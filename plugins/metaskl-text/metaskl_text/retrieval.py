"""Translation by nearest neighbours between two sets of vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import normalize

from metaskl.errors import ParameterError

Floats = npt.NDArray[np.float64]
_BLOCK = 1024  # rows of the table of cosines that are held at a time
_METHODS = ("csls", "nearest")


def translate(
    mapped: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    method: str = "csls",
    n_neighbors: int = 10,
) -> npt.NDArray[np.int64]:
    """Return the row of `targets` that each mapped vector is most like.

    Parameters
    ----------
    mapped : array-like of shape (n_source, n_features)
        Vectors of the source language, mapped to the target's space.
    targets : array-like of shape (n_target, n_features)
        Vectors of all candidates of the target language.
    method : {"csls", "nearest"}, default="csls"
        ``"nearest"``: the highest cosine. ``"csls"``: cross-domain similarity local scaling [1]_,
        2 cos(x, y) − r(x) − r(y), where r is the mean cosine of a vector with its nearest
        `n_neighbors` of the other language, so that targets near to everything (hubs) lose.
    n_neighbors : int, default=10
        Neighbours in r, >= 1; of fewer vectors all are taken.

    Returns
    -------
    ndarray of int, shape (n_source,)
        Indices into `targets`.

    Raises
    ------
    ParameterError
        If `method` or `n_neighbors` is out of range.

    Notes
    -----
    With ``"csls"`` r(y) is estimated from the mapped vectors: an answer depends on what else is
    translated in the same call. Give them all at once.

    References
    ----------
    .. [1] A. Conneau, G. Lample, M. Ranzato, L. Denoyer, H. Jégou. Word Translation Without
       Parallel Data. ICLR 2018.

    Examples
    --------
    >>> from metaskl_text import translate
    >>> translate([[1.0, 0.1], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]], method="nearest").tolist()
    [1, 0]
    """
    if method not in _METHODS:
        raise ParameterError(f"method must be one of {_METHODS}, got {method!r}.")
    if n_neighbors < 1:
        raise ParameterError(f"n_neighbors must be at least 1, got {n_neighbors}.")
    X, Y = (normalize(np.asarray(part, dtype=np.float64)) for part in (mapped, targets))
    penalty = _nearness(Y, X, n_neighbors) if method == "csls" else np.zeros(len(Y))
    # r(x) is the same for all candidates of x.
    parts = [(2 * X[i : i + _BLOCK] @ Y.T - penalty).argmax(1) for i in range(0, len(X), _BLOCK)]
    return np.concatenate(parts)


def precision_at_one(
    mapped: npt.ArrayLike,
    targets: npt.ArrayLike,
    answers: npt.ArrayLike,
    *,
    method: str = "csls",
    n_neighbors: int = 10,
) -> float:
    """Return the share of vectors whose translation is right.

    Parameters
    ----------
    mapped : array-like of shape (n_source, n_features)
        Vectors of the source language, mapped to the target's space.
    targets : array-like of shape (n_target, n_features)
        Vectors of all candidates of the target language.
    answers : array-like of int, shape (n_source,)
        The right row of `targets` for each.
    method : {"csls", "nearest"}, default="csls"
        See :func:`translate`.
    n_neighbors : int, default=10
        See :func:`translate`.

    Returns
    -------
    float
        Precision at one, in [0, 1].

    Examples
    --------
    >>> from metaskl_text import precision_at_one
    >>> precision_at_one([[1.0, 0.1]], [[0.0, 1.0], [1.0, 0.0]], [1])
    1.0
    """
    found = translate(mapped, targets, method=method, n_neighbors=n_neighbors)
    return float(np.mean(found == np.asarray(answers)))


def _nearness(vectors: Floats, others: Floats, n_neighbors: int) -> Floats:
    """Return each vector's mean cosine with the nearest of the others."""
    k = min(n_neighbors, len(others))
    means = []
    for i in range(0, len(vectors), _BLOCK):
        cosines = vectors[i : i + _BLOCK] @ others.T
        means.append(np.partition(cosines, len(others) - k, axis=1)[:, -k:].mean(1))
    return np.concatenate(means)
