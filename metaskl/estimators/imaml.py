"""Implicit MAML for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.imaml import IMAML


@dataclass(kw_only=True, eq=False, repr=False)
class _IMAMLFamily(BaseMetaEstimator):
    adaptation_steps: int = 20
    test_adaptation_steps: int | None = None
    inner_lr: float = 0.2
    pull: float = 1.0
    cg_steps: int = 5
    engine: str = "auto"

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return IMAML


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class IMAMLRegressor(_IMAMLFamily, BaseMetaRegressor):
    """MAML with implicit gradients: adapts to the minimum near the initialisation.

    θ′ minimises L(θ′) + λ/2 ‖θ′ − θ‖², and the outer gradient follows from the minimum alone [1]_:
    inner loops may be long at the memory of one step. Try it where many inner steps help; with a
    few, :class:`~metaskl.MAMLRegressor` with its learned rates is quicker and as good.

    Parameters
    ----------
    adaptation_steps : int, default=20
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=0.2
        Step size α of the first inner step, > 0; it adjusts itself to each task.
    pull : float, default=1.0
        λ, how strongly the adapted weights are held near θ, > 0: 0.1 where tasks differ sharply
        and have little noise, 5 where they are alike.
    cg_steps : int, default=5
        Steps of conjugate gradients for the outer gradient, >= 1.
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
    metaskl.learners.imaml.IMAML : The learner.

    References
    ----------
    .. [1] A. Rajeswaran, C. Finn, S. Kakade, S. Levine. Meta-Learning with Implicit Gradients.
       NeurIPS 2019.

    Examples
    --------
    >>> from metaskl import IMAMLRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = IMAMLRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class IMAMLClassifier(_IMAMLFamily, BaseMetaClassifier):
    """MAML with implicit gradients: adapts to the minimum near the initialisation.

    As :class:`~metaskl.IMAMLRegressor`, with cross entropy [1]_.

    Parameters
    ----------
    adaptation_steps : int, default=20
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
    inner_lr : float, default=0.2
        Step size α of the first inner step, > 0; it adjusts itself to each task.
    pull : float, default=1.0
        λ, how strongly the adapted weights are held near θ, > 0: 0.1 where tasks differ sharply
        and have little noise, 5 where they are alike.
    cg_steps : int, default=5
        Steps of conjugate gradients for the outer gradient, >= 1.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the gradients of inner steps are taken: the numbers differ by rounding. ``"loop"``
        runs task by task, also a network that cannot be mapped over tasks. Nothing is compiled:
        ``"adjoint"`` and ``"compiled"`` are ``"auto"``.
    zero_head : bool, default=False
        With ``label_space="task"``: whether the inner steps start from a head of zeros [2]_, so
        that a class is what its support rows say, and a new task may have any number of them.
        Take a smaller `pull` with it, such as 0.1. False learns a start for each of `n_way`
        places: a support may hold fewer, not more.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] A. Rajeswaran, C. Finn, S. Kakade, S. Levine. Meta-Learning with Implicit Gradients.
       NeurIPS 2019.
    .. [2] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.

    Examples
    --------
    >>> from metaskl import IMAMLClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = IMAMLClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """

    zero_head: bool = False
