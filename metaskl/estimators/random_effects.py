"""Gaussian random effects: variance components by likelihood, effects by shrinkage.

The model of task t is y = F β + z'b + e with z = [1, slope features], b ~ N(0, D), D =
diag(tau₀², tau₁², ..., tau₁²) and e ~ N(0, sigma²). All variances are kept as ratios to
sigma², which then has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, qr, solve_triangular
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]

# Where the search for the log ratios starts, and how far it goes.
_STARTS = np.log([0.02, 0.3, 4.0])
_LOWEST, _HIGHEST = np.log(1e-8), np.log(1e8)


@dataclass(frozen=True)
class MixedFit:
    """Variance components and fixed effects.

    Parameters
    ----------
    sigma2 : float
        Variance of the noise.
    ratios : ndarray of shape (2,)
        Variances of the random intercept and of each random slope, divided by `sigma2`.
    fixed : ndarray of shape (n_fixed,)
        Fixed effects β.
    """

    sigma2: float
    ratios: Array
    fixed: Array


@dataclass(frozen=True)
class _CrossProducts:
    """All that the likelihood needs of the rows, each task rotated to its principal axes.

    Columns are ``[1, other fixed features, y]``. `spectrum` and `rotated` stack the axes of
    all tasks: squared singular values of a task's slope features, and their products with
    the columns.
    """

    total: Array
    ones: Array
    spectrum: Array
    rotated: Array
    starts: npt.NDArray[np.intp]
    n_rows: int

    def whiten(self, intercept: float, slope: float) -> tuple[Array, float]:
        """Return ``C' V⁻¹ C`` and ``log |V|`` at these variance ratios (Woodbury)."""
        weights = slope / (1.0 + slope * self.spectrum)
        weighted = weights[:, None] * self.rotated
        total = self.total - self.rotated.T @ weighted
        ones = self.ones.copy()
        if len(weights):
            ones -= np.add.reduceat(weighted * self.rotated[:, :1], self.starts, axis=0)
        shrink = intercept / (1.0 + intercept * ones[:, 0])
        total -= ones.T @ (shrink[:, None] * ones)
        log_det = np.log1p(slope * self.spectrum).sum() + np.log1p(intercept * ones[:, 0]).sum()
        return total, float(log_det)


def _cross_products(
    columns: Array, slopes: Array, rows: list[npt.NDArray[np.intp]]
) -> _CrossProducts:
    """Compute the cross-products once; an evaluation of the likelihood then reads no row."""
    ones = np.array([columns[task].sum(axis=0) for task in rows]).reshape(-1, columns.shape[1])
    spectra, rotated = [], []
    if slopes.shape[1]:
        for task in rows:
            u, s, _ = np.linalg.svd(slopes[task], full_matrices=False)
            spectra.append(s**2)
            rotated.append((s[:, None] * u.T) @ columns[task])
    sizes = [len(s) for s in spectra]
    return _CrossProducts(
        total=columns.T @ columns,
        ones=ones,
        spectrum=np.concatenate([np.empty(0), *spectra]),
        rotated=np.concatenate([np.empty((0, columns.shape[1])), *rotated]),
        starts=np.cumsum([0, *sizes[:-1]], dtype=np.intp),
        n_rows=len(columns),
    )


def fit_mixed(
    y: Array,
    features: Array | None,
    slopes: Array,
    rows: list[npt.NDArray[np.intp]],
    *,
    shrink_fixed: bool = True,
) -> MixedFit:
    """Maximise the restricted likelihood over the variance ratios.

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

    Returns
    -------
    MixedFit
        The estimates.
    """
    if features is not None and not shrink_fixed:
        # Without a prior only columns that others do not add up to have an estimate; the
        # rest get 0, as in lme4.
        kept = _independent(features)
        found = _fit_full_rank(y, features[:, kept], slopes, rows, shrink_fixed=False)
        fixed = np.zeros(1 + features.shape[1])
        fixed[np.append(0, 1 + kept)] = found.fixed
        return MixedFit(found.sigma2, found.ratios, fixed)
    return _fit_full_rank(y, features, slopes, rows, shrink_fixed=shrink_fixed)


