"""SimpleShot for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier
from metaskl.learners import MetaLearner
from metaskl.learners.simpleshot import SimpleShot


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class SimpleShotClassifier(BaseMetaClassifier):
    """SimpleShot: an ordinary classifier's features, centred, normalised, nearest centroid.

    No episodes: one network is trained to tell all the pool's classes apart [1]_, and a new
    task's classes are the means of its support. The baseline for ``label_space="task"``.

    Parameters
    ----------
    scale : float, default=10.0
        How sharp the probabilities are, > 0; the predicted class does not depend on it.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] Y. Wang, W.-L. Chao, K. Weinberger, L. van der Maaten. SimpleShot: Revisiting
       Nearest-Neighbor Classification for Few-Shot Learning. arXiv 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl import SimpleShotClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> classes = BlobTasks().sample_classes(20, 30, random_state=0)
    >>> y = np.repeat(classes.task_ids, classes.sizes)
    >>> meta = SimpleShotClassifier(label_space="task", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(classes.X, y)
    >>> new = meta.adapt([[-5.0, 0.0], [5.0, 5.0]], ["left", "right"])
    >>> new.predict([[4.0, 5.0]]).tolist()
    ['right']
    """

    scale: float = 10.0

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return SimpleShot
