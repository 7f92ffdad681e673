"""The restricted likelihood of a mixed model with independent random effects.

The model of task t is y = F β + z'b + e with z = [1, slope features], e ~ N(0, s²) and
b ~ N(0, s² diag(r₀, r₁, ..., r₁)). The noise s² and β have a closed form given the ratios r.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# Where the search for the log ratios starts, and how far it goes.
_STARTS = np.log([0.02, 0.3, 4.0])
_LOWEST, _HIGHEST = np.log(1e-8), np.log(1e8)


class Profile(NamedTuple):
    """What has a closed form at given variance ratios.

    Parameters
    ----------
    lack : float
        Minus twice the log restricted likelihood, up to a constant.
    sigma2 : float
        Variance of the noise.
    fixed : ndarray of shape (n_fixed,)
        Fixed effects β.
    factor : ndarray of shape (n_fixed, n_fixed)
        Cholesky factor of the precision of β, times `sigma2`.
    """

    lack: float
    sigma2: float
    fixed: Array
    factor: Array


class IsotropicFit(NamedTuple):
    """Variance ratios of highest likelihood.

    Parameters
    ----------
    ratios : ndarray of shape (2,)
        Variances of the random intercept and of each random slope, divided by that of the noise.
    prior : float or None
        The same of each fixed slope; None if they have no prior.
    profile : Profile
        The rest of the estimates.
    """

    ratios: Array
    prior: float | None
    profile: Profile


@dataclass(frozen=True)
class _CrossProducts:
    """All that the likelihood needs of the rows, each task rotated to its principal axes.

    Columns are ``[1, y]``, with the fixed features between them. `spectrum` and `rotated`
    stack the axes of all tasks: squared singular values of a task's slope features, and
    their products with the columns.
    """

    total: Array
    ones: Array
    spectrum: Array
    rotated: Array
    starts: Rows

    @classmethod
    def of_rows(cls, columns: Array, slopes: Array, rows: list[Rows]) -> _CrossProducts:
        """Compute the products once; the likelihood then reads no row."""
        spectra, rotated = [], []
        for task in rows if slopes.shape[1] else ():
            u, s, _ = np.linalg.svd(slopes[task], full_matrices=False)
            spectra.append(s**2)
            rotated.append((s[:, None] * u.T) @ columns[task])
        width = columns.shape[1]
        return cls(
            total=columns.T @ columns,
            ones=np.array([columns[task].sum(axis=0) for task in rows]).reshape(-1, width),
            spectrum=np.concatenate([np.empty(0), *spectra]),
            rotated=np.concatenate([np.empty((0, width)), *rotated]),
            starts=np.cumsum([0, *map(len, spectra[:-1])], dtype=np.intp),
        )

    def whiten(self, intercept: float, slope: float) -> tuple[Array, float]:
        """Return ``C' V⁻¹ C`` and ``log |V|`` at these ratios (Woodbury, on the axes)."""
        weights = slope / (1.0 + slope * self.spectrum)
        weighted = weights[:, None] * self.rotated
        ones = self.ones
        if len(weights):
            ones = ones - np.add.reduceat(weighted * self.rotated[:, :1], self.starts, axis=0)
        shrink = intercept / (1.0 + intercept * ones[:, 0])
        total = self.total - self.rotated.T @ weighted - ones.T @ (shrink[:, None] * ones)
        log_det = np.log1p(slope * self.spectrum).sum() + np.log1p(intercept * ones[:, 0]).sum()
        return total, float(log_det)