def _independent(features: Array) -> npt.NDArray[np.intp]:
    """Return columns of standardised features that span the same as all of them."""
    triangle, order = qr(features, mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    return np.sort(order[: len(size)][size > 1e-7 * max(size[0], 1e-300)])


def _fit_full_rank(
    y: Array,
    features: Array | None,
    slopes: Array,
    rows: list[npt.NDArray[np.intp]],
    *,
    shrink_fixed: bool,
) -> MixedFit:
    """Maximise the likelihood; its arguments are those of `fit_mixed`."""
    n_fixed = 0 if features is None else 1 + features.shape[1]
    scale = float(np.sqrt(np.mean((y - (y.mean() if n_fixed else 0.0)) ** 2)))
    if scale <= 1e-12 * max(1.0, float(np.abs(y).max())):
        constant = np.zeros(n_fixed)
        constant[:1] = y.mean()
        return MixedFit(0.0, np.zeros(2), constant)
    shift = y.mean() if n_fixed else 0.0
    ones = np.ones((len(y), 1))
    parts = [ones, *([] if features is None else [features]), ((y - shift) / scale)[:, None]]
    size = _mean_square(slopes)
    cross = _cross_products(np.hstack(parts), slopes / np.sqrt(size), rows)
    penalty_size = 0.0 if features is None or not shrink_fixed else _mean_square(features)
    free = [len(rows) > 1, len(rows) > 1 and slopes.shape[1] > 0, penalty_size > 0]

    def estimate(log_ratios: Array) -> tuple[float, float, Array]:
        ratios = np.zeros(3)
        ratios[free] = np.exp(log_ratios)
        total, log_det = cross.whiten(ratios[0], ratios[1])
        prior = ratios[2] / penalty_size if penalty_size else None
        return _profile(total, log_det, cross.n_rows, n_fixed, prior)

    best = _minimise(lambda log_ratios: estimate(log_ratios)[0], sum(free))
    _, sigma2, fixed = estimate(best)
    ratios = np.zeros(3)
    ratios[free] = np.where(best > _LOWEST + 0.1, np.exp(best), 0.0)
    fixed = fixed * scale
    fixed[:1] += shift
    return MixedFit(sigma2 * scale**2, ratios[:2] / [1.0, size], fixed)


def _profile(
    total: Array, log_det: float, n_rows: int, n_fixed: int, prior: float | None
) -> tuple[float, float, Array]:
    """Return minus twice the log likelihood, sigma² and β, both at their best for given ratios."""
    square, fixed, flat = total[-1, -1], np.empty(0), 0
    if n_fixed:
        normal = total[:n_fixed, :n_fixed].copy()
        flat = n_fixed
        if prior is not None:
            flat = 1
            normal[np.arange(1, n_fixed), np.arange(1, n_fixed)] += 1.0 / prior
            log_det += (n_fixed - 1) * np.log(prior)
        factor = jittered_cholesky(normal)
        fixed = cho_solve((factor, True), total[:n_fixed, -1])
        square -= total[:n_fixed, -1] @ fixed
        log_det += 2.0 * float(np.log(np.diag(factor)).sum())
    freedom = max(n_rows - flat, 1)
    # A perfect fit has no noise; the floor keeps its logarithm finite.
    sigma2 = max(float(square), 1e-14 * n_rows) / freedom
    return freedom * np.log(sigma2) + log_det, sigma2, fixed


def _minimise(criterion: Callable[[Array], float], n_free: int) -> Array:
    """Search all log ratios on a coarse grid, then from its best point downhill."""
    if not n_free:
        return np.empty(0)
    grid = np.stack(np.meshgrid(*[_STARTS] * n_free), axis=-1).reshape(-1, n_free)
    start = min(grid, key=criterion)
    found = minimize(
        criterion,
        start,
        method="L-BFGS-B",
        bounds=[(_LOWEST, _HIGHEST)] * n_free,
        options={"ftol": 1e-10, "gtol": 1e-5},
    )
    return np.asarray(found.x, dtype=np.float64)


def _mean_square(features: Array) -> float:
    """Return the mean squared length of the rows, 1 if there is nothing in them."""
    size = float(np.mean((features**2).sum(axis=1))) if features.size else 0.0
    return size if size > 0 else 1.0


def jittered_cholesky(matrix: Array) -> Array:
    """Return the lower factor, the diagonal raised by rounding error until there is one."""
    step = 1e-12 * max(float(np.trace(matrix)) / len(matrix), 1e-300)
    for jitter in (0.0, *(step * 100.0**k for k in range(5))):
        try:
            return np.asarray(cholesky(matrix + jitter * np.eye(len(matrix)), lower=True))
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the matrix is far from positive definite")


def blup(design: Array, residual: Array, ratios: Array) -> tuple[Array, Array]:
    """Return the posterior mean of one task's effects, and the root of what the rows explain.

    Parameters
    ----------
    design : ndarray of shape (n_support, n_effects)
        The features z of the support, the 1 of the intercept first.
    residual : ndarray of shape (n_support,)
        What the shared model leaves of the targets.
    ratios : ndarray of shape (n_effects,)
        Prior variance of each effect, divided by sigma².

    Returns
    -------
    effects : ndarray of shape (n_effects,)
        Best linear unbiased prediction of b.
    explained : ndarray of shape (min(n_support, n_effects), n_effects)
        A, such that the posterior covariance is sigma² (diag(ratios) − A'A).
    """
    root = np.sqrt(ratios)
    scaled = design * root
    if len(scaled) > scaled.shape[1]:
        # Rows beyond the number of effects are summed up by as many: same posterior.
        q, scaled = qr(scaled, mode="economic")
        residual = q.T @ residual
    factor = cholesky(np.eye(len(scaled)) + scaled @ scaled.T, lower=True)
    explained = solve_triangular(factor, scaled, lower=True)
    effects = root * (explained.T @ solve_triangular(factor, residual, lower=True))
    return effects, explained * root


def spread(pair: Array, n_effects: int) -> Array:
    """Return one value an effect from a pair: the intercept's, and that of every slope."""
    return np.concatenate([pair[:1], np.full(n_effects - 1, pair[1])])
