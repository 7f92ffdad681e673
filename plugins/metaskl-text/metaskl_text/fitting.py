"""Fitting with task ids, where there are any."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import config_context

from metaskl.errors import ParameterError
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
        Task of each row, for a meta-learner, or a Pipeline that ends in one.

    Returns
    -------
    estimator
        The fitted estimator.

    Raises
    ------
    ParameterError
        If there are tasks but no meta-learner.
    """
    if groups is None:
        return estimator.fit(X, y)
    check_has_use_of(groups, estimator)
    with config_context(enable_metadata_routing=True):  # or a Pipeline hands groups to no step
        return estimator.fit(X, y, groups=np.asarray(groups))


def check_has_use_of(groups: Any, *estimators: Any) -> None:
    """Raise a ParameterError if there are tasks but none of the estimators is a meta-learner."""
    if groups is not None and not any(map(can_adapt, estimators)):
        got = " and ".join(map(repr, estimators))
        raise ParameterError(
            f"groups must be left out without a meta-learner, got them for {got}. Leave them out, "
            "or give a meta-learner such as metaskl.MetaClassifier."
        )
