"""A shared regressor with random effects: between one model for all tasks and one for each."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from metaskl.errors import ParameterError
from metaskl.estimators.inputs import require_numbers
from metaskl.estimators.random_effects import MixedFit, blup, fit_mixed, size_of, times_root
from metaskl.estimators.shrinkage import Array, ShrinkageEstimator


class ShrunkRegressor(ShrinkageEstimator):
    """Shift one model for all tasks a little for each: mixed effects over any regressor.

    For a row x of task t, y = f(x) + z'b + e, with the task's random effects b ~ N(0, D), noise
    e ~ N(0, s²) and z = [1, features] [1]_. How tasks differ (D) and rows scatter (s) is learned
    in ``fit``; ``adapt`` then moves b away from 0 just as far as the support deserves: the best
    linear unbiased prediction [2]_. With a random intercept of variance τ² alone, n rows that
    lie r above f on average shift the task by r·nτ² / (nτ² + s²). The one to beat for any
    meta-learner on a table: it loses where tasks differ in more than a constant and slopes.

    Parameters
    ----------
    estimator : estimator, optional
        The shared model f, any scikit-learn regressor, as in mixed-effects random forests
        [3]_. By default f is linear and estimated together with the variances (a linear mixed
        model by restricted maximum likelihood).
    random_effects : {"slopes", "intercept"}, default="slopes"
        Whether tasks differ in the effect of each numeric feature, or in a constant only.
    covariance : {"shrunk", "full", "isotropic"}, default="shrunk"
        What is learned of D. "isotropic": one variance for the intercept, one for all slopes.
        "full": all variances and correlations, the way of lme4, for many tasks and few
        features. "shrunk": a compromise, the more like "full" the more tasks there are for
        each effect; with more than 50 slopes it is isotropic.
    standardize : bool, default=True
        Whether the random slopes are those of standardised features. False keeps the
        features' own units, as lme4 does; then they should be of like scale.
    shrink_fixed : bool, default=True
        Whether the default linear model shrinks the slopes of f too, by a Gaussian prior whose
        variance is learned with the others: a ridge without a penalty to tune. False is the
        classical mixed model. Not used with an `estimator`.
    cv : int or splitter, default=5
        Folds of tasks; what `estimator` leaves over is taken from rows of tasks that it did
        not see. Not used by the default linear model.

    Attributes
    ----------
    estimator_ : estimator
        The fitted shared model f.
    sigma_ : float
        Standard deviation s of the noise; NaN if an `estimator` had fewer than 2 tasks to learn
        it from.
    tau_ : ndarray of shape (1 + n_slopes,)
        Standard deviations of the random intercept and of each random slope; NaN if there
        were fewer than 2 tasks to learn them from.
    effects_ : ndarray of shape (1 + n_slopes,)
        The effects b: those of the task adapted to, and 0 before.
    task_effects_ : dict
        Effects of each task of fit.
    slope_scaler_ : Pipeline
        Turns features into those with a random slope.
    groups_column_ : str or None
        The data frame's column that names the task.
    n_features_in_ : int
        Number of features seen in fit, the task column not counted.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen in fit, if it was given a data frame.

    See Also
    --------
    ShrunkClassifier : The same for classes.
    PerTask : ``PerTask(ShrunkRegressor())`` predicts rows of the tasks of fit.

    Notes
    -----
    Without groups, or with one task, nothing is known of how tasks differ: b stays 0 and the
    estimator is f. The uncertainty of f itself is not part of ``return_std``. The likelihood
    reads no row again once cross-products are computed: with an `estimator` its cost grows
    with the number of features, else with rows times features², which is slow for
    thousands of features.

    References
    ----------
    .. [1] Laird and Ware. Random-Effects Models for Longitudinal Data. Biometrics 1982.
    .. [2] Robinson. That BLUP is a Good Thing: The Estimation of Random Effects. Statistical
       Science 1991.
    .. [3] Hajjem, Bellavance and Larocque. Mixed-Effects Random Forest for Clustered Data.
       Journal of Statistical Computation and Simulation 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl.estimators.shrunk import ShrunkRegressor
    >>> rng = np.random.default_rng(0)
    >>> school = np.repeat(np.arange(30), 8)
    >>> X = rng.normal(size=(240, 1))
    >>> y = X[:, 0] + rng.normal(size=30)[school] + 0.5 * rng.normal(size=240)
    >>> model = ShrunkRegressor(random_effects="intercept").fit(X, y, groups=school)
    >>> new = model.adapt([[0.0], [1.0]], [2.0, 3.0])
    >>> new.predict([[0.0]]).round(1)
    array([1.7])
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        random_effects: str = "slopes",
        covariance: str = "shrunk",
        standardize: bool = True,
        shrink_fixed: bool = True,
        cv: Any = 5,
    ) -> None:
        self.estimator = estimator
        self.random_effects = random_effects
        self.covariance = covariance
        self.standardize = standardize
        self.shrink_fixed = shrink_fixed
        self.cv = cv

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the shared model, and learn how much tasks differ.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,)
            The target.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, or the name of the column of `X` that holds them.

        Returns
        -------
        ShrunkRegressor
            The fitted estimator itself.
        """
        X, ids, tasks = self._start_fit(X, groups)
        require_numbers(y)
        fit = self._fit_linear if self.estimator is None else self._fit_around
        found, residual, design = fit(X, y, ids, list(tasks.values()))
        self.sigma_ = float(np.sqrt(found.sigma2))
        self._root = found.root
        self.tau_ = self.sigma_ * size_of(found.root) if tasks else np.full(len(found.root), np.nan)
        self.effects_ = np.zeros(design.shape[1])
        self._explained = np.zeros((0, design.shape[1]))
        self._seen = {task: self._posterior(design[r], residual[r]) for task, r in tasks.items()}
        return self

    def _fit_linear(
        self, X: Any, y: Any, ids: Any, rows: list[Any]
    ) -> tuple[MixedFit, Array, Array]:
        """Fit a linear f by generalised least squares, together with the variances."""
        linear = LinearRegression()
        # One order of memory: sums differ in their last digit between frames and arrays, and
        # the search for the variances makes more of it.
        X, y = validate_data(linear, X, y, dtype=np.float64, order="C", y_numeric=True)
        if not self.shrink_fixed and len(X) <= X.shape[1] + 1:
            raise ParameterError(
                f"shrink_fixed must be True unless there are more rows than coefficients, got "
                f"False with {len(X)} rows and {X.shape[1] + 1} coefficients. Set "
                "shrink_fixed=True."
            )
        scaler = StandardScaler().fit(X)
        design = self._fit_design(X)
        found = fit_mixed(
            y,
            scaler.transform(X),
            design[:, 1:],
            rows,
            shrink_fixed=self.shrink_fixed,
            covariance=self.covariance,
        )
        linear.coef_ = found.fixed[1:] / scaler.scale_
        linear.intercept_ = found.fixed[0] - scaler.mean_ @ linear.coef_
        self.estimator_ = linear
        return found, y - X @ linear.coef_ - linear.intercept_, design

    def _fit_around(
        self, X: Any, y: Any, ids: Any, rows: list[Any]
    ) -> tuple[MixedFit, Array, Array]:
        """Fit any f, and the variances of what it leaves of tasks it did not see."""
        target = column_or_1d(y, warn=True)
        self.estimator_ = clone(self.estimator).fit(X, target)
        design = self._fit_design(X)
        if not rows:
            nothing = MixedFit(np.nan, np.zeros(design.shape[1]), np.empty(0))
            return nothing, np.empty(0), design
        residual = np.asarray(target, dtype=np.float64).copy()
        for model, test in self._out_of_fold(X, target, ids):
            residual[test] -= model.predict(_safe_indexing(X, test))
        found = fit_mixed(residual, None, design[:, 1:], rows, covariance=self.covariance)
        return found, residual, design

    def _support(self, X: Any, y: Any) -> tuple[Array, ...]:
        check_consistent_length(X, y)
        require_numbers(y)
        y = check_array(column_or_1d(y), ensure_2d=False, dtype=np.float64, input_name="y")
        residual = y - self.estimator_.predict(X)
        return self._design(X), residual

    def _posterior(self, *support: Array) -> dict[str, Any]:
        design, residual = support
        effects, explained = blup(design, residual, self._root)
        return {"effects_": effects, "_explained": explained}

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.
        return_std : bool, default=False
            Whether to return how uncertain each prediction is, too.

        Returns
        -------
        mean : ndarray of shape (n_rows,)
            The predictions: of a row of a new task before ``adapt``, of the task after it.
        std : ndarray of shape (n_rows,)
            Standard deviation of a new target around the prediction, from noise and from what
            is not known of the task's effects. Only with `return_std`.
        """
        X = self._features(X)
        mean = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        design = self._design(X)
        mean = mean + design @ self.effects_
        if not return_std:
            return mean
        if np.isnan(self.sigma_):
            raise ParameterError(
                "return_std must be False after a fit with fewer than 2 tasks, got True. How far "
                "rows and tasks scatter around the estimator is learned from several tasks: "
                "pass groups to fit."
            )
        prior = (times_root(design, self._root) ** 2).sum(axis=1)
        explained = ((design @ self._explained.T) ** 2).sum(axis=1)
        # Rounding may leave a tiny negative where the support tells all.
        return mean, self.sigma_ * np.sqrt(1.0 + np.maximum(prior - explained, 0.0))

    def _default_estimator(self) -> Any:
        return Ridge() if self.estimator is None else self.estimator

    def _check_estimator(self) -> Any:
        estimator = super()._check_estimator()
        if not is_regressor(estimator):
            raise ParameterError(
                f"estimator must be a regressor, got {estimator!r}. Use ShrunkClassifier for "
                "classes."
            )
        return estimator
