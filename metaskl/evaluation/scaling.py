"""Standardisation that leaves sparse features as they are."""

from __future__ import annotations

from typing import Any, Self

from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data


class DenseScaler(StandardScaler):  # type: ignore[misc]
    """Standardise dense columns; the weights of words and the like have a common scale already.

    They cannot be centred and stay sparse, and with unit variance the rarest words would weigh
    most. What was fitted to one kind transforms that kind alone.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: D102
        if not issparse(X):
            return super().fit(X, y, sample_weight)  # type: ignore[no-any-return]
        self._reset()
        validate_data(self, X, accept_sparse=True, ensure_all_finite="allow-nan")
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Any:  # noqa: D102
        check_is_fitted(self)
        fitted = "dense" if hasattr(self, "scale_") else "sparse"
        given = "sparse" if issparse(X) else "dense"
        if fitted != given:
            raise ValueError(
                f"X must be {fitted} as in fit, got {given} features. Bring both to one kind, "
                "for example by X.toarray()."
            )
        if given == "dense":
            return super().transform(X, copy)
        return validate_data(
            self, X, accept_sparse=True, ensure_all_finite="allow-nan", reset=False
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
