"""Fitting with task ids, where there are any."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import config_context

from metaskl.estimators.adapt import can_adapt


def fit_over_tasks(estimator: Any, X: Any, y: Any, groups: Any = None) -> Any:
    """Fit an estimator, handing it the task of each row if there are tasks.

    Parameters
    ----------
    estimator : estimator
        To be fitted in place.
    X, y : array-like of shape (n_rows, ...) and (n_rows,)
        Rows and targets.
    groups : array-like of shape (n_rows,), optional
        Task of each row, for a meta-learner, or a Pipeline that ends in one. An ordinary
        estimator has no use for them: it learns from all rows alike.

    Returns
    -------
    estimator
        The fitted estimator.
    """
    if groups is None or not can_adapt(estimator):
        return estimator.fit(X, y)
    with config_context(enable_metadata_routing=True):  # or a Pipeline hands groups to no step
        return estimator.fit(X, y, groups=np.asarray(groups))
