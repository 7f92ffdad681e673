"""Gaussian random effects in logits: posterior mode by Newton, variances by Laplace's method.

The logits of task t are η = offset + z'b_c for each class c, with z = [1, slope features] and
b_c ~ N(0, L L'). The root L is a vector if the effects are independent, else a triangle. With
two classes there is one b, on the second class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag, cho_solve, cholesky
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from metaskl.estimators.correlated_effects import next_root
from metaskl.estimators.mixed_likelihood import Array
from metaskl.estimators.random_effects import spread, times_root

_STARTS = np.log([0.05, 0.2, 0.6, 2.0])
_LOWEST, _HIGHEST = np.log(1e-4), np.log(1e2)
_MAX_STEPS = 100
_MOST_TASKS, _MOST_ROWS = 300, 200
# A tenth of a standard deviation is more than the number of tasks can tell.
_MOST_EM_STEPS, _TOLERANCE = 30, 1e-2


@dataclass(frozen=True)
class LogitTask:
    """One task's rows.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_effects)
        Features z, the 1 of the intercept first.
    offset : ndarray of shape (n_rows, n_logits)
        Logits of the shared model: of the second class, or of each of more than two.
    target : ndarray of shape (n_rows, n_logits)
        1 where the row is of the logit's class.
    basis : ndarray of shape (n_rows, n_slopes) or None
        The directions of the slopes, if they are not the features' own.
    """

    design: Array
    offset: Array
    target: Array
    basis: Array | None = None

    def every(self, step: int) -> LogitTask:
        """Return the task with one row of so many."""
        return LogitTask(self.design[::step], self.offset[::step], self.target[::step])

    def rotated(self) -> LogitTask:
        """Return the same task with no more slopes than rows, for independent effects.

        A row says nothing of directions at right angles to all rows, and the prior of the
        slopes looks alike from every side, so other coordinates leave the likelihood as it is.
        """
        slopes = self.design[:, 1:]
        if slopes.shape[1] <= len(slopes):
            return self
        u, s, basis = np.linalg.svd(slopes, full_matrices=False)
        return LogitTask(np.hstack([self.design[:, :1], u * s]), self.offset, self.target, basis)

    def turn_back(self, effects: Array) -> Array:
        """Return effects of this task in the features' own coordinates."""
        if self.basis is None:
            return effects
        return np.hstack([effects[:, :1], effects[:, 1:] @ self.basis])


class Mode(NamedTuple):
    """Where the posterior of one task's effects is highest.

    Parameters
    ----------
    effects : ndarray of shape (n_logits, n_effects)
        The effects b.
    log_evidence : float
        Laplace's approximation of the log marginal likelihood.
    probability : ndarray of shape (n_rows, n_logits)
        The probabilities of the rows there.
    """

    effects: Array
    log_evidence: float
    probability: Array


def posterior_mode(task: LogitTask, root: Array) -> Mode:
    """Maximise the posterior of the effects, a concave function, by Newton's method.

    Parameters
    ----------
    task : LogitTask
        The rows.
    root : ndarray of shape (n_effects,) or (n_effects, n_effects)
        Root L of the effects' prior covariance.

    Returns
    -------
    Mode
        The effects, and what goes with them.
    """
    # In units of the prior's standard deviation the problem is well conditioned at any scale.
    design = times_root(task.design, root)
    units = np.zeros((task.offset.shape[1], design.shape[1]))
    value, probability = _objective(task, design, units)
    for _ in range(_MAX_STEPS):
        gradient = (probability - task.target).T @ design + units
        step, log_det = _newton_step(design, probability, gradient)
        rate = 1.0
        while True:
            new, new_probability = _objective(task, design, units - rate * step)
            # Written so that rounding at the mode itself ends the halving.
            if new <= value + 1e-12 * abs(value) or rate < 1e-6:
                break
            rate /= 2.0
        converged = value - new <= 1e-10 * (1.0 + abs(value))
        units, value, probability = units - rate * step, new, new_probability
        if converged:
            break
    effects = units * root if root.ndim == 1 else units @ root.T
    return Mode(effects, -value - 0.5 * log_det, probability)


def _objective(task: LogitTask, design: Array, units: Array) -> tuple[float, Array]:
    """Return minus the log posterior, up to its constant, and the probabilities."""
    logits = task.offset + design @ units.T
    if logits.shape[1] == 1:
        log_total = np.logaddexp(0.0, logits)
        probability = expit(logits)
    else:
        log_total = logsumexp(logits, axis=1, keepdims=True)
        probability = np.exp(logits - log_total)
    fit = log_total.sum() - (task.target * logits).sum()
    return float(fit + 0.5 * (units**2).sum()), probability


