"""Relation networks for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier
from metaskl.learners import MetaLearner
from metaskl.learners.relation import Relation


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class RelationClassifier(BaseMetaClassifier):
    """Relation networks: a learned comparison of a row with each class's mean.

    As :class:`ProtoNetClassifier`, but a small network says how well a row fits a class,
    instead of a distance [1]_. For many tasks whose classes no fixed distance tells apart.

    Parameters
    ----------
    relation_size : int, default=64
        Units of each hidden layer of the network that compares, >= 1.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] F. Sung, Y. Yang, L. Zhang, T. Xiang, P. Torr, T. Hospedales. Learning to Compare:
       Relation Network for Few-Shot Learning. CVPR 2018.

    Examples
    --------
    >>> from metaskl import RelationClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = RelationClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """

    relation_size: int = 64

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return Relation
