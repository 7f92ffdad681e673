"""Deep kernel transfer for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.dkt import DKT


@dataclass(kw_only=True, eq=False, repr=False)
class _DKTFamily(BaseMetaEstimator):
    kernel: str = "rbf"
    mean: str = "linear"
    objective: str = "predictive"
    noise: float = 0.8
    amplitude: float = 0.5

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return DKT


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class DKTRegressor(PredictsStd, _DKTFamily, BaseMetaRegressor):
    """A Gaussian process on meta-learned features: deep kernel transfer.

    The features, the prior mean and the kernel are meta-learned [1]_; adapting conditions the
    process on the support. Choose it over the ridge head where tasks differ by more than a
    linear head can follow and bring some tens of rows. It knows how uncertain it is
    (``predict(X, return_std=True)``).

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="rbf"
        Covariance of the features. ``"matern"`` has smoothness 5/2; ``"tanimoto"`` suits bits and
        counts with ``backbone=MLP(())`` and ``standardize=False``.
    mean : {"linear", "constant", "zero"}, default="linear"
        Prior mean, what all tasks have in common; ``"constant"`` as in the paper.
    objective : {"predictive", "marginal"}, default="predictive"
        Meta-train by the predictive density of the query, or as in the paper by the marginal
        likelihood of all rows.
    noise : float, default=0.8
        Noise level before meta-training, > 0, in standard deviations of the targets.
    amplitude : float, default=0.5
        By how much tasks leave the mean before meta-training, > 0, in the same units.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] M. Patacchiola, J. Turner, E. J. Crowley, M. O'Boyle, A. Storkey. Bayesian
       Meta-Learning for the Few-Shot Setting via Deep Kernels. NeurIPS 2020.

    Examples
    --------
    >>> from metaskl import DKTRegressor
    >>> from metaskl.tasks import GaussianProcessTasks
    >>> drawn = GaussianProcessTasks().sample(50, 20, random_state=0)
    >>> meta = DKTRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(drawn.X, drawn.y, groups=drawn.groups)
    >>> mean, std = meta.adapt(drawn.X[:9], drawn.y[:9]).predict(drawn.X[9:12], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class DKTClassifier(_DKTFamily, BaseMetaClassifier):
    """Gaussian process regression of the classes on meta-learned features: deep kernel transfer.

    Each class is regressed versus the rest on targets ±1 and the means are scaled to logits
    [1]_; any number of classes. Adapting is one linear solve.

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="rbf"
        Covariance of the features. ``"cosine"`` is the paper's strongest for pictures;
        ``"tanimoto"`` suits bits and counts with ``backbone=MLP(())`` and ``standardize=False``.
    mean : {"linear", "constant", "zero"}, default="linear"
        Prior mean, what all tasks have in common; zero with ``label_space="task"``.
    objective : {"predictive", "marginal"}, default="predictive"
        Meta-train by the cross entropy of the query, or as in the paper by the marginal
        likelihood of all rows.
    noise : float, default=0.8
        Noise level before meta-training, > 0; targets are ±1.
    amplitude : float, default=0.5
        By how much tasks leave the mean before meta-training, > 0, in the same units.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] M. Patacchiola, J. Turner, E. J. Crowley, M. O'Boyle, A. Storkey. Bayesian
       Meta-Learning for the Few-Shot Setting via Deep Kernels. NeurIPS 2020.

    Examples
    --------
    >>> from metaskl import DKTClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = DKTClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
