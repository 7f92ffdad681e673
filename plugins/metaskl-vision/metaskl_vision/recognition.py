"""Protocols of face recognition: which pictures are enrolled, which are probes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metaskl.errors import TaskError
from metaskl_vision.error_rates import equal_error_rate
from metaskl_vision.gallery import Gallery

Array = npt.NDArray[Any]


def identify(
    gallery: Gallery, X: Any, y: Any, *, n_shot: int = 1, n_repeats: int = 10, random_state: int = 0
) -> pd.DataFrame:
    """Enrol a few pictures of each person and name all the others (closed set).

    Parameters
    ----------
    gallery : Gallery
        With an embedding that was fitted on other persons; it is not changed.
    X : array-like of shape (n, C, H, W)
        Pictures.
    y : array-like of shape (n,)
        Persons.
    n_shot : int, default=1
        Pictures of a person that are enrolled, >= 1.
    n_repeats : int, default=10
        Draws of them, >= 1. They depend on `y`, `n_shot` and `random_state` alone, so that every
        gallery sees the same rows.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        ``repeat``, ``person``, ``accuracy``: the share of a person's other pictures named right.

    Raises
    ------
    TaskError
        If there are fewer than 2 persons or one has no more than `n_shot` pictures.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import Gallery, flatten_pictures, identify
    >>> X, y = np.repeat([0.0, 9.0], 6).reshape(12, 1, 1, 1), np.repeat(["ann", "bob"], 6)
    >>> identify(Gallery(flatten_pictures(), "euclidean"), X, y, n_shot=5)["accuracy"].mean()
    np.float64(1.0)
    """
    X, y = np.asarray(X), np.asarray(y)
    records = []
    for repeat, (enrolled, probes) in enumerate(_draws(y, n_shot, n_repeats, random_state)):
        right = _enrolled(gallery, X[enrolled], y[enrolled]).predict(X[probes]) == y[probes]
        records += [
            {
                "repeat": repeat,
                "person": person,
                "accuracy": float(right[y[probes] == person].mean()),
            }
            for person in np.unique(y).tolist()
        ]
    return pd.DataFrame(records)


def verify(
    gallery: Gallery,
    X: Any,
    y: Any,
    *,
    X_other: Any,
    y_other: Any,
    n_shot: int = 1,
    n_repeats: int = 10,
    random_state: int = 0,
) -> pd.DataFrame:
    """Claim for every picture that is not enrolled, of every person, that it is this person.

    The threshold is the one of equal errors on other persons, who are enrolled and tried in the
    same way.

    Parameters
    ----------
    gallery : Gallery
        With an embedding fitted on none of these persons; it is not changed, and its own
        ``threshold`` is not used.
    X, y : array-like of shape (n, C, H, W) and (n,)
        Pictures and persons that are judged.
    X_other, y_other : array-like of shape (m, C, H, W) and (m,)
        Pictures and persons that the threshold is chosen on.
    n_shot, n_repeats, random_state : int
        As in :func:`identify`.

    Returns
    -------
    DataFrame
        A trial a row: ``repeat``, ``claimed``, ``probe`` (whose picture it is), ``same``,
        ``similarity``, ``threshold``, ``accepted``. See :func:`verification_report`.

    Raises
    ------
    TaskError
        If persons are among both, or there are too few of them or of their pictures.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import Gallery, flatten_pictures, verification_report, verify
    >>> X, y = np.arange(24.0).reshape(24, 1, 1, 1), np.repeat(["ann", "bob", "cy", "di"], 6)
    >>> gallery, known = Gallery(flatten_pictures(), "euclidean"), y < "c"
    >>> trials = verify(gallery, X[known], y[known], X_other=X[~known], y_other=y[~known])
    >>> verification_report(trials).loc["roc_auc", "mean"] > 0.8
    np.True_
    """
    X_other, y_other = np.asarray(X_other), np.asarray(y_other)
    both = np.intersect1d(np.unique(y), np.unique(y_other))
    if len(both):
        raise TaskError(
            f"y_other must hold other persons than y, got {both[:5].tolist()} in both. A threshold "
            "chosen on those who are judged flatters."
        )
    others = _trials(gallery, X_other, y_other, n_shot, n_repeats, random_state)
    threshold = equal_error_rate(others["same"], others["similarity"])[1]
    trials = _trials(gallery, np.asarray(X), np.asarray(y), n_shot, n_repeats, random_state)
    return trials.assign(threshold=threshold, accepted=trials["similarity"] >= threshold)


def _trials(
    gallery: Gallery, X: Array, y: Array, n_shot: int, n_repeats: int, random_state: int
) -> pd.DataFrame:
    """Compare every probe with every person."""
    tables = []
    for repeat, (enrolled, probes) in enumerate(_draws(y, n_shot, n_repeats, random_state)):
        known = _enrolled(gallery, X[enrolled], y[enrolled])
        alike = known.similarity(X[probes])
        claimed, probe = np.meshgrid(known.classes_, y[probes])
        tables.append(
            pd.DataFrame(
                {
                    "repeat": repeat,
                    "claimed": claimed.ravel(),
                    "probe": probe.ravel(),
                    "same": (claimed == probe).ravel(),
                    "similarity": alike.ravel(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _enrolled(gallery: Gallery, X: Array, y: Array) -> Gallery:
    """Return a copy that knows these pictures; the embedding is fitted and stays as it is."""
    return copy.copy(gallery).fit(X, y)


def _draws(y: Array, n_shot: int, n_repeats: int, random_state: int) -> list[tuple[Array, Array]]:
    """Return the rows enrolled and the rows of the probes of each repeat."""
    persons, counts = np.unique(y, return_counts=True)
    if len(persons) < 2 or counts.min() <= n_shot or n_shot < 1:
        raise TaskError(
            f"y must hold at least 2 persons with more than n_shot={n_shot} (at least 1) pictures "
            f"each, got {len(persons)} persons, the least with {counts.min() if len(y) else 0}. "
            "Lower n_shot."
        )
    rng = np.random.default_rng(random_state)
    draws = []
    for _ in range(n_repeats):
        rows = [rng.permutation(np.flatnonzero(y == person)) for person in persons]
        enrolled = np.concatenate([of_one[:n_shot] for of_one in rows])
        probes = np.concatenate([of_one[n_shot:] for of_one in rows])
        draws.append((enrolled, probes))
    return draws