def fit_isotropic(
    y: Array, features: Array | None, slopes: Array, rows: list[Rows], *, shrink_fixed: bool
) -> IsotropicFit:
    """Maximise the restricted likelihood over the variance ratios.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Targets.
    features : ndarray of shape (n_rows, n_features) or None
        Features with a fixed effect each, beside a fixed intercept; None for neither.
    slopes : ndarray of shape (n_rows, n_slopes)
        Features with a random effect in each task, of mean squared length 1.
    rows : list of ndarray
        The rows of each task. With fewer than 2 tasks there are no random effects.
    shrink_fixed : bool
        Whether the fixed slopes have a Gaussian prior, whose ratio is estimated too.

    Returns
    -------
    IsotropicFit
        The estimates.
    """
    ones = np.ones((len(y), 1))
    middle = np.empty((len(y), 0)) if features is None else features
    cross = _CrossProducts.of_rows(np.hstack([ones, middle, y[:, None]]), slopes, rows)
    n_fixed = 0 if features is None else 1 + features.shape[1]
    size = mean_square(middle)
    shrinks = n_fixed > 1 and shrink_fixed
    free = np.array([len(rows) > 1, len(rows) > 1 and slopes.shape[1] > 0, shrinks])

    def estimate(log_ratios: Array) -> IsotropicFit:
        ratios = np.zeros(3)
        # At the lower bound a variance is 0 for all that the likelihood can tell.
        ratios[free] = np.where(log_ratios > _LOWEST + 0.1, np.exp(log_ratios), 0.0)
        prior = max(ratios[2], np.exp(_LOWEST)) / size if shrinks else None
        total, log_det = cross.whiten(ratios[0], ratios[1])
        if not n_fixed:
            total = total[1:, 1:]
        return IsotropicFit(ratios[:2], prior, profile(total, log_det, len(y), prior))

    return estimate(_minimise(lambda point: estimate(point).profile.lack, int(free.sum())))


def profile(total: Array, log_det: float, n_rows: int, prior: float | None) -> Profile:
    """Estimate β and s² at given variance ratios.

    Parameters
    ----------
    total : ndarray of shape (n_fixed + 1, n_fixed + 1)
        ``[F, y]' V⁻¹ [F, y]``.
    log_det : float
        ``log |V|``.
    n_rows : int
        Number of rows.
    prior : float or None
        Prior variance of each fixed effect but the first, the intercept, divided by s²; None
        for no prior.

    Returns
    -------
    Profile
        The estimates and the likelihood.
    """
    n_fixed = len(total) - 1
    flat = n_fixed
    normal = total[:-1, :-1].copy()
    if prior is not None:
        flat = 1
        normal[np.arange(1, n_fixed), np.arange(1, n_fixed)] += 1.0 / prior
        log_det += (n_fixed - 1) * np.log(prior)
    factor, fixed, square = normal, np.empty(0), float(total[-1, -1])
    if n_fixed:
        factor = _jittered_cholesky(normal)
        fixed = cho_solve((factor, True), total[:-1, -1])
        square -= float(total[:-1, -1] @ fixed)
        log_det += 2.0 * float(np.log(np.diag(factor)).sum())
    freedom = max(n_rows - flat, 1)
    # A perfect fit has no noise; the floor keeps its logarithm finite.
    sigma2 = max(square, 1e-14 * n_rows) / freedom
    return Profile(freedom * float(np.log(sigma2)) + log_det, sigma2, fixed, factor)


def mean_square(features: Array) -> float:
    """Return the mean squared length of the rows, 1 if there is nothing in them."""
    size = float(np.mean((features**2).sum(axis=1))) if features.size else 0.0
    return size if size > 0 else 1.0


def _minimise(criterion: Callable[[Array], float], n_free: int) -> Array:
    """Search all log ratios on a coarse grid, then from its best point downhill."""
    if not n_free:
        return np.empty(0)
    grid = np.stack(np.meshgrid(*[_STARTS] * n_free), axis=-1).reshape(-1, n_free)
    start = min(grid, key=criterion)
    found = minimize(
        criterion,
        start,
        # Central differences, and to the end: a stop on the way would make the result depend on
        # the last digit of the data.
        jac="3-point",
        method="L-BFGS-B",
        bounds=[(_LOWEST, _HIGHEST)] * n_free,
        options={"ftol": 1e-14, "gtol": 1e-5},
    )
    return np.asarray(found.x, dtype=np.float64)


def _jittered_cholesky(matrix: Array) -> Array:
    """Return the lower factor, the diagonal raised by rounding error until there is one."""
    step = 1e-12 * max(float(np.trace(matrix)) / len(matrix), 1e-300)
    for jitter in (0.0, *(step * 100.0**k for k in range(5))):
        try:
            return np.asarray(cholesky(matrix + jitter * np.eye(len(matrix)), lower=True))
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the matrix is far from positive definite")
