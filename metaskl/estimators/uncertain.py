"""Regressors that know how uncertain they are."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import numpy as np
from sklearn.dummy import DummyRegressor

from metaskl.errors import ParameterError, named
from metaskl.estimators.inputs import Array
from metaskl.learners import MetaLearner


class PredictsStd:
    """A regressor whose learner has ``predict_std``: ``predict(X, return_std=True)``.

    Comes first among the bases: ``class MyRegressor(PredictsStd, MyFamily, BaseMetaRegressor)``.
    """

    # So that a Pipeline hands return_std on with metadata routing too.
    __metadata_request__predict: ClassVar = {"return_std": True}
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


def refuse_std(name: str) -> NoReturn:
    """Raise because what is named gives no standard deviations."""
    raise ParameterError(
        f"return_std must be False for {name}, which gives no standard deviations, got True. "
        "Leave it out, or use a regressor that knows them, such as RidgeHeadRegressor."
    )


def predict_with_std(model: Any, X: Any) -> tuple[Array, Array]:
    """Return mean and standard deviation of any model's predictions.

    Raises
    ------
    ParameterError
        If the model gives no standard deviations.
    """
    try:
        mean, std = model.predict(X, return_std=True)
    except TypeError as error:  # an estimator, or a Pipeline's last step, without the argument
        if "return_std" not in str(error):
            raise
        refuse_std(named(model))
    if isinstance(model, DummyRegressor):  # it says 0, but a constant knows nothing of its error
        std = np.full_like(mean, np.nan)
    return mean, std
