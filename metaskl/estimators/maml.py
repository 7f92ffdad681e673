"""MAML for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.maml import MAML


@dataclass(kw_only=True, eq=False, repr=False)
class _MAMLFamily(BaseMetaEstimator):
    adaptation_steps: int = 5
    test_adaptation_steps: int | None = None
    inner_lr: float = 0.05
    inner_lr_mode: str = "per_step"
    negative_rates: bool = False
    first_order: bool = False
    first_order_epochs: int = 0
    adapt_part: str = "all"
    inner_clip: float | None = 10.0
    multi_step_loss: bool = False
    multi_step_epochs: int | None = None
    engine: str = "auto"
    memory_budget: int = 2**30

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return MAML


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MAMLRegressor(_MAMLFamily, BaseMetaRegressor):
    """Model-agnostic meta-learning of regressors.

    Learns an initialisation θ from which a few gradient steps on a new task's support,
    θ′ = θ − α ∇L(θ), predict its query well [1]_. Prefer it where tasks differ by more than
    a linear head can follow; on tables try :class:`~metaskl.RidgeHeadRegressor` first, which
    is cheaper and often better.

    Parameters
    ----------
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
        With a rate a step, further steps take the last rate.
    inner_lr : float, default=0.05
        Step size α of the inner loop, > 0; where it is learned, where it starts.
    inner_lr_mode : {"fixed", "per_parameter", "per_step"}, default="per_step"
        Whether α is learned, for each parameter (Meta-SGD) or each layer and step (MAML++).
    negative_rates : bool, default=False
        Whether a learned α may become negative (a step uphill on the support): better on smooth
        functions without noise, worse on few tasks of a real table.
    first_order : bool, default=False
        Drop second derivatives (FOMAML).
    first_order_epochs : int, default=0
        Drop them in so many epochs first, >= 0 and below `max_epochs` (MAML++).
    adapt_part : {"all", "head", "body"}, default="all"
        What the inner steps change: everything, the head (ANIL) or the body (BOIL).
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient; None does not limit it.
    multi_step_loss : bool, default=False
        Average the outer loss over the inner steps (MAML++).
    multi_step_epochs : int, optional
        Epochs over which that average moves to the last step, >= 1 and below `max_epochs`
        (MAML++); by default it stays.
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
    RidgeHeadRegressor : Closed-form head on learned features.
    metaskl.learners.maml.MAML : The learner, with the references of its variants.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation
       of Deep Networks. ICML 2017.

    Examples
    --------
    >>> from metaskl import MAMLRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = MAMLRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> new = meta.adapt(waves.X[:5], waves.y[:5])
    >>> new.predict(waves.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MAMLClassifier(_MAMLFamily, BaseMetaClassifier):
    """Model-agnostic meta-learning of classifiers.

    As :class:`~metaskl.MAMLRegressor`, with cross entropy as inner and outer loss [1]_.

    Parameters
    ----------
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps when adapting to a new task, >= 1; by default as many as in training.
        With a rate a step, further steps take the last rate.
    inner_lr : float, default=0.05
        Step size α of the inner loop, > 0; where it is learned, where it starts.
    inner_lr_mode : {"fixed", "per_parameter", "per_step"}, default="per_step"
        Whether α is learned, for each parameter (Meta-SGD) or each layer and step (MAML++).
    negative_rates : bool, default=False
        Whether a learned α may become negative (a step uphill on the support): better on smooth
        functions without noise, worse on few tasks of a real table.
    first_order : bool, default=False
        Drop second derivatives (FOMAML).
    first_order_epochs : int, default=0
        Drop them in so many epochs first, >= 0 and below `max_epochs` (MAML++).
    adapt_part : {"all", "head", "body"}, default="all"
        What the inner steps change: everything, the head (ANIL) or the body (BOIL).
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient; None does not limit it.
    multi_step_loss : bool, default=False
        Average the outer loss over the inner steps (MAML++).
    multi_step_epochs : int, optional
        Epochs over which that average moves to the last step, >= 1 and below `max_epochs`
        (MAML++); by default it stays.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run and differentiated: the time differs, the numbers by rounding.
        ``"auto"`` takes what was measured fastest; ``"loop"`` is the plain reference.
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    zero_head : bool, default=False
        With ``label_space="task"``: whether the inner steps start from a head of zeros [2]_, so
        that a class is what its support rows say, and a new task may have any number of them.
        The first step then moves the head alone: with ``adaptation_steps=1`` the body stays.
        Take a larger `inner_lr` with it on tables and sentences, such as 0.5; not on pictures.
        False, as always with ``adapt_part="body"``, learns a start for each of `n_way` places: a
        support may hold fewer, not more.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation
       of Deep Networks. ICML 2017.
    .. [2] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.

    Examples
    --------
    >>> from metaskl import MAMLClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = MAMLClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """

    zero_head: bool = False
