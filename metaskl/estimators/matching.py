"""Matching networks for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.matching import Matching


@dataclass(kw_only=True, eq=False, repr=False)
class _MatchingFamily(BaseMetaEstimator):
    distance: str = "cosine"

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return Matching


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MatchingRegressor(PredictsStd, _MatchingFamily, BaseMetaRegressor):
    """Kernel regression with a kernel and a mean that are learned over tasks.

    A prediction is what all tasks have in common, corrected by the weighted mean of the
    support's errors; near rows weigh more [1]_ [2]_. Adapting only embeds the support. For
    tasks that differ in shape, where a linear head cannot follow.

    Parameters
    ----------
    distance : {"cosine", "euclidean"}, default="cosine"
        How rows are compared in the learned space.
    likelihood : bool, default=True
        Train by the predictive density, which makes standard deviations honest, instead of
        the squared error.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. Matching
       Networks for One Shot Learning. NeurIPS 2016.
    .. [2] E. Nadaraya. On Estimating Regression. Theory of Probability and Its Applications
       1964.

    Examples
    --------
    >>> from metaskl import MatchingRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = MatchingRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> mean, std = meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """

    likelihood: bool = True


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MatchingClassifier(_MatchingFamily, BaseMetaClassifier):
    """Matching networks: a class is as probable as its share of the near support rows.

    Adapting only embeds the support; any number of classes [1]_. As prototypes, but a class
    may lie in several places.

    Parameters
    ----------
    distance : {"cosine", "euclidean"}, default="cosine"
        How rows are compared in the learned space.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. Matching
       Networks for One Shot Learning. NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl import MatchingClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> classes = BlobTasks().sample_classes(20, 30, random_state=0)
    >>> y = np.repeat(classes.task_ids, classes.sizes)
    >>> meta = MatchingClassifier(label_space="task", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(classes.X, y)
    >>> new = meta.adapt([[-5.0, 0.0], [5.0, 5.0]], ["left", "right"])
    >>> new.predict([[4.0, 5.0]]).tolist()
    ['right']
    """
