"""A shared classifier with random effects: between one model for all tasks and one for each."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from metaskl.errors import ParameterError, SupportError
from metaskl.estimators.logit_effects import (
    LogitTask,
    fit_correlated_logits,
    fit_scales,
    posterior_mode,
    thinned,
)
from metaskl.estimators.random_effects import covariance_weight, size_of, spread
from metaskl.estimators.shrinkage import (
    Array,
    ShrinkageEstimator,
    count_rows,
)
from metaskl.tasks.targets import require_values

# The shared model's probabilities are kept this far from 0 and 1: a forest says 0 of a class that
# is only rare, and no row of a support could move its infinite logit.
_CLIP = 1e-4


class ShrunkClassifier(ShrinkageEstimator):
    """Shift one classifier for all tasks a little for each: random effects in its logits.

    For a row x of task t the logit of a class is that of the shared classifier plus z'b, with
    the task's random effects b ~ N(0, D) and z = [1, features]: a generalised linear mixed
    model [1]_ with the shared classifier as its offset. How tasks differ (D) is learned in
    ``fit`` by maximum marginal likelihood (Laplace's approximation); ``adapt`` takes the most
    probable b given the support. The prior keeps it sane on a support of a few rows or of one
    class only.

    Parameters
    ----------
    estimator : estimator, optional
        The shared model, any scikit-learn classifier with ``predict_proba``. By default a
        logistic regression of standardised features.
    random_effects : {"slopes", "intercept"}, default="slopes"
        Whether tasks differ in the effect of each numeric feature, or only in how frequent the
        classes are.
    covariance : {"shrunk", "full", "isotropic"}, default="shrunk"
        What is learned of D. "isotropic": one variance for the intercept, one for all slopes.
        "full": all variances and correlations, for many tasks and few features. "shrunk": a
        compromise, the more like "full" the more tasks there are for each effect; with more
        than 50 slopes it is isotropic.
    standardize : bool, default=True
        Whether the random slopes are those of standardised features. False keeps the
        features' own units; then they should be of like scale.
    cv : int or splitter, default=5
        Folds of tasks; D is learned from rows of tasks that the shared model did not see.

    Attributes
    ----------
    estimator_ : estimator
        The fitted shared model.
    classes_ : ndarray of shape (n_classes,)
        The classes.
    tau_ : ndarray of shape (1 + n_slopes,)
        Standard deviations of the random intercept and of each random slope; NaN if there
        were fewer than 2 tasks to learn them from.
    effects_ : ndarray of shape (n_logits, 1 + n_slopes)
        The effects b of the task adapted to, and 0 before: one row with two classes, for the
        second of them, else a row for each class.
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
    ShrunkRegressor : The same for numbers.
    PerTask : ``PerTask(ShrunkClassifier())`` predicts rows of the tasks of fit.

    Notes
    -----
    Without groups, or with one task, nothing is known of how tasks differ: b stays 0 and the
    estimator is the shared model. All tasks have the same classes. D is learned from at most
    300 tasks, evenly spaced, and with more than 200 features from at most 200 rows of each.

    References
    ----------
    .. [1] Breslow and Clayton. Approximate Inference in Generalized Linear Mixed Models.
       Journal of the American Statistical Association 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl.estimators.shrunk import ShrunkClassifier
    >>> rng = np.random.default_rng(0)
    >>> hospital = np.repeat(np.arange(40), 20)
    >>> X = rng.normal(size=(800, 1))
    >>> logit = X[:, 0] + 2 * rng.normal(size=40)[hospital]
    >>> y = rng.random(800) < 1 / (1 + np.exp(-logit))
    >>> model = ShrunkClassifier(random_effects="intercept").fit(X, y, groups=hospital)
    >>> model.predict_proba([[0.0]])[:, 1].round(1)
    array([0.5])
    >>> new = model.adapt([[0.0], [0.5], [-0.5]], [True, True, True])
    >>> new.predict_proba([[0.0]])[:, 1].round(1)
    array([0.7])
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        random_effects: str = "slopes",
        covariance: str = "shrunk",
        standardize: bool = True,
        cv: Any = 5,
    ) -> None:
        self.estimator = estimator
        self.random_effects = random_effects
        self.covariance = covariance
        self.standardize = standardize
        self.cv = cv

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the shared classifier, and learn how much tasks differ.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features.
        y : array-like of shape (n_rows,)
            The classes.
        groups : array-like of shape (n_rows,) or str, optional
            Task ids, or the name of the column of `X` that holds them.

        Returns
        -------
        ShrunkClassifier
            The fitted estimator itself.
        """
        require_values(y)
        X, ids, tasks = self._start_fit(X, groups)
        target = column_or_1d(y, warn=True)
        self.estimator_ = clone(self._default_estimator()).fit(X, target)
        self.classes_ = self.estimator_.classes_
        design = self._fit_design(X)
        n_logits = 1 if len(self.classes_) == 2 else len(self.classes_)
        self.effects_ = np.zeros((n_logits, design.shape[1]))
        self._root = np.full(design.shape[1], np.nan)
        if tasks and len(self.classes_) > 1:
            offset = np.empty((len(target), n_logits))
            for model, test in self._out_of_fold(X, target, ids):
                offset[test] = self._logits(model, _safe_indexing(X, test))
            hot = self._one_hot(target)
            parts = [LogitTask(design[r], offset[r], hot[r]) for r in tasks.values()]
            self._root = self._fit_root(parts, design)
            self._seen = {
                t: self._posterior(design[r], offset[r], hot[r]) for t, r in tasks.items()
            }
        self.tau_ = size_of(self._root)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows,)
            The classes of highest probability.
        """
        if not self._is_adapted():
            return np.asarray(self.estimator_.predict(self._features(X)))
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_features)
            The features, with or without the task column.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            One column a class, in the order of ``classes_``.
        """
        X = self._features(X)
        if not self._is_adapted():
            return self._probability(self.estimator_, X)
        logits = self._logits(self.estimator_, X) + self._design(X) @ self.effects_.T
        if logits.shape[1] == 1:
            return np.hstack([expit(-logits), expit(logits)])
        return np.asarray(softmax(logits, axis=1))

    def _is_adapted(self) -> bool:
        """Say whether predictions differ from those of the shared model."""
        check_is_fitted(self)
        return bool(self.effects_.any())

    def _fit_root(self, tasks: list[LogitTask], design: Array) -> Array:
        """Learn how tasks differ: the root of the covariance of their effects."""
        tasks = thinned(tasks)
        size = float(np.mean((design[:, 1:] ** 2).sum(axis=1)))
        scales = fit_scales([task.rotated() for task in tasks], slope_size=size)
        root = spread(scales, design.shape[1])
        weight = covariance_weight(self.covariance, design.shape[1] - 1)
        return root if weight is None else fit_correlated_logits(tasks, root, weight)

    def _support(self, X: Any, y: Any) -> tuple[Array, ...]:
        check_consistent_length(X, y)
        target = column_or_1d(y)
        unknown = np.setdiff1d(target, self.classes_)
        if len(unknown):
            raise SupportError(
                f"y must hold classes seen in fit, {self.classes_.tolist()}, got also "
                f"{unknown.tolist()}. The tasks of this estimator share their classes: drop "
                "those rows, or take a learner whose tasks have classes of their own."
            )
        # The shared model first: it says best what is wrong with X.
        logits = self._logits(self.estimator_, X)
        return self._design(X), logits, self._one_hot(target)

    def _posterior(self, *support: Array) -> dict[str, Any]:
        if np.isnan(self._root).any():
            return {"effects_": np.zeros_like(self.effects_)}
        task = LogitTask(*support)
        if self._root.ndim > 1:
            return {"effects_": posterior_mode(task, self._root).effects}
        task = task.rotated()
        root = spread(self._root[[0, -1]], task.design.shape[1])
        return {"effects_": task.turn_back(posterior_mode(task, root).effects)}

    def _probability(self, model: Any, X: Any) -> Array:
        """Return a shared model's probabilities of all classes of fit, in their order."""
        probability = np.zeros((count_rows(X), len(self.classes_)))
        # A model of a fold may not have seen every class.
        probability[:, np.searchsorted(self.classes_, model.classes_)] = model.predict_proba(X)
        return probability

    def _logits(self, model: Any, X: Any) -> Array:
        """Return the logits of a shared model."""
        logs = np.log(np.clip(self._probability(model, X), _CLIP, 1.0 - _CLIP))
        return logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs

    def _one_hot(self, target: npt.NDArray[Any]) -> Array:
        """Return 1 where a row is of a logit's class."""
        classes = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        member: Array = (target[:, None] == classes).astype(np.float64)
        return member

    def _default_estimator(self) -> Any:
        if self.estimator is not None:
            return self.estimator
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))

    def _check_estimator(self) -> Any:
        estimator = super()._check_estimator()
        if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
            raise ParameterError(
                f"estimator must be a classifier with predict_proba, got {estimator!r}. Wrap one "
                "without it in CalibratedClassifierCV, and use ShrunkRegressor for numbers."
            )
        return estimator
