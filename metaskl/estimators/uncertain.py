"""Regressors that know how uncertain they are."""

from __future__ import annotations

from typing import Any

from metaskl.errors import ParameterError
from metaskl.estimators.inputs import Array
from metaskl.learners import MetaLearner


class PredictsStd:
    """A regressor whose learner has ``predict_std``: ``predict(X, return_std=True)``.

    Comes first among the bases: ``class MyRegressor(PredictsStd, MyFamily, BaseMetaRegressor)``.
    """

    y_is_1d_: bool
    y_scaling_: dict[str, Array]

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict targets, and how uncertain they are.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        mean : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The predictive mean: of the adapted task, or before adapting of a task of which
            nothing is known yet.
        std : ndarray of the same shape, with ``return_std=True``
            The standard deviation of a new target around the mean, noise included, in units of
            the target.

        Raises
        ------
        ParameterError
            If the learner gives no standard deviations.
        """
        mean = super().predict(X)  # type: ignore[misc]
        if not return_std:
            return mean
        learner: type[MetaLearner] = self._learner()  # type: ignore[attr-defined]
        if learner.predict_std is MetaLearner.predict_std:
            refuse_std(learner.__name__)
        std = self._outputs(X, std=True) * self.y_scaling_["scale"]  # type: ignore[attr-defined]
        return mean, (std[:, 0] if self.y_is_1d_ else std)


def refuse_std(name: str) -> None:
    """Raise because what is named gives no standard deviations."""
    raise ParameterError(
        f"return_std must be False for {name}, which gives no standard deviations, got True. "
        "Leave it out, or use a regressor that knows them, such as RidgeHeadRegressor."
    )
