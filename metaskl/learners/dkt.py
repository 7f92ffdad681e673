"""Deep kernel transfer: one Gaussian process prior for all tasks, exact for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaskl.errors import require_choice
from metaskl.learners.gaussian_process import DeepKernelProcess, marginal_loss
from metaskl.learners.kernels import pairwise
from metaskl.learners.space import Choice, Dimension, Real
from metaskl.tasks import Episode

_OBJECTIVES = ("predictive", "marginal")


class DKT(DeepKernelProcess):
    """Deep kernel transfer [1]_: a Gaussian process on learned features, shared by the tasks.

    y = m(x) + f(x) + ε with f ~ GP(0, s² κ(φ(x), φ(x′)) + c²) and ε ~ N(0, σ²). The features φ,
    the mean m and the kernel's λ, s, c, σ are meta-learned; adapting conditions on the support
    by one Cholesky factor. Classification regresses each class versus the rest on targets ±1
    [1]_ and scales the means to logits. Unlike a linear head it can follow a task as
    far as the rows allow.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    kernel : {"rbf", "matern", "linear", "cosine", "tanimoto"}, default="rbf"
        κ. ``"matern"`` has smoothness 5/2. Distances are root mean squares over the features,
        so that λ = 1 suits any width. ``"tanimoto"`` is x·x′ / (x·x + x′·x′ − x·x′) [2]_, for
        bits and counts of molecules with no hidden layer.
    mean : {"linear", "constant", "zero"}, default="linear"
        The prior mean m: what all tasks have in common. ``"linear"`` in the features,
        ``"constant"`` as in the paper. Zero where classes are private to a task.
    objective : {"predictive", "marginal"}, default="predictive"
        Meta-train by the predictive density of the query given the support (classification:
        its cross entropy), or as in the paper by the marginal likelihood of all rows.
    noise : float, default=0.8
        σ before meta-training, > 0, in units of the (standardised) targets.
    amplitude : float, default=0.5
        s and c before meta-training, > 0, in the same units.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] M. Patacchiola, J. Turner, E. J. Crowley, M. O'Boyle, A. Storkey. Bayesian
       Meta-Learning for the Few-Shot Setting via Deep Kernels. NeurIPS 2020.
    .. [2] L. Ralaivola, S. J. Swamidass, H. Saigo, P. Baldi. Graph kernels for chemical
       informatics. Neural Networks 2005.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.dkt import DKT
    >>> learner = DKT(MLP(()).build((1,)), 1, noise=1e-3, amplitude=2.0)
    >>> adapted = learner.adapt(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> learner.predict(adapted, torch.tensor([[1.0]])).round(decimals=3).tolist()
    [[3.0]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        kernel: str = "rbf",
        mean: str = "linear",
        objective: str = "predictive",
        noise: float = 0.8,
        amplitude: float = 0.5,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            kernel=kernel,
            mean=mean,
            noise=noise,
            amplitude=amplitude,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        require_choice("objective", objective, _OBJECTIVES)
        self.objective = objective

    def hyper_parameters(self, pairs: Tensor, residual: Tensor, weight: Tensor) -> Tensor:
        """Return the shared η, for each task."""
        del residual, weight
        return self.prior_centre(pairs).expand(len(pairs), 3)

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the loss of the query given the support, or that of all rows together."""
        if self.objective == "predictive":
            return self.predictive_loss(episode)
        parts = [self._features(X) for X in (episode.X_support, episode.X_query)]
        features = torch.cat(parts, dim=1)
        y = torch.cat([episode.y_support, episode.y_query], dim=1)
        weight = torch.cat([episode.weight_support, episode.weight_query], dim=1).to(features)
        residual = self._residual(features, y, weight)
        pairs = pairwise(self.kernel, features, features)
        factor = self._factor(pairs, self.hyper_parameters(pairs, residual, weight), weight)
        n_values = weight.sum(-1).clamp_min(1.0) * residual.shape[-1]
        loss = (marginal_loss(factor, residual, weight) / n_values).mean()
        return loss if self.kind == "regression" else loss + self._calibration(episode)

    def _calibration(self, episode: Episode) -> Tensor:
        """Return the query's cross entropy as a function of the scale of the logits alone."""
        with torch.no_grad():
            adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
            features = self._features(episode.X_query)
            output = self._posterior_mean(adapted, features, self._cross(adapted, features))
        y, weight = episode.y_query.to(output), episode.weight_query.to(output)
        return self.task_loss(self._logits(output), y, weight).mean()

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "kernel": Choice(("rbf", "matern", "linear", "cosine")),
            "noise": Real(0.05, 1.0, log=True),
            "amplitude": Real(0.1, 2.0, log=True),
        }
