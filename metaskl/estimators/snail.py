"""SNAIL for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.snail import SNAIL


@dataclass(kw_only=True, eq=False, repr=False)
class _SNAILFamily(BaseMetaEstimator):
    n_filters: int = 32
    n_dilations: int = 4
    key_size: int = 32
    value_size: int = 32

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return SNAIL


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class SNAILRegressor(_SNAILFamily, BaseMetaRegressor):
    """A sequence model of a task's rows: causal convolutions and attention.

    The support with its targets is a sequence, and a query row its last [1]_. Adapting runs
    the support once: no gradients. It learns how to learn from scratch, so it wants many tasks;
    on ordinary tables try :class:`~metaskl.RidgeHeadRegressor` first.

    Parameters
    ----------
    n_filters : int, default=32
        Channels that each convolution appends, >= 1.
    n_dilations : int, default=4
        Convolutions of a block, >= 1; they look back over 2 to that power rows.
    key_size : int, default=32
        Size of the keys of each attention, >= 1.
    value_size : int, default=32
        Size of the values of each attention, >= 1.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] N. Mishra, M. Rohaninejad, X. Chen, P. Abbeel. A Simple Neural Attentive
       Meta-Learner. ICLR 2018.

    Examples
    --------
    >>> from metaskl import SNAILRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = SNAILRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class SNAILClassifier(_SNAILFamily, BaseMetaClassifier):
    """A sequence model of a task's rows: causal convolutions and attention.

    The support with its classes is a sequence, and a query row its last [1]_. With
    ``label_space="task"`` it has `n_way` classes: a support may hold fewer, not more.

    Parameters
    ----------
    n_filters : int, default=32
        Channels that each convolution appends, >= 1.
    n_dilations : int, default=4
        Convolutions of a block, >= 1; they look back over 2 to that power rows.
    key_size : int, default=32
        Size of the keys of each attention, >= 1.
    value_size : int, default=32
        Size of the values of each attention, >= 1.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] N. Mishra, M. Rohaninejad, X. Chen, P. Abbeel. A Simple Neural Attentive
       Meta-Learner. ICLR 2018.

    Examples
    --------
    >>> from metaskl import SNAILClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = SNAILClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """
