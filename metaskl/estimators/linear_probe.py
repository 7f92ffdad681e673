"""A linear model on pre-trained features for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.learners import MetaLearner
from metaskl.learners.linear_probe import LinearProbe


@dataclass(kw_only=True, eq=False, repr=False)
class _LinearProbeFamily(BaseMetaEstimator):
    alpha: float = 10.0
    new_head: bool = False
    train_body: bool = True

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return LinearProbe


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class LinearProbeRegressor(_LinearProbeFamily, BaseMetaRegressor):
    """Ridge regression on the features of a network trained on the rows of all tasks.

    Adapting is a closed form, shrunk towards the pre-trained head [1]_: no step size to choose.
    Takes a pre-trained body: ``backbone=FromModule(module)`` with ``train_body=False``.

    Parameters
    ----------
    alpha : float, default=10.0
        How strongly the head is held to where it starts, > 0, as in scikit-learn's ``Ridge``;
        ``1 / C`` of its ``LogisticRegression``.
    new_head : bool, default=False
        Shrink towards 0 instead of the pre-trained head. Private classes have no other way.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] Y. Tian, Y. Wang, D. Krishnan, J. B. Tenenbaum, P. Isola. Rethinking Few-Shot Image
       Classification: a Good Embedding Is All You Need? ECCV 2020.

    Examples
    --------
    >>> from metaskl import LinearProbeRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = LinearProbeRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class LinearProbeClassifier(_LinearProbeFamily, BaseMetaClassifier):
    """Logistic regression on the features of a network trained on the rows of all tasks.

    Adapting goes to the maximum of the likelihood, shrunk towards the pre-trained head [1]_: no
    step size to choose. With ``label_space="task"`` the network is trained to tell all the
    pool's classes apart, and the head of a new task is its own.

    Parameters
    ----------
    alpha : float, default=10.0
        How strongly the head is held to where it starts, > 0, as in scikit-learn's ``Ridge``;
        ``1 / C`` of its ``LogisticRegression``.
    new_head : bool, default=False
        Shrink towards 0 instead of the pre-trained head. Private classes have no other way.
    train_body : bool, default=True
        Whether meta-training changes the body; False keeps a pre-trained one as it is.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] Y. Tian, Y. Wang, D. Krishnan, J. B. Tenenbaum, P. Isola. Rethinking Few-Shot Image
       Classification: a Good Embedding Is All You Need? ECCV 2020.

    Examples
    --------
    >>> from metaskl import LinearProbeClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = LinearProbeClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
