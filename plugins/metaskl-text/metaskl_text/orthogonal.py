"""The rotation from one language's vectors to another's, learned from one dictionary."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class OrthogonalMap(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Orthogonal Procrustes: the rotation, or reflection, with the least squared error.

    W = argmin ‖X W − Y‖² with W Wᵀ = 1 is U Vᵀ, where U S Vᵀ = Xᵀ Y [1]_. Rotations keep
    lengths and angles, so that few pairs of words fix the map; it is the standard of bilingual word
    vectors [2]_, and the plain baseline of :class:`~metaskl_text.Procrustes`, which knows other
    pairs of languages. With fewer outputs than features W has orthonormal columns and shortens
    vectors: U Vᵀ then maximises the agreement tr (X W)ᵀ Y; its squared error is the least only
    where XᵀX is a multiple of the identity.

    Parameters
    ----------
    centre : bool, default=False
        Whether to subtract the means of the features and of the targets first.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_features)
        Wᵀ.
    intercept_ : ndarray of shape (n_outputs,)
        What is added; 0 unless `centre`.

    References
    ----------
    .. [1] P. Schönemann. A Generalized Solution of the Orthogonal Procrustes Problem.
       Psychometrika, 1966.
    .. [2] C. Xing, D. Wang, C. Liu, Y. Lin. Normalized Word Embedding and Orthogonal Transform
       for Bilingual Word Translation. NAACL 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_text import OrthogonalMap
    >>> quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> OrthogonalMap().fit(X, X @ quarter).predict([[1.0, 1.0]]).round(6).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, *, centre: bool = False) -> None:
        self.centre = centre

    def fit(self, X: Any, y: Any) -> Self:
        """Find the map from pairs of words.

        Parameters
        ----------
        X : array-like of shape (n_pairs, n_features)
            Vectors of the source language.
        y : array-like of shape (n_pairs, n_outputs) or (n_pairs,)
            Vectors of their translations.

        Returns
        -------
        self
            The fitted map.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._one_output = y.ndim == 1
        targets = y.reshape(len(y), -1)
        mean_X, mean_y = X.mean(0), targets.mean(0)
        if not self.centre:
            mean_X, mean_y = np.zeros_like(mean_X), np.zeros_like(mean_y)
        left, _, right = np.linalg.svd((X - mean_X).T @ (targets - mean_y), full_matrices=False)
        self.coef_ = (left @ right).T
        self.intercept_ = mean_y - self.coef_ @ mean_X
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the mapped vectors, of the shape of the targets in `fit`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Vectors of the source language.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        mapped: npt.NDArray[np.float64] = X @ self.coef_.T + self.intercept_
        return mapped[:, 0] if self._one_output else mapped

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # a rotation does not scale
        return tags
