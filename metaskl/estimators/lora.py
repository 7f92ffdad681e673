"""Low-rank adapters for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.lora import LoRA


@dataclass(kw_only=True, eq=False, repr=False)
class _LoRAFamily(BaseMetaEstimator):
    rank: int = 4
    scale: float = 1.0
    adaptation_steps: int = 30
    inner_lr: float = 0.01
    pull: float = 5.0
    train_body: bool = True

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return LoRA


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class LoRARegressor(_LoRAFamily, BaseMetaRegressor):
    """One network trained on the rows of all tasks; a task changes it by low-rank updates.

    Between a linear probe, which leaves the body alone, and fine-tuning all of it [1]_: for large
    pre-trained bodies, and where each task's state must be small.

    Parameters
    ----------
    rank : int, default=4
        Rank of the update of each layer, >= 1.
    scale : float, default=1.0
        How much an update counts beside its step size, > 0.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        How strongly fine-tuning is held near its start, >= 0.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen. LoRA:
       Low-Rank Adaptation of Large Language Models. ICLR 2022.

    Examples
    --------
    >>> from metaskl import LoRARegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = LoRARegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class LoRAClassifier(_LoRAFamily, BaseMetaClassifier):
    """One network trained on the rows of all tasks; a task changes it by low-rank updates.

    Between a linear probe, which leaves the body alone, and fine-tuning all of it [1]_: for large
    pre-trained bodies, and where each task's state must be small. With ``label_space="task"`` the
    network is trained to tell all the pool's classes apart, and a new task gets a new head.

    Parameters
    ----------
    rank : int, default=4
        Rank of the update of each layer, >= 1.
    scale : float, default=1.0
        How much an update counts beside its step size, > 0.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        How strongly fine-tuning is held near its start, >= 0.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen. LoRA:
       Low-Rank Adaptation of Large Language Models. ICLR 2022.

    Examples
    --------
    >>> from metaskl import LoRAClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = LoRAClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
