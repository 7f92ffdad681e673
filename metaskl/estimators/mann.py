"""Memory-augmented neural networks for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaskl.errors import NotAdaptedError
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.inputs import Array
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.mann import MANN


@dataclass(kw_only=True, eq=False, repr=False)
class _MANNFamily(BaseMetaEstimator):
    n_slots: int = 128
    slot_size: int = 40
    n_reads: int = 4
    controller_size: int = 128
    usage_decay: float = 0.99
    engine: str = "auto"

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return MANN

    @property
    def memory_(self) -> Array:
        """What the adapted task's memory holds, (n_slots, slot_size)."""
        return self._state("memory")

    @property
    def written_(self) -> Array:
        """How much of each slot comes from each support row, (n_slots, n_support)."""
        return self._by_support_row(self._state("written"))

    def read_weights(self, X: Any) -> Array:
        """Return how much of each support row the predictions of new rows looked at.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_support)
            For each row of `X` and each row of the support, in the order in which `adapt`
            was given it: the weight with which what was written of the support row is read,
            averaged over the read heads. What a row lacks to a sum of 1 is read from
            blank slots; a support row written to several slots may be read more than once.

        Raises
        ------
        NotAdaptedError
            If this is no adapted copy.
        """
        self._state("written")  # says first that adapt is missing
        return self._by_support_row(self._by_rows(X, self.net_.module_.read_rows))

    def _by_support_row(self, values: Array) -> Array:
        """Take the columns of padding away, and add those of a row's views to the row's own."""
        own: Array = values[:, self._state("presented") > 0]
        if self.n_support_ == 0:  # nothing, or one task's rows in fit: there are no views of them
            return own
        summed: Array = own.reshape(len(own), -1, self.n_support_).sum(axis=1)
        return summed

    def _state(self, name: str) -> Array:
        state = getattr(self, "state_", None)
        if state is None:
            raise NotAdaptedError(
                f"this {type(self).__name__} must be adapted before it has a memory to look at. "
                "Call adapt(X_support, y_support) and ask what it returns."
            )
        values: Array = state[name].cpu().double().numpy()
        return values


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MANNRegressor(_MANNFamily, BaseMetaRegressor):
    """A network with an external memory, which reads a task's rows one after the other.

    A controller stores each row of the support with its target in a memory and reads from it
    to predict [1]_. Adapting is reading the support once: no gradients. What a prediction
    looked at can be seen (:meth:`read_weights`). For tasks whose rows come in an order, and
    where there are many tasks; on ordinary tables try
    :class:`~metaskl.RidgeHeadRegressor` first.

    Parameters
    ----------
    n_slots : int, default=128
        Slots of the memory, >= 1; a longer support overwrites what is least used.
    slot_size : int, default=40
        Numbers that a slot holds, >= 1.
    n_reads : int, default=4
        Read heads, >= 1.
    controller_size : int, default=128
        Units of the LSTM controller, >= 1.
    usage_decay : float, default=0.99
        How slowly usage of a slot is forgotten, in [0, 1].
    engine : {"auto", "loop", "compiled"}, default="auto"
        How a sequence is run in training; all give the same numbers. A compiled row and its
        derivative take half a minute for each length of the sequences, which ``"auto"`` spends
        where 100,000 rows or more are planned on a CPU.
    <shared parameters>

    Attributes
    ----------
    memory_ : ndarray of shape (n_slots, slot_size)
        What the memory holds, of an adapted copy.
    written_ : ndarray of shape (n_slots, n_support)
        How much of each slot comes from each row of the support, of an adapted copy.
    <shared attributes>

    See Also
    --------
    metaskl.learners.mann.MANN : The learner, and where it departs from the paper.

    References
    ----------
    .. [1] A. Santoro, S. Bartunov, M. Botvinick, D. Wierstra, T. Lillicrap. Meta-Learning with
       Memory-Augmented Neural Networks. ICML 2016.

    Examples
    --------
    >>> from metaskl import MANNRegressor
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = MANNRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> new = meta.adapt(waves.X[:5], waves.y[:5])
    >>> new.predict(waves.X[5:8]).shape, new.read_weights(waves.X[5:8]).shape
    ((3,), (3, 5))
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MANNClassifier(_MANNFamily, BaseMetaClassifier):
    """A network with an external memory, which reads a task's rows one after the other.

    A controller stores each row of the support with its class in a memory and reads from it to
    predict [1]_. With ``label_space="task"`` it has `n_way` classes: a support may hold
    fewer, not more. What a prediction looked at can be seen (:meth:`read_weights`).

    Parameters
    ----------
    n_slots : int, default=128
        Slots of the memory, >= 1; a longer support overwrites what is least used.
    slot_size : int, default=40
        Numbers that a slot holds, >= 1.
    n_reads : int, default=4
        Read heads, >= 1.
    controller_size : int, default=128
        Units of the LSTM controller, >= 1.
    usage_decay : float, default=0.99
        How slowly usage of a slot is forgotten, in [0, 1].
    engine : {"auto", "loop", "compiled"}, default="auto"
        How a sequence is run in training; all give the same numbers. A compiled row and its
        derivative take half a minute for each length of the sequences, which ``"auto"`` spends
        where 100,000 rows or more are planned on a CPU.
    <shared parameters>

    Attributes
    ----------
    memory_ : ndarray of shape (n_slots, slot_size)
        What the memory holds, of an adapted copy.
    written_ : ndarray of shape (n_slots, n_support)
        How much of each slot comes from each row of the support, of an adapted copy.
    <shared attributes>

    References
    ----------
    .. [1] A. Santoro, S. Bartunov, M. Botvinick, D. Wierstra, T. Lillicrap. Meta-Learning with
       Memory-Augmented Neural Networks. ICML 2016.

    Examples
    --------
    >>> from metaskl import MANNClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = MANNClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict_proba(blobs.X[9:11]).shape
    (2, 3)
    """
