"""Logistic regression on meta-learned features for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier
from metaskl.learners import MetaLearner
from metaskl.learners.logistic_head import LogisticHead


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class LogisticHeadClassifier(BaseMetaClassifier):
    """Logistic regression with a meta-learned prior on meta-learned features.

    Adapting goes to the maximum of the posterior by Newton's method [1]_; any number of classes.
    The first learner to try on tables whose tasks share their classes, the more so where one
    class is rare.

    Parameters
    ----------
    prior_precision : float, default=10.0
        Precision of the head's prior before meta-training, > 0.
    newton_steps : int, default=20
        Newton steps at most, >= 1; they end where all tasks have converged.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi. Meta-Learning with Differentiable
       Closed-Form Solvers. ICLR 2019.

    Examples
    --------
    >>> from metaskl import LogisticHeadClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = LogisticHeadClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """

    prior_precision: float = 10.0
    newton_steps: int = 20

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return LogisticHead
