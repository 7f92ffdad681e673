"""Transfer learning over tasks for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.transfer import Transfer


@dataclass(kw_only=True, eq=False, repr=False)
class _TransferFamily(BaseMetaEstimator):
    strategy: str = "head"
    adaptation_steps: int = 30
    inner_lr: float = 0.01
    pull: float = 5.0
    unfreeze_every: int | None = None
    layer_decay: float = 1.0
    train_body: bool = True

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return Transfer


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class TransferRegressor(_TransferFamily, BaseMetaRegressor):
    """One network trained on the rows of all tasks, fine-tuned on a new task's support.

    The plain alternative to meta-learning, and the one to beat. Takes a pre-trained body:
    ``backbone=FromModule(module)``, or ``FromModule(Net, {...}, state_dict="weights.pt")``.

    Parameters
    ----------
    strategy : {"freeze", "head", "all", "gradual"}, default="head"
        What fine-tuning changes: a new head, the trained head, everything, or from the head
        down one more layer at a time.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        How strongly fine-tuning is held near its start, >= 0.
    unfreeze_every : int, optional
        With ``"gradual"``: steps until the next layer joins, >= 1; by default each layer has an
        equal share of the steps.
    layer_decay : float, default=1.0
        Each layer's step size is that of the layer above it divided by this, >= 1.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    metaskl.learners.transfer.Transfer : The learner, with its references.

    Examples
    --------
    >>> from metaskl import TransferRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = TransferRegressor(strategy="all", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class TransferClassifier(_TransferFamily, BaseMetaClassifier):
    """One network trained on the rows of all tasks, fine-tuned on a new task's support.

    With ``label_space="task"`` the network is trained to tell all the pool's classes apart, and
    a new task gets a new head. Takes a pre-trained body: ``backbone=FromModule(module)``.

    Parameters
    ----------
    strategy : {"freeze", "head", "all", "gradual"}, default="head"
        What fine-tuning changes: a new head, the trained head, everything, or from the head
        down one more layer at a time.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        How strongly fine-tuning is held near its start, >= 0.
    unfreeze_every : int, optional
        With ``"gradual"``: steps until the next layer joins, >= 1; by default each layer has an
        equal share of the steps.
    layer_decay : float, default=1.0
        Each layer's step size is that of the layer above it divided by this, >= 1.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    Examples
    --------
    >>> from metaskl import TransferClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = TransferClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
