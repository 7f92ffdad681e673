"""Conditional neural processes for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.cnp import CNP


@dataclass(kw_only=True, eq=False, repr=False)
class _CNPFamily(BaseMetaEstimator):
    hidden_size: int = 64

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return CNP


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class CNPRegressor(PredictsStd, _CNPFamily, BaseMetaRegressor):
    """Conditional neural process: a network reads the support and predicts.

    The support is encoded to one vector, from which the network predicts mean and standard
    deviation of any row [1]_. Everything is learned, so it needs hundreds of tasks; it hardly
    uses more rows than it was trained with. Train it with a range of supports
    (``n_shot=(3, 20)``).

    Parameters
    ----------
    hidden_size : int, default=64
        Width of encoder and decoder, and length of the code, >= 1.
    min_std : float, default=0.1
        Smallest predictive standard deviation, in (0, 1), in those of the targets.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] M. Garnelo, D. Rosenbaum, C. J. Maddison, T. Ramalho, D. Saxton, M. Shanahan,
       Y. W. Teh, D. J. Rezende, S. M. A. Eslami. Conditional Neural Processes. ICML 2018.

    Examples
    --------
    >>> from metaskl import CNPRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = CNPRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> mean, std = meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """

    min_std: float = 0.1


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class CNPClassifier(_CNPFamily, BaseMetaClassifier):
    """Conditional neural process: a network reads the support and gives class probabilities.

    The support is encoded to one vector, from which the network predicts any row [1]_. With
    ``label_space="task"`` each class is encoded to a vector of its own, and a support may hold any
    number of classes.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of encoder and decoder, and length of the code, >= 1.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] M. Garnelo, D. Rosenbaum, C. J. Maddison, T. Ramalho, D. Saxton, M. Shanahan,
       Y. W. Teh, D. J. Rezende, S. M. A. Eslami. Conditional Neural Processes. ICML 2018.

    Examples
    --------
    >>> from metaskl import CNPClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = CNPClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
