"""Attentive conditional neural processes for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.attentive_cnp import AttentiveCNP


@dataclass(kw_only=True, eq=False, repr=False)
class _AttentiveCNPFamily(BaseMetaEstimator):
    hidden_size: int = 64
    n_heads: int = 4

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return AttentiveCNP


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class AttentiveCNPRegressor(PredictsStd, _AttentiveCNPFamily, BaseMetaRegressor):
    """Attentive conditional neural process: a network looks up support rows and predicts.

    As :class:`~metaskl.CNPRegressor`, but each row to predict attends to the support rows like it
    [1]_, so that it goes on learning with more rows. It needs hundreds of tasks.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of encoder, attention and decoder, a multiple of `n_heads`.
    n_heads : int, default=4
        Heads of the attention, >= 1.
    min_std : float, default=0.1
        Smallest predictive standard deviation, in (0, 1), in those of the targets.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] H. Kim, A. Mnih, J. Schwarz, M. Garnelo, A. Eslami, D. Rosenbaum, O. Vinyals,
       Y. W. Teh. Attentive Neural Processes. ICLR 2019.

    Examples
    --------
    >>> from metaskl import AttentiveCNPRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = AttentiveCNPRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """

    min_std: float = 0.1


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class AttentiveCNPClassifier(_AttentiveCNPFamily, BaseMetaClassifier):
    """Attentive conditional neural process: a network looks up support rows like the one asked.

    As :class:`~metaskl.CNPClassifier`, with attention from each row to predict to the support rows
    [1]_. With ``label_space="task"`` each class is read by itself, and a support may hold any
    number of classes.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of encoder, attention and decoder, a multiple of `n_heads`.
    n_heads : int, default=4
        Heads of the attention, >= 1.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] H. Kim, A. Mnih, J. Schwarz, M. Garnelo, A. Eslami, D. Rosenbaum, O. Vinyals,
       Y. W. Teh. Attentive Neural Processes. ICLR 2019.

    Examples
    --------
    >>> from metaskl import AttentiveCNPClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = AttentiveCNPClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
