"""Template matching, the plain baseline of detection."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from metaskl.errors import ParameterError


class TemplateMatching(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The class of the most correlated picture: nearest pixels, whatever the brightness.

    Parameters
    ----------
    temperature : float, default=0.05
        How much correlation makes one class e times as probable as another, > 0.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import TemplateMatching
    >>> rising, falling = np.arange(4.0), -np.arange(4.0)
    >>> TemplateMatching().fit([rising, falling], ["up", "down"]).predict([rising**2]).tolist()
    ['up']
    """

    def __init__(self, temperature: float = 0.05) -> None:
        self.temperature = temperature

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the pictures (n, ...) and their classes (n,)."""
        if not self.temperature > 0:
            raise ParameterError(
                f"temperature must be above 0, got {self.temperature!r}. Take 0.05."
            )
        check_consistent_length(X, y)
        self.templates_ = _standardised(X)
        self.classes_, self.numbers_ = np.unique(y, return_inverse=True)
        return self

    def correlation(self, X: Any) -> npt.NDArray[np.float64]:
        """Return each picture's greatest correlation with a template of each class, −1 to 1."""
        check_is_fitted(self, "classes_")
        alike = _standardised(X) @ self.templates_.T
        best = [alike[:, self.numbers_ == i].max(axis=1) for i in range(len(self.classes_))]
        return np.stack(best, axis=1)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return a softmax of the correlations, (n, n_classes)."""
        probability: npt.NDArray[np.float64] = softmax(
            self.correlation(X) / self.temperature, axis=1
        )
        return probability

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the class of the most correlated template."""
        best: npt.NDArray[Any] = self.classes_[self.correlation(X).argmax(axis=1)]
        return best


def _standardised(X: Any) -> npt.NDArray[np.float64]:
    """Return rows of mean 0 and length 1 (of length 0 where all pixels are equal)."""
    X = np.asarray(X, dtype=np.float64)
    X = X.reshape(len(X), -1)
    X = X - X.mean(axis=1, keepdims=True)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    rows: npt.NDArray[np.float64] = X / np.where(length > 0, length, 1.0)
    return rows
