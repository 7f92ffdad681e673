"""Pictures as rows of numbers, for models that know tables only."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Flatten(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn rows of any shape into rows of numbers: ``(n, C, H, W)`` into ``(n, C * H * W)``.

    Put it before an ordinary model that is to be compared on pictures. Tables pass as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl.evaluation import Flatten
    >>> Flatten().fit_transform(np.zeros((5, 1, 8, 8))).shape
    (5, 64)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn nothing.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Features.
        y : object, optional
            Ignored.

        Returns
        -------
        self
            The transformer itself.
        """
        del X, y
        return self

    def transform(self, X: Any) -> Any:
        """Return each row as one row of numbers.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_numbers)
            The same numbers; a table is returned as it is.
        """
        if n_axes(X) <= 2:
            return X
        rows = np.asarray(X)
        return rows.reshape(len(rows), int(np.prod(rows.shape[1:])))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.requires_fit = False
        return tags


def n_axes(X: Any) -> int:
    """Return the number of axes of an array, a sparse matrix, a frame or nested lists."""
    return X.ndim if hasattr(X, "ndim") else np.ndim(X)
