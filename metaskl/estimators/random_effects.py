"""Gaussian random effects: what is learned of them from many tasks, and from one task's rows.

The root L of the effects' covariance is a vector if they are independent, else a triangle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, qr, solve_triangular

from metaskl.estimators.correlated_effects import TaskProducts, fit_correlated
from metaskl.estimators.mixed_likelihood import Array, Rows, fit_isotropic, mean_square

# With more slopes "shrunk" is isotropic: a covariance of 50 has 1,275 entries to learn.
MOST_SLOPES = 50


class MixedFit(NamedTuple):
    """Variance components and fixed effects.

    Parameters
    ----------
    sigma2 : float
        Variance of the noise.
    root : ndarray of shape (n_effects,) or (n_effects, n_effects)
        Root L of the random effects' covariance, divided by that of `sigma2`.
    fixed : ndarray of shape (n_fixed,)
        Fixed effects β, the intercept first.
    """

    sigma2: float
    root: Array
    fixed: Array


def fit_mixed(
    y: Array,
    features: Array | None,
    slopes: Array,
    rows: list[Rows],
    *,
    shrink_fixed: bool = True,
    covariance: str = "isotropic",
) -> MixedFit:
    """Fit a mixed model by restricted maximum likelihood.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Targets, or residuals when there are no fixed effects.
    features : ndarray of shape (n_rows, n_features) or None
        Features with a fixed effect each, beside a fixed intercept; standardised by the
        caller. None for no fixed effects at all: `y` has mean 0.
    slopes : ndarray of shape (n_rows, n_slopes)
        Features with a random effect in each task, beside the random intercept.
    rows : list of ndarray
        The rows of each task. With fewer than 2 tasks there are no random effects.
    shrink_fixed : bool, default=True
        Whether the fixed slopes have a Gaussian prior too, whose variance is estimated with
        the others (a ridge that chooses its own penalty). False is the classical REML.
    covariance : {"isotropic", "full", "shrunk"}, default="isotropic"
        Whether the effects are independent, all slopes of one scale, or correlated, or
        correlated as far as the number of tasks can tell.

    Returns
    -------
    MixedFit
        The estimates.
    """
    n_features = 0 if features is None else features.shape[1]
    kept = np.arange(n_features)
    if features is not None and not shrink_fixed:
        # Without a prior only columns that others do not add up to have an estimate; the
        # rest get 0, as in lme4.
        kept = _independent(features)
        features = features[:, kept]
    shift = 0.0 if features is None else float(y.mean())
    fixed = np.zeros(0 if features is None else 1 + n_features)
    fixed[:1] = shift
    scale = float(np.sqrt(np.mean((y - shift) ** 2)))
    if scale <= 1e-12 * max(1.0, float(np.abs(y).max())):
        return MixedFit(0.0, np.zeros(1 + slopes.shape[1]), fixed)
    target, unit = (y - shift) / scale, float(np.sqrt(mean_square(slopes)))
    slopes = slopes / unit
    found = fit_isotropic(target, features, slopes, rows, shrink_fixed=shrink_fixed)
    root, estimates = np.sqrt(spread(found.ratios, 1 + slopes.shape[1])), found.profile
    weight = covariance_weight(covariance, slopes.shape[1])
    if weight is not None and len(rows) > 1:
        ones = np.ones((len(y), 1))
        parts = [] if features is None else [ones, features]
        columns = np.hstack([*parts, target[:, None]])
        products = TaskProducts.of_rows(np.hstack([ones, slopes]), columns, rows)
        # From 0 EM never gets away.
        centre = np.maximum(root, 1e-2)
        root, estimates = fit_correlated(products, centre, found.prior, weight)
    root[1:] /= unit
    where = np.append(0, 1 + kept)[: len(estimates.fixed)]
    fixed[where] += scale * estimates.fixed
    return MixedFit(estimates.sigma2 * scale**2, root, fixed)


def _independent(features: Array) -> Rows:
    """Return columns of standardised features that span the same as all of them."""
    triangle, order = qr(features, mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    return np.sort(order[: len(size)][size > 1e-7 * size.max(initial=1e-300)]).astype(np.intp)


def covariance_weight(covariance: str, n_slopes: int) -> float | None:
    """Return how many tasks the independent effects are worth, None if they are the model."""
    if covariance == "isotropic" or not n_slopes:
        return None
    if covariance == "full":
        return 0.0
    # Half a task an effect: of 0, 0.3, 1 and 3 the middle ones were the best or nearly so on
    # eleven data sets, from landmine and cigar (correlated) to school and radon (hardly).
    return 0.5 * (1 + n_slopes) if n_slopes <= MOST_SLOPES else None


def spread(pair: Array, n_effects: int) -> Array:
    """Return one value an effect from a pair: the intercept's, and that of every slope."""
    return np.concatenate([pair[:1], np.full(n_effects - 1, pair[1])])


def times_root(design: Array, root: Array) -> Array:
    """Return ZL, the design of effects in units of their prior."""
    return design * root if root.ndim == 1 else design @ root


def size_of(root: Array) -> Array:
    """Return the standard deviation of each effect."""
    return root if root.ndim == 1 else np.sqrt((root**2).sum(axis=1))


def blup(design: Array, residual: Array, root: Array) -> tuple[Array, Array]:
    """Return the posterior mean of one task's effects, and the root of what the rows explain.

    Parameters
    ----------
    design : ndarray of shape (n_support, n_effects)
        The features z of the support, the 1 of the intercept first.
    residual : ndarray of shape (n_support,)
        What the shared model leaves of the targets.
    root : ndarray of shape (n_effects,) or (n_effects, n_effects)
        Root L of the effects' covariance, divided by that of the noise s².

    Returns
    -------
    effects : ndarray of shape (n_effects,)
        Best linear unbiased prediction of b.
    explained : ndarray of shape (min(n_support, n_effects), n_effects)
        A, such that the posterior covariance is s² (LL' − A'A).
    """
    scaled = times_root(design, root)
    if len(scaled) > scaled.shape[1]:
        # Rows beyond the number of effects are summed up by as many: same posterior.
        q, scaled = qr(scaled, mode="economic")
        residual = q.T @ residual
    factor = cholesky(np.eye(len(scaled)) + scaled @ scaled.T, lower=True)
    explained = solve_triangular(factor, scaled, lower=True)
    explained = explained * root if root.ndim == 1 else explained @ root.T
    return explained.T @ solve_triangular(factor, residual, lower=True), explained
