"""In-context learning for scikit-learn users."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from metaskl.errors import ParameterError
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.in_context import InContext
from metaskl.tasks import PriorEpisodes, TaskSet
from metaskl.training import TrainingPlan, meta_train

# The rate of training on prior tasks falls in so many steps.
_EPOCHS = 10


@dataclass(kw_only=True, eq=False, repr=False)
class _InContextFamily(BaseMetaEstimator):
    width: int = 64
    n_layers: int = 3
    n_heads: int = 4
    prior_tasks: int = 0

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return InContext

    def _prepare(self, learner: MetaLearner, tasks: TaskSet, plan: TrainingPlan) -> None:
        """Train on synthetic tasks first, if asked."""
        if self.prior_tasks < 0:
            raise ParameterError(
                f"prior_tasks must be at least 0, got {self.prior_tasks}. Give 0 to train on the "
                "tasks alone."
            )
        if not self.prior_tasks:
            return
        sampler = PriorEpisodes(
            tasks,
            kind=self.kind,
            n_outputs=learner.n_outputs,
            private_labels=self._private,
            n_shot=self.n_shot,
            n_query=self.n_query,
            meta_batch_size=self.meta_batch_size,
            random_state=plan.seed,
        )
        if plan.checkpoint is not None and Path(plan.checkpoint).is_file():
            return  # it holds weights that were trained on the prior already
        n_steps = math.ceil(self.prior_tasks / self.meta_batch_size)
        n_epochs = min(_EPOCHS, n_steps)
        prior = replace(
            plan,
            max_epochs=n_epochs,
            steps_per_epoch=math.ceil(n_steps / n_epochs),
            validation=(),
            patience=None,
            checkpoint=None,
            callbacks=[],
            name=f"{plan.name}, prior tasks",
        )
        meta_train(learner, sampler, prior)


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class InContextRegressor(PredictsStd, _InContextFamily, BaseMetaRegressor):
    """A small transformer that reads the support and predicts, without fitting to the task.

    It is trained on your own tasks [1]_, and first on synthetic ones if you ask for it [2]_.
    For tasks that differ in shape, with some hundred of them or many rows each; it knows how
    uncertain it is (``predict(X, return_std=True)``). Train it on supports of the sizes that
    it will meet: ``n_shot=(2, 20)``. The rows of a support are bounded by time and memory only:
    ten thousand take 12 s on a CPU core and 0.3 GiB.

    Parameters
    ----------
    width : int, default=64
        Values of a row inside the transformer; a multiple of `n_heads`.
    n_layers : int, default=3
        Layers, >= 1.
    n_heads : int, default=4
        Attention heads of a layer, >= 1.
    prior_tasks : int, default=0
        Synthetic tasks to train on first, >= 0, rounded up to whole meta-batches: random
        functions of the columns of `X`. Tables only; as many as training has
        (``max_epochs * steps_per_epoch * meta_batch_size``) doubles its time.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] S. Müller, N. Hollmann, S. Pineda Arango, J. Grabocka, F. Hutter. Transformers Can
       Do Bayesian Inference. ICLR 2022.
    .. [2] N. Hollmann, S. Müller, K. Eggensperger, F. Hutter. TabPFN: A Transformer That
       Solves Small Tabular Classification Problems in a Second. ICLR 2023.

    Examples
    --------
    >>> from metaskl import InContextRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = InContextRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> mean, std = meta.adapt(waves.X[:5], waves.y[:5]).predict(waves.X[5:8], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class InContextClassifier(_InContextFamily, BaseMetaClassifier):
    """A small transformer that reads the support and predicts, without fitting to the task.

    It is trained on your own tasks [1]_, and first on synthetic ones if you ask for it [2]_.
    With ``label_space="task"`` it takes any number of classes, and treats them alike exactly. The
    rows of a support are bounded by time and memory only: ten thousand take 12 to 17 s on a CPU
    core and 0.3 GiB, with classes of their own 5 GiB.

    Parameters
    ----------
    width : int, default=64
        Values of a row inside the transformer; a multiple of `n_heads`.
    n_layers : int, default=3
        Layers, >= 1.
    n_heads : int, default=4
        Attention heads of a layer, >= 1.
    prior_tasks : int, default=0
        Synthetic tasks to train on first, >= 0, rounded up to whole meta-batches: random
        functions of the columns of `X`. Tables only; as many as training has
        (``max_epochs * steps_per_epoch * meta_batch_size``) doubles its time.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] S. Müller, N. Hollmann, S. Pineda Arango, J. Grabocka, F. Hutter. Transformers Can
       Do Bayesian Inference. ICLR 2022.
    .. [2] N. Hollmann, S. Müller, K. Eggensperger, F. Hutter. TabPFN: A Transformer That
       Solves Small Tabular Classification Problems in a Second. ICLR 2023.

    Examples
    --------
    >>> from metaskl import InContextClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = InContextClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
