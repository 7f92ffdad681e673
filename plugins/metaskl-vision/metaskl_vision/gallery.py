"""Who is it, and is it the one who is claimed? From a few pictures of each person."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from metaskl.errors import ParameterError, SupportError

Array = npt.NDArray[Any]
_METRICS = ("cosine", "euclidean")
_RULES = ("mean", "nearest")


class Gallery(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A closed set of persons (or of any classes), known by a few pictures each.

    ``fit`` enrols: it embeds the pictures by a transformer that was fitted on *other* persons.
    Nothing is trained, so persons can come and go.

    Parameters
    ----------
    embedding : transformer
        Fitted; maps pictures to features (n, n_features). `fit` uses it as it is; where the
        gallery itself is cloned, as by cross-validation, wrap it in
        :class:`~sklearn.frozen.FrozenEstimator`, or its copy is not fitted.
    metric : {"cosine", "euclidean"}, default="cosine"
        The similarity of two pictures: the cosine of their features, or minus their distance.
    rule : {"mean", "nearest"}, default="mean"
        A person is the mean of the gallery's features (a prototype), or the nearest of them.
    threshold : float, default=0.0
        From which similarity on :meth:`verify` accepts; see :func:`equal_error_rate`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_persons,)
        The persons.

    Examples
    --------
    >>> from metaskl_vision import Gallery, flatten_pictures
    >>> import numpy as np
    >>> gallery = Gallery(flatten_pictures(), metric="euclidean", threshold=-1.5)
    >>> gallery = gallery.fit([[[[0.0]]], [[[4.0]]]], ["ann", "bob"])
    >>> probes = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> gallery.predict(probes).tolist(), gallery.verify(probes, ["ann", "ann"]).tolist()
    (['ann', 'bob'], [True, False])
    """

    def __init__(
        self,
        embedding: Any,
        metric: str = "cosine",
        rule: str = "mean",
        threshold: float = 0.0,
    ) -> None:
        self.embedding = embedding
        self.metric = metric
        self.rule = rule
        self.threshold = threshold

    def fit(self, X: Any, y: Any) -> Self:
        """Enrol the pictures `X` (n, C, H, W) of the persons `y` (n,)."""
        for name, known in (("metric", _METRICS), ("rule", _RULES)):
            if getattr(self, name) not in known:
                raise ParameterError(f"{name} must be one of {known}, got {getattr(self, name)!r}.")
        y = np.asarray(y)
        features = self._features(X)
        if len(features) != len(y) or not len(y):
            raise SupportError(
                f"y must name the person of each picture, got {len(y)} names for "
                f"{len(features)} pictures."
            )
        self.classes_, person = np.unique(y, return_inverse=True)
        self.features_, self.persons_ = features, person
        if self.rule == "mean":
            member = np.eye(len(self.classes_))[person]
            self.features_ = member.T @ features / member.sum(0)[:, None]
            self.persons_ = np.arange(len(self.classes_))
        return self

    def similarity(self, X: Any) -> npt.NDArray[np.float64]:
        """Return how alike each picture is to each person, (n, n_persons)."""
        check_is_fitted(self, "classes_")
        features = self._features(X)
        if self.metric == "cosine":
            alike = normalize(features) @ normalize(self.features_).T
        else:
            squares = (features**2).sum(1)[:, None] + (self.features_**2).sum(1)
            alike = -np.sqrt(np.maximum(squares - 2 * features @ self.features_.T, 0.0))
        best = [alike[:, self.persons_ == i].max(axis=1) for i in range(len(self.classes_))]
        return np.stack(best, axis=1)

    def predict(self, X: Any) -> Array:
        """Name the most similar person for each picture (closed set)."""
        best: Array = self.classes_[self.similarity(X).argmax(axis=1)]
        return best

    def verify(self, X: Any, claimed: Any) -> npt.NDArray[np.bool_]:
        """Say for each picture whether it is the person claimed.

        Raises
        ------
        SupportError
            If someone is claimed who is not enrolled.
        """
        alike, claimed = self.similarity(X), np.asarray(claimed)
        unknown = np.setdiff1d(claimed, self.classes_)
        if len(unknown) or claimed.shape != (len(alike),):
            raise SupportError(
                f"claimed must name one enrolled person for each of the {len(alike)} pictures, got "
                f"names of shape {claimed.shape}, unknown among them: {unknown[:5].tolist()}."
            )
        own = alike[np.arange(len(alike)), np.searchsorted(self.classes_, claimed)]
        accepted: npt.NDArray[np.bool_] = own >= self.threshold
        return accepted

    def _features(self, X: Any) -> npt.NDArray[np.float64]:
        # As an array: what a list of pictures lacks is the shape that steps ask for.
        return np.asarray(self.embedding.transform(np.asarray(X)), dtype=np.float64)
