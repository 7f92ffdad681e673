"""Correlated random effects of a mixed model: a full covariance, by the EM algorithm.

The model is that of `mixed_likelihood` with b ~ N(0, s² L L'), L a triangle. Each step takes
the posterior of every task's effects and makes their mean second moment the new covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky

from metaskl.estimators.mixed_likelihood import Array, Profile, Rows, profile

# EM ends when no entry of the covariance moves by more than this share of the largest. It is
# slow only where the likelihood is flat, and with a prior there is no such place.
_MOST_STEPS, _TOLERANCE, _TOLERANCE_WITH_PRIOR = 300, 1e-5, 1e-3


class CorrelatedFit(NamedTuple):
    """A full covariance of the random effects.

    Parameters
    ----------
    root : ndarray of shape (n_effects, n_effects)
        Its lower triangular root L, divided by that of the noise.
    profile : Profile
        The rest of the estimates.
    """

    root: Array
    profile: Profile


@dataclass(frozen=True)
class TaskProducts:
    """Cross-products of each task's design Z and columns ``C = [fixed features, y]``.

    Parameters
    ----------
    effects : ndarray of shape (n_tasks, n_effects, n_effects)
        ``Z'Z``.
    mixed : ndarray of shape (n_tasks, n_effects, n_columns)
        ``Z'C``.
    columns : ndarray of shape (n_tasks, n_columns, n_columns)
        ``C'C``.
    sizes : ndarray of shape (n_tasks,)
        Number of rows.
    """

    effects: Array
    mixed: Array
    columns: Array
    sizes: Rows

    @classmethod
    def of_rows(cls, design: Array, columns: Array, rows: Sequence[Rows]) -> TaskProducts:
        """Compute the products once; EM then reads no row."""
        parts = [(design[task], columns[task]) for task in rows]
        return cls(
            effects=np.array([z.T @ z for z, _ in parts]),
            mixed=np.array([z.T @ c for z, c in parts]),
            columns=np.array([c.T @ c for _, c in parts]),
            sizes=np.array([len(z) for z, _ in parts]),
        )

    def posterior(self, root: Array) -> tuple[Array, Array]:
        """Return each task's ``(L⁻'L⁻¹ + Z'Z)⁻¹`` and ``log |V|``, L perhaps singular."""
        inner = np.eye(len(root)) + root.T @ self.effects @ root
        return root @ np.linalg.inv(inner) @ root.T, np.linalg.slogdet(inner)[1]


def fit_correlated(
    products: TaskProducts, centre: Array, prior: float | None, weight: float
) -> CorrelatedFit:
    """Climb the restricted likelihood, or the posterior, from independent effects.

    Parameters
    ----------
    products : TaskProducts
        The tasks.
    centre : ndarray of shape (n_effects,)
        Root of the covariance to start from, divided by that of the noise.
    prior : float or None
        Prior variance of the fixed slopes, divided by that of the noise; it stays.
    weight : float
        How many tasks the centre is worth as a guess of the covariance: an inverse Wishart
        prior. 0 for maximum likelihood.

    Returns
    -------
    CorrelatedFit
        The estimates.
    """
    n_tasks, n_rows = len(products.sizes), int(products.sizes.sum())
    root = np.diag(centre)
    guess = weight * root**2
    tolerance = _TOLERANCE_WITH_PRIOR if weight else _TOLERANCE
    for _ in range(_MOST_STEPS):
        covariance, log_det = products.posterior(root)
        explained = covariance @ products.mixed
        total = (products.columns - products.mixed.transpose(0, 2, 1) @ explained).sum(axis=0)
        found = profile(total, float(log_det.sum()), n_rows, prior)
        effects = explained @ np.append(-found.fixed, 1.0)
        moment = effects.T @ effects / found.sigma2 + covariance.sum(axis=0)
        if len(found.fixed):
            # Restricted likelihood: β is not known, only estimated.
            moment += _spread_of_fixed(explained[:, :, :-1], found.factor)
        new = next_root(moment + guess, n_tasks + weight)
        moved = np.abs(new @ new.T - root @ root.T).max()
        root = new
        if moved <= tolerance * np.diag(root @ root.T).max():
            break
    return CorrelatedFit(root, found)


def _spread_of_fixed(explained: Array, factor: Array) -> Array:
    """Return the second moment of the effects that comes with that of the fixed ones."""
    flat = explained.reshape(-1, explained.shape[2])
    spread = cho_solve((factor, True), flat.T).T.reshape(explained.shape)
    return np.tensordot(spread, explained, axes=([0, 2], [0, 2]))


def next_root(moments: Array, n_tasks: float) -> Array:
    """Return the root of a mean second moment."""
    mean = moments / n_tasks
    jitter = 1e-12 * np.trace(mean) / len(mean)
    return np.asarray(cholesky(mean + jitter * np.eye(len(mean)), lower=True))
