"""Standardisation that leaves sparse features as they are."""

from __future__ import annotations

from typing import Any, Self

from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler


class DenseScaler(StandardScaler):  # type: ignore[misc]
    """Standardise dense columns; the weights of words and the like have a common scale already.

    They cannot be centred and stay sparse, and with unit variance the rarest words would weigh
    most.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: D102
        if not issparse(X):
            return super().fit(X, y, sample_weight)  # type: ignore[no-any-return]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Any:  # noqa: D102
        return X if issparse(X) else super().transform(X, copy)
