"""CAVIA for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.cavia import CAVIA


@dataclass(kw_only=True, eq=False, repr=False)
class _CAVIAFamily(BaseMetaEstimator):
    context_dim: int = 8
    adaptation_steps: int = 5
    test_adaptation_steps: int | None = None
    inner_lr: float = 1.0
    first_order: bool = False
    inner_clip: float | None = 10.0
    engine: str = "auto"
    memory_budget: int = 2**30

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return CAVIA


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class CAVIARegressor(_CAVIAFamily, BaseMetaRegressor):
    """Fast context adaptation: a few numbers are learned of a task, the network is shared.

    Gradient steps on a context vector that enters the network as further features [1]_. Hard to
    overfit and small to store (`state_` holds `context_dim` numbers). Try it where a few
    unknown quantities tell one task from another; with many rows a task, adapting all weights
    follows more.

    Parameters
    ----------
    context_dim : int, default=8
        Length of the context, >= 1: about as many numbers as tell one task from another.
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=1.0
        Step size α of the inner loop, > 0.
    first_order : bool, default=False
        Drop second derivatives.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run and differentiated: the time differs, the numbers by rounding.
        ``"auto"`` takes what was measured fastest; ``"loop"`` is the plain reference.
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    MAMLRegressor : The gradient through the inner steps.
    metaskl.learners.cavia.CAVIA : The learner.

    References
    ----------
    .. [1] L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson. Fast Context
       Adaptation via Meta-Learning. ICML 2019.

    Examples
    --------
    >>> from metaskl import CAVIARegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = CAVIARegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class CAVIAClassifier(_CAVIAFamily, BaseMetaClassifier):
    """Fast context adaptation: a few numbers are learned of a task, the network is shared.

    As :class:`~metaskl.CAVIARegressor`, with cross entropy [1]_. For classes that all tasks share;
    with many classes of their own a short context can hardly say which class is which.

    Parameters
    ----------
    context_dim : int, default=8
        Length of the context, >= 1: about as many numbers as tell one task from another.
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=1.0
        Step size α of the inner loop, > 0.
    first_order : bool, default=False
        Drop second derivatives.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run and differentiated: the time differs, the numbers by rounding.
        ``"auto"`` takes what was measured fastest; ``"loop"`` is the plain reference.
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson. Fast Context
       Adaptation via Meta-Learning. ICML 2019.

    Examples
    --------
    >>> from metaskl import CAVIAClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = CAVIAClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """
