"""N-way k-shot scores over random episodes of new classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import _safe_indexing, check_consistent_length

from metaskl.errors import TaskError
from metaskl.estimators.adapt import adapt_groups
from metaskl.evaluation.draws import check_count


def episode_scores(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    n_way: int = 5,
    n_shot: int = 1,
    n_query: int = 15,
    n_episodes: int = 600,
    random_state: int = 0,
) -> npt.NDArray[np.float64]:
    """Return the accuracy of each of many n-way k-shot episodes.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier with ``label_space="task"``, or a Pipeline that ends in one.
    X : array-like of shape (n_rows, ...)
        Rows of classes that were not seen in fit.
    y : array-like of shape (n_rows,)
        Their classes.
    groups : array-like of shape (n_rows,), optional
        With it the classes of an episode come from one group (characters of one alphabet).
    n_way, n_shot, n_query : int, default=5, 1, 15
        Classes of an episode, support rows and (at most) query rows of each class.
    n_episodes : int, default=600
        Episodes.
    random_state : int, default=0
        Seed.

    Returns
    -------
    ndarray of shape (n_episodes,)
        Fractions of the query rows predicted right. The mean's 95 % half-interval is
        1.96 times the standard deviation over the square root of the number of episodes.

    Raises
    ------
    TaskError
        If there are fewer than `n_way` classes with more than `n_shot` rows, or a number is
        not a whole one that is large enough.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl import ProtoNetClassifier
    >>> from metaskl.evaluation import episode_scores
    >>> from metaskl.tasks import BlobTasks
    >>> classes = BlobTasks().sample_classes(20, 30, random_state=0)
    >>> y = np.repeat(classes.task_ids, classes.sizes)
    >>> meta = ProtoNetClassifier(label_space="task", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(classes.X.numpy(), y)
    >>> episode_scores(meta, classes.X.numpy(), y, n_episodes=10).shape
    (10,)
    """
    check_count("n_way", n_way, 2)
    for name, value in (("n_shot", n_shot), ("n_query", n_query), ("n_episodes", n_episodes)):
        check_count(name, value)
    check_consistent_length(X, y, groups)
    rng = np.random.default_rng(random_state)
    y = np.asarray(y)
    pool = np.zeros(len(y), int) if groups is None else np.unique(groups, return_inverse=True)[1]
    rows_of = {
        (p, label): np.flatnonzero((pool == p) & (y == label))
        for p in np.unique(pool).tolist()
        for label in np.unique(y[pool == p]).tolist()
    }
    usable = [key for key, rows in rows_of.items() if len(rows) > n_shot]
    pools = [[key for key in usable if key[0] == p] for p in np.unique(pool).tolist()]
    pools = [classes for classes in pools if len(classes) >= n_way]
    if not pools:
        raise TaskError(
            f"n_way={n_way} classes with more than n_shot={n_shot} rows are needed, got "
            f"{len(usable)} such classes{'' if groups is None else ' over all groups'}. Lower "
            "n_way or n_shot."
        )
    supports, queries = [], []
    # Shuffled as in meta-training, for those who read a support as a sequence: class after class
    # is unlike anything that they were trained on.
    (shuffling,) = rng.spawn(1)
    for _ in range(n_episodes):
        classes = pools[rng.integers(len(pools))]
        drawn = [
            rng.permutation(rows_of[classes[i]])[: n_shot + n_query]
            for i in rng.choice(len(classes), n_way, replace=False)
        ]
        supports.append(shuffling.permutation(np.concatenate([rows[:n_shot] for rows in drawn])))
        queries.append(np.concatenate([rows[n_shot:] for rows in drawn]))
    support = np.concatenate(supports)
    ids = np.repeat(np.arange(n_episodes), n_way * n_shot)
    copies = adapt_groups(estimator, _safe_indexing(X, support), y[support], ids)
    return np.array(
        [
            np.mean(copies[i].predict(_safe_indexing(X, query)) == y[query])
            for i, query in enumerate(queries)
        ]
    )
