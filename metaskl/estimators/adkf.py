"""Adaptive deep kernel fitting for scikit-learn users."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.adkf_ift import ADKF


@dataclass(kw_only=True, eq=False, repr=False)
class _ADKFFamily(BaseMetaEstimator):
    kernel: str = "matern"
    mean: str = "linear"
    adaptation_steps: int = 20
    prior_scale: float = 0.2
    noise: float = 0.8
    amplitude: float = 0.5

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        return ADKF


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class ADKFRegressor(PredictsStd, _ADKFFamily, BaseMetaRegressor):
    """A Gaussian process on meta-learned features, with kernel parameters of each task's own.

    Adaptive deep kernel fitting with implicit differentiation [1]_: length scale, amplitude and
    noise are fitted to the support, and the features are meta-learned through that fit. As
    :class:`~metaskl.DKTRegressor` for tasks that differ in smoothness or noise; about three
    times its cost. It knows how uncertain it is (``predict(X, return_std=True)``).

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="matern"
        Covariance of the features; ``"matern"`` has smoothness 5/2, the last three have no
        length scale.
    mean : {"linear", "constant", "zero"}, default="linear"
        Prior mean, what all tasks have in common.
    adaptation_steps : int, default=20
        Most Newton steps of the fit to a support, >= 1.
    prior_scale : float, default=0.2
        By how much tasks differ in the logarithm of their kernel parameters before
        meta-training, > 0.
    noise : float, default=0.8
        Centre of the noise levels before meta-training, > 0, in standard deviations of the
        targets.
    amplitude : float, default=0.5
        Centre of the amplitudes before meta-training, > 0, in the same units.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] W. Chen, A. Tripp, J. M. Hernández-Lobato. Meta-learning Adaptive Deep Kernel Gaussian
       Processes for Molecular Property Prediction. ICLR 2023.

    Examples
    --------
    >>> from metaskl import ADKFRegressor
    >>> from metaskl.tasks import GaussianProcessTasks
    >>> drawn = GaussianProcessTasks().sample(50, 20, random_state=0)
    >>> meta = ADKFRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(drawn.X, drawn.y, groups=drawn.groups)
    >>> mean, std = meta.adapt(drawn.X[:9], drawn.y[:9]).predict(drawn.X[9:12], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3,), True)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class ADKFClassifier(_ADKFFamily, BaseMetaClassifier):
    """Gaussian process regression of the classes, with kernel parameters of each task's own.

    Adaptive deep kernel fitting with implicit differentiation [1]_, each class regressed versus
    the rest on targets ±1 and the means scaled to logits; any number of classes. Published as the
    strongest learner on the molecules of :func:`~metaskl.datasets.fetch_fsmol`.

    Parameters
    ----------
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="matern"
        Covariance of the features; ``"matern"`` has smoothness 5/2, the last three have no
        length scale.
    mean : {"linear", "constant", "zero"}, default="linear"
        Prior mean, what all tasks have in common; zero with ``label_space="task"``.
    adaptation_steps : int, default=20
        Most Newton steps of the fit to a support, >= 1.
    prior_scale : float, default=0.2
        By how much tasks differ in the logarithm of their kernel parameters before
        meta-training, > 0.
    noise : float, default=0.8
        Centre of the noise levels before meta-training, > 0; targets are ±1.
    amplitude : float, default=0.5
        Centre of the amplitudes before meta-training, > 0, in the same units.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    References
    ----------
    .. [1] W. Chen, A. Tripp, J. M. Hernández-Lobato. Meta-learning Adaptive Deep Kernel Gaussian
       Processes for Molecular Property Prediction. ICLR 2023.

    Examples
    --------
    >>> from metaskl import ADKFClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = ADKFClassifier(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