def _newton_step(design: Array, probability: Array, gradient: Array) -> tuple[Array, float]:
    """Return H⁻¹g and log |H| of the Hessian H, whose unit of scale is the prior."""
    n_rows, n_logits = probability.shape
    size = design.shape[1]
    if n_logits == 1:
        weight = probability * (1.0 - probability)
        factor = cholesky(design.T @ (weight * design) + np.eye(size), lower=True)
        return cho_solve((factor, True), gradient.T).T, _log_det(factor)
    # H = blocks − M'M: one block a class, less what the classes share of each row.
    shared = (probability[:, :, None] * design[:, None, :]).reshape(n_rows, -1)
    blocks = [design.T @ (p[:, None] * design) + np.eye(size) for p in probability.T]
    if shared.shape[1] <= n_rows:
        factor = cholesky(block_diag(*blocks) - shared.T @ shared, lower=True)
        return cho_solve((factor, True), gradient.ravel()).reshape(gradient.shape), _log_det(factor)
    # Fewer rows than effects (Woodbury): factors of the blocks and of a matrix of the rows.
    factors = [cholesky(block, lower=True) for block in blocks]

    def solve(right: Array) -> Array:
        parts = np.split(right, n_logits)
        solved = [cho_solve((f, True), part) for f, part in zip(factors, parts, strict=True)]
        return np.concatenate(solved)

    spread = solve(shared.T)
    inner = cholesky(np.eye(n_rows) - shared @ spread, lower=True)
    step = solve(gradient.ravel())
    step += spread @ cho_solve((inner, True), shared @ step)
    return step.reshape(gradient.shape), _log_det(inner) + sum(map(_log_det, factors))


def _log_det(factor: Array) -> float:
    """Return the log determinant of a matrix from its Cholesky factor."""
    return 2.0 * float(np.log(np.diag(factor)).sum())


def thinned(tasks: Sequence[LogitTask]) -> list[LogitTask]:
    """Return tasks enough to learn a covariance from, in a time that does not grow with them.

    A step costs the cube of min(rows, effects) for each task.
    """
    chosen = tasks[:: -(-len(tasks) // _MOST_TASKS)]
    return [
        task.every(-(-len(task.design) // _MOST_ROWS))
        if task.design.shape[1] > _MOST_ROWS
        else task
        for task in chosen
    ]


def fit_scales(tasks: Sequence[LogitTask], *, slope_size: float) -> Array:
    """Choose the standard deviations of the effects by maximum marginal likelihood.

    Parameters
    ----------
    tasks : sequence of LogitTask
        The rows of each task. Several tasks, with offsets that did not see them.
    slope_size : float
        Mean squared length of the slope features; 0 for a random intercept alone.

    Returns
    -------
    ndarray of shape (2,)
        Standard deviations of the intercept and of each slope.
    """
    unit = np.array([1.0, 1.0 / np.sqrt(slope_size)]) if slope_size > 0 else np.ones(1)

    def scales(log_scales: Array) -> Array:
        bounded = np.exp(np.clip(log_scales, _LOWEST, _HIGHEST)) * unit
        return np.append(bounded, 0.0)[:2]

    def lack_of_evidence(log_scales: Array) -> float:
        both = scales(log_scales)
        modes = [posterior_mode(task, spread(both, task.design.shape[1])) for task in tasks]
        return -sum(mode.log_evidence for mode in modes)

    grid = np.stack(np.meshgrid(*[_STARTS] * len(unit)), axis=-1).reshape(-1, len(unit))
    values = [lack_of_evidence(point) for point in grid]
    start = grid[int(np.argmin(values))]
    simplex = np.vstack([start, start + 0.6 * np.eye(len(unit))])
    # Two digits of a standard deviation are more than any number of tasks can tell.
    options = {"initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-3, "maxfev": 60}
    found = minimize(lack_of_evidence, start, method="Nelder-Mead", options=options)
    return scales(found.x)


def fit_correlated_logits(tasks: Sequence[LogitTask], centre: Array, weight: float) -> Array:
    """Learn a full covariance of the effects by the EM algorithm.

    Parameters
    ----------
    tasks : sequence of LogitTask
        The rows of each task, in the features' own coordinates.
    centre : ndarray of shape (n_effects,)
        Standard deviations of independent effects, to start from.
    weight : float
        How many tasks the centre is worth as a guess of the covariance: an inverse Wishart
        prior. 0 for maximum likelihood.

    Returns
    -------
    ndarray of shape (n_effects, n_effects)
        Lower triangular root of the covariance.
    """
    # From 0 EM never gets away.
    root = np.diag(np.maximum(centre, 1e-2))
    guess = weight * root**2
    n_draws = sum(task.offset.shape[1] for task in tasks)
    for _ in range(_MOST_EM_STEPS):
        new = next_root(sum(_second_moment(task, root) for task in tasks) + guess, n_draws + weight)
        moved = np.abs(new @ new.T - root @ root.T).max()
        root = new
        if moved <= _TOLERANCE * np.diag(root @ root.T).max():
            break
    return root


def _second_moment(task: LogitTask, root: Array) -> Array:
    """Return the posterior's Σ_c E[b_c b_c'], each class given the others (Laplace)."""
    mode = posterior_mode(task, root)
    moment = mode.effects.T @ mode.effects
    design = times_root(task.design, root)
    for weight in (mode.probability * (1.0 - mode.probability)).T:
        precision = design.T @ (weight[:, None] * design) + np.eye(len(root))
        moment += root @ np.linalg.solve(precision, root.T)
    return moment
