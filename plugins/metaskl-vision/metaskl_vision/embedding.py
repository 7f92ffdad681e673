"""Meta-learned features as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from metaskl._compat import limit_threads
from metaskl.errors import ParameterError
from metaskl.estimators.inputs import scale

_BLOCK = 256


class MetaEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of pictures from the network that a meta-learner has learned.

    Parameters
    ----------
    estimator : estimator
        A classifier whose learner has one network for all tasks: prototypes, matching, SimpleShot,
        relation or a head on features. Give it ``label_space="task"`` for classes that are not
        those of `fit`.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl import ProtoNetClassifier
    >>> from metaskl.backbones import Conv4
    >>> from metaskl_vision import MetaEmbedding
    >>> X, y = np.random.default_rng(0).random((60, 1, 16, 16)), np.repeat(np.arange(6), 10)
    >>> meta = ProtoNetClassifier(
    ...     backbone=Conv4(8), label_space="task", max_epochs=1, steps_per_epoch=1
    ... )
    >>> MetaEmbedding(meta).fit(X, y).transform(X).shape
    (60, 8)
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train on pictures (n, C, H, W), their classes and, if there are any, tasks."""
        self.estimator_ = clone(self.estimator).fit(X, y, groups=groups)
        if not isinstance(getattr(self.estimator_.net_.module_, "backbone", None), torch.nn.Module):
            raise ParameterError(
                "estimator must have one network for all tasks, got a "
                f"{type(self.estimator).__name__}. Use a ProtoNetClassifier."
            )
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the features (n, n_features_out) of pictures (n, C, H, W)."""
        check_is_fitted(self, "estimator_")
        meta = self.estimator_
        X = np.asarray(X)
        if X.shape[1:] != meta.in_shape_:
            raise ParameterError(
                f"X must hold pictures of shape {meta.in_shape_} as in fit, got {X.shape[1:]}. "
                "Bring them to the same size and channels first."
            )
        network = meta.net_.module_.eval().backbone
        rows = torch.from_numpy(scale(X, meta.x_scaling_))
        with torch.no_grad(), limit_threads(meta.n_threads):
            blocks = [
                network(rows[start : start + _BLOCK].to(meta.device_)).cpu()
                for start in range(0, len(rows), _BLOCK)
            ]
        features: npt.NDArray[np.float64] = torch.cat(blocks).double().numpy()
        return features


def flatten_pictures() -> FunctionTransformer:
    """Return a step that makes a row of pixels of each picture, for ordinary estimators.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl_vision import flatten_pictures
    >>> flatten_pictures().fit_transform(np.zeros((2, 1, 4, 5))).shape
    (2, 20)
    """
    return FunctionTransformer(_flat)


def _flat(X: Any) -> npt.NDArray[Any]:
    rows: npt.NDArray[Any] = np.asarray(X)
    return rows.reshape(len(rows), -1)
