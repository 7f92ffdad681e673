"""Prototypical networks for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier
from metaskl.learners import MetaLearner
from metaskl.learners.protonet import ProtoNet


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class ProtoNetClassifier(BaseMetaClassifier):
    """Prototypical networks: the nearest class mean in a learned space.

    Adapting averages the support of each class [1]_: no gradient, any number of classes. The
    first learner to try on pictures and sentences with classes of their own
    (``label_space="task"``). With shared classes each also has a meta-learned prototype.

    Parameters
    ----------
    distance : {"euclidean", "mahalanobis"}, default="euclidean"
        How far a row is from a prototype: with ``"mahalanobis"`` by the spread of each class's
        support, shrunk to that of all classes and to 1 [2]_; for networks of up to a few
        hundred features.
    scale : {"learned"} or float, default="learned"
        How sharp the probabilities are, > 0: logits are minus this number times the squared
        distances. ``"learned"`` starts at one over the square root of the number of features;
        the papers have 1.0.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] J. Snell, K. Swersky, R. Zemel. Prototypical Networks for Few-shot Learning.
       NeurIPS 2017.
    .. [2] P. Bateni, R. Goyal, V. Masrani, F. Wood, L. Sigal. Improved Few-Shot Visual
       Classification. CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl import ProtoNetClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> classes = BlobTasks().sample_classes(20, 30, random_state=0)
    >>> y = np.repeat(classes.task_ids, classes.sizes)
    >>> meta = ProtoNetClassifier(label_space="task", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(classes.X, y)
    >>> new = meta.adapt([[0.0, 0.0], [5.0, 5.0]], ["left", "right"])
    >>> new.predict([[4.0, 5.0]]).tolist()
    ['right']
    """

    distance: str = "euclidean"
    scale: str | float = "learned"

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return ProtoNet
