"""The closed-form Bayesian linear head for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.ridge_head import RidgeHead


@dataclass(kw_only=True, eq=False, repr=False)
class _RidgeHeadFamily(BaseMetaEstimator):
    noise: float = 0.8
    prior_precision: float = 100.0

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return RidgeHead


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class RidgeHeadRegressor(PredictsStd, _RidgeHeadFamily, BaseMetaRegressor):
    """Bayesian linear regression on meta-learned features, exact for each task.

    The features, the prior of the head and the noise are meta-learned; adapting is one linear
    solve [1]_ [2]_. The first learner to try on tables: cheap, steady, and it knows how
    uncertain it is (``predict(X, return_std=True)``).

    Parameters
    ----------
    noise : float, default=0.8
        Noise level before meta-training, > 0, in standard deviations of the targets.
    prior_precision : float, default=100.0
        Precision of the head's prior before meta-training, > 0.
    likelihood : bool, default=True
        Train by the predictive density, which makes standard deviations honest, instead of
        the squared error.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi. Meta-Learning with Differentiable
       Closed-Form Solvers. ICLR 2019.
    .. [2] J. Harrison, A. Sharma, M. Pavone. Meta-Learning Priors for Efficient Online
       Bayesian Regression. WAFR 2018.

    Examples
    --------
    >>> from metaskl import RidgeHeadRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> mean, std = meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """

    likelihood: bool = True


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class RidgeHeadClassifier(_RidgeHeadFamily, BaseMetaClassifier):
    """Ridge regression of one-hot classes on meta-learned features, exact for each task.

    Adapting is one linear solve, scaled to logits [1]_; any number of classes. A strong choice
    for tables whose tasks share their classes.

    Parameters
    ----------
    noise : float, default=0.8
        Noise level before meta-training, > 0.
    prior_precision : float, default=100.0
        Precision of the head's prior before meta-training, > 0.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi. Meta-Learning with Differentiable
       Closed-Form Solvers. ICLR 2019.

    Examples
    --------
    >>> from metaskl import RidgeHeadClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = RidgeHeadClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
