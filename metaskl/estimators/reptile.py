"""Reptile for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.reptile import Reptile


@dataclass(kw_only=True, eq=False, repr=False)
class _ReptileFamily(BaseMetaEstimator):
    adaptation_steps: int = 10
    test_adaptation_steps: int | None = None
    inner_lr: float = 0.02
    inner_optimizer: str = "sgd"
    batch_size: int | None = 10
    inner_clip: float | None = 10.0
    engine: str = "auto"

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return Reptile


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class ReptileRegressor(_ReptileFamily, BaseMetaRegressor):
    """Reptile: an initialisation near the weights that each task ends at.

    Trains on all rows of an episode, `n_shot` + `n_query` of them, by ordinary steps on
    minibatches, and moves θ towards where they end [1]_. No second derivatives: the cheapest of
    the learners that adapt the whole network, for larger networks and longer inner loops. On
    small tables :class:`~metaskl.MAMLRegressor` is as cheap and mostly better.
    ``optimizer="sgd", outer_lr=1.0`` is the paper's outer step.

    Parameters
    ----------
    adaptation_steps : int, default=10
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=0.02
        Step size α of the inner loop, > 0.
    inner_optimizer : {"sgd", "adam"}, default="sgd"
        The inner loop's optimiser: plain steps, or Adam with β₁ = 0 as in the paper for images.
    batch_size : int or None, default=10
        Rows of a minibatch of an inner step in meta-training, >= 1; None takes all.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient with ``"sgd"``; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the gradients of inner steps are taken: the numbers differ by rounding. ``"loop"``
        runs task by task, also a network that cannot be mapped over tasks. Nothing is compiled:
        ``"adjoint"`` and ``"compiled"`` are ``"auto"``.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    MAMLRegressor : The gradient through the inner steps.
    metaskl.learners.reptile.Reptile : The learner.

    References
    ----------
    .. [1] A. Nichol, J. Achiam, J. Schulman. On First-Order Meta-Learning Algorithms.
       arXiv 2018.

    Examples
    --------
    >>> from metaskl import ReptileRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = ReptileRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class ReptileClassifier(_ReptileFamily, BaseMetaClassifier):
    """Reptile: an initialisation near the weights that each task ends at.

    As :class:`~metaskl.ReptileRegressor`, with cross entropy [1]_.

    Parameters
    ----------
    adaptation_steps : int, default=10
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=0.02
        Step size α of the inner loop, > 0.
    inner_optimizer : {"sgd", "adam"}, default="sgd"
        The inner loop's optimiser: plain steps, or Adam with β₁ = 0 as in the paper for images.
    batch_size : int or None, default=10
        Rows of a minibatch of an inner step in meta-training, >= 1; None takes all.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient with ``"sgd"``; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the gradients of inner steps are taken: the numbers differ by rounding. ``"loop"``
        runs task by task, also a network that cannot be mapped over tasks. Nothing is compiled:
        ``"adjoint"`` and ``"compiled"`` are ``"auto"``.
    zero_head : bool, default=False
        With ``label_space="task"``: whether the inner steps start from a head of zeros [2]_, so
        that a class is what its support rows say, and a new task may have any number of them.
        Take a larger `inner_lr` with it, such as 0.1. False learns a start for each of `n_way`
        places: a support may hold fewer, not more.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] A. Nichol, J. Achiam, J. Schulman. On First-Order Meta-Learning Algorithms.
       arXiv 2018.
    .. [2] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.

    Examples
    --------
    >>> from metaskl import ReptileClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = ReptileClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """

    zero_head: bool = False
