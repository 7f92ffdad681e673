"""Matching networks: a prediction is a learned weighted mean of the support's targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.attention import hidden_keys, log_probabilities
from metaskl.learners.base import Adapted, embed_tasks, stack_of_one
from metaskl.learners.bounds import within
from metaskl.learners.density import negative_log_density
from metaskl.learners.products import row_product
from metaskl.learners.prototypes import negative_squared_distances
from metaskl.learners.space import Choice, Dimension
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

_DISTANCES = ("cosine", "euclidean")


class Matching(StackedLearner):
    """Matching networks [1]_: attention over the support in a learned space.

    A query row x gives each support row the weight w_i = exp(s · cos(φ(x), φ(x_i))), or
    exp(−s ‖φ(x) − φ(x_i)‖²). Classes private to a task: the probability of a class is its
    share of the weights. Shared classes: each counts as κ_k more, and the logits of a network
    that all tasks share are added. Numbers: kernel regression [2]_ with a learned kernel
    around a learned mean m, ŷ = m(x) + Σ w_i (y_i − m(x_i)) / (κ + Σ w_i): far from the
    support the mean remains. s, κ and m are meta-learned with φ.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    distance : {"cosine", "euclidean"}, default="cosine"
        How rows are compared.
    likelihood : bool, default=True
        Regression: train by the predictive density of the query, which makes the standard
        deviations honest, instead of the squared error.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Notes
    -----
    The paper's full-context embeddings read the support by an LSTM, so that its order matters;
    they are left out. :class:`~metaskl.learners.in_context.InContext` embeds a row in the
    context of its support without an order. The paper has s = 1, under which no class can have
    more than e² times the weight of another; here s is learned from 10 (cosine) or from 1.

    References
    ----------
    .. [1] O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. Matching
       Networks for One Shot Learning. NeurIPS 2016.
    .. [2] E. Nadaraya. On Estimating Regression. Theory of Probability and Its Applications
       1964.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.matching import Matching
    >>> body = MLP(()).build((2,))
    >>> learner = Matching(body, 2, kind="classification", private_labels=True)
    >>> adapted = learner.adapt(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), torch.eye(2))
    >>> learner.predict(adapted, torch.tensor([[1.0, 0.1]])).softmax(1).round().tolist()
    [[1.0, 0.0]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        distance: str = "cosine",
        likelihood: bool = True,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        numbers = kind == "regression"
        if distance not in _DISTANCES:
            raise ParameterError(
                f"distance must be one of {_DISTANCES}, got {distance!r}. The default is "
                "'cosine', as in the paper."
            )
        self.backbone = backbone
        self.distance = distance
        self.likelihood = likelihood and numbers
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0) if distance == "cosine" else 0.0))
        shared = not private_labels
        n_prior = (1 if numbers else n_outputs) if shared else 0
        self.log_prior_count = nn.Parameter(torch.zeros(n_prior), shared)
        self.common = nn.Linear(self.n_features_out, n_outputs) if shared else None
        if self.common is not None:
            nn.init.zeros_(self.common.weight)
            nn.init.zeros_(self.common.bias)
        # Standard deviations of the noise, and of a task around the mean.
        self.log_noise = nn.Parameter(torch.tensor(math.log(0.5)), self.likelihood)
        self.log_spread = nn.Parameter(torch.tensor(math.log(0.5)), self.likelihood)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Embed the supports of a stack of tasks."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        features = embed_tasks(self.backbone, X_support)
        values = y_support
        if self.kind == "regression" and self.common is not None:
            values = values - self.common(features)
        return {"keys": self._key(features), "values": values, "hidden": hidden_keys(weight)}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return weighted means, or logits, for a stack of tasks."""
        features = embed_tasks(self.backbone, X_query)
        shares = self._shares(adapted, features)
        output = row_product(shares, self._values(adapted))
        if self.kind == "classification":
            output = log_probabilities(output)
        return output if self.common is None else output + self.common(features)

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the standard deviation of the predictive distribution, noise included."""
        if self.kind != "regression":
            return None
        stack, features = stack_of_one(adapted), embed_tasks(self.backbone, X_query[None])
        return self._variance(stack, self._shares(stack, features))[0].sqrt()

    def initial(self) -> Adapted | None:
        """Return what all tasks have in common (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        nothing = self.log_prior_count.detach()
        return {
            "keys": nothing.new_zeros(1, self.n_features_out),
            "values": nothing.new_zeros(1, self.n_outputs),
            "hidden": nothing.new_full((1, 1), -torch.inf),
        }

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the negative log predictive density of the query, or its mean loss."""
        if not self.likelihood:
            return super().episode_loss(episode)
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        features = embed_tasks(self.backbone, episode.X_query)
        shares = self._shares(adapted, features)
        mean = row_product(shares, self._values(adapted)) + self.common(features)  # type: ignore[misc]
        variance = self._variance(adapted, shares)
        return negative_log_density(mean, variance, episode.y_query, episode.weight_query)

    def _key(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=-1) if self.distance == "cosine" else features

    def _shares(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return the share (task, row, prior + support) of what counts in each prediction."""
        queries, keys = self._key(features), adapted["keys"]
        scale = self.log_scale.exp()
        if self.distance == "cosine":
            scores = scale * row_product(queries, keys.mT)
        else:
            scores = scale * negative_squared_distances(queries, keys)
        scores = scores + adapted["hidden"]
        prior = self.log_prior_count.expand(*scores.shape[:2], -1)
        return torch.softmax(torch.cat([prior, scores], dim=-1), dim=-1)

    def _values(self, adapted: Adapted) -> Tensor:
        """Return the targets (task, prior + support, output) behind the shares."""
        values = adapted["values"]
        prior = values.new_zeros(len(self.log_prior_count), values.shape[-1])
        if self.kind == "classification" and not self.private_labels:
            prior = torch.eye(len(prior), dtype=values.dtype, device=values.device)
        return torch.cat([prior.expand(len(values), *prior.shape), values], dim=1)

    def _variance(self, adapted: Adapted, shares: Tensor) -> Tensor:
        """Return the variance (task, row, output) of the mixture that the shares weigh."""
        values = self._values(adapted)
        around = row_product(shares, values**2) - row_product(shares, values) ** 2
        prior = shares[..., :1] * torch.exp(2 * within(self.log_spread, -6.9, 7.0))
        return around.clamp_min(0.0) + prior + torch.exp(2 * within(self.log_noise, -6.9, 7.0))

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"distance": Choice(_DISTANCES)}
