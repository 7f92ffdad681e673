"""Model-agnostic meta-learning: an initialisation that gradient steps adapt well."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, MetaLearner, one_task, stack_of_one
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.tasks import Episode

_PARTS = {"all": ("body.", "head."), "head": ("head.",), "body": ("body.",)}
_RATES = ("fixed", "per_parameter", "per_step")


class MAML(MetaLearner):
    """Model-agnostic meta-learning [1]_: θ′ = θ − α ∇L(θ), a few times, from a learned θ.

    The outer gradient goes through the inner steps (second order) unless `first_order`.
    Variants by parameter: ANIL [2]_ is ``adapt_part="head"``, BOIL [3]_ ``adapt_part="body"``,
    Meta-SGD [4]_ ``inner_lr_mode="per_parameter"``, the learned rates of MAML++ [5]_
    ``inner_lr_mode="per_step"`` (one rate a layer and step).

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; a linear head is added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    adaptation_steps : int, default=5
        Inner gradient steps, >= 1.
    inner_lr : float, default=0.05
        Step size α of the inner loop, > 0; where it is learned, where it starts.
    inner_lr_mode : {"fixed", "per_parameter", "per_step"}, default="per_step"
        Whether and how α is learned.
    first_order : bool, default=False
        Treat the inner gradients as constants: about half the cost, no second derivatives.
    adapt_part : {"all", "head", "body"}, default="all"
        Which parameters the inner steps change.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient; longer ones are shortened. A task with an
        unlucky support would otherwise diverge in its inner loop and wreck the whole meta-batch;
        no other task is touched. None is the plain algorithm.
    multi_step_loss : bool, default=False
        Outer loss averaged over the inner steps instead of the last alone, as in the first
        epochs of MAML++ [5]_; steadies training with many steps.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone keeps running statistics and its weights are adapted.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation
       of Deep Networks. ICML 2017.
    .. [2] A. Raghu, M. Raghu, S. Bengio, O. Vinyals. Rapid Learning or Feature Reuse?
       Towards Understanding the Effectiveness of MAML. ICLR 2020.
    .. [3] J. Oh, H. Yoo, C. Kim, S.-Y. Yun. BOIL: Towards Representation Change for
       Few-shot Learning. ICLR 2021.
    .. [4] Z. Li, F. Zhou, F. Chen, H. Li. Meta-SGD: Learning to Learn Quickly for Few-Shot
       Learning. arXiv 2017.
    .. [5] A. Antoniou, H. Edwards, A. Storkey. How to Train Your MAML. ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.maml import MAML
    >>> learner = MAML(MLP((8,)).build((1,)), 1)
    >>> adapted = learner.adapt(torch.zeros(5, 1), torch.ones(5, 1))
    >>> learner.predict(adapted, torch.zeros(3, 1)).shape
    torch.Size([3, 1])
    """

    fixed_ways: ClassVar[bool] = True  # the head is part of the initialisation

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        adaptation_steps: int = 5,
        inner_lr: float = 0.05,
        inner_lr_mode: str = "per_step",
        first_order: bool = False,
        adapt_part: str = "all",
        inner_clip: float | None = 10.0,
        multi_step_loss: bool = False,
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
        _check(adaptation_steps, inner_lr, inner_lr_mode, adapt_part)
        self.network = Network(backbone, n_outputs)
        self.adaptation_steps = adaptation_steps
        self.inner_lr = inner_lr
        self.inner_lr_mode = inner_lr_mode
        self.first_order = first_order
        self.inner_clip = inner_clip
        self.multi_step_loss = multi_step_loss
        self._adapted_names = [
            name
            for name, parameter in self.network.named_parameters()
            if name.startswith(_PARTS[adapt_part]) and parameter.requires_grad
        ]
        if not self._adapted_names:
            raise ParameterError(
                f"adapt_part={adapt_part!r} leaves no parameter to adapt in this backbone. Take a "
                "backbone with trainable layers, or adapt_part='head'."
            )
        if any(name.startswith("body.") for name in self._adapted_names):
            refuse_running_statistics(backbone, type(self).__name__)
        self.rates = nn.ParameterDict(
            {_key(name): self._new_rate(name) for name in self._adapted_names}
            if inner_lr_mode != "fixed"
            else {}
        )

    def adapt(self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None) -> Adapted:
        """Take the inner steps on one task's support."""
        weight = None if weight is None else weight[None]
        return one_task(self.adapt_tasks(X_support[None], y_support[None], weight))

    def predict(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with the adapted weights."""
        return self.predict_tasks(stack_of_one(adapted), X_query[None])[0]

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Take the inner steps on a stack of tasks at once."""
        return self._inner_loop(X_support, y_support, weight)[-1]

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def initial(self) -> Adapted:
        """Return the initialisation θ."""
        return {name: p.detach() for name, p in self._parameters_to_adapt().items()}

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the query loss after the inner steps (averaged over them if asked)."""
        if not self.multi_step_loss:
            return super().episode_loss(episode)
        path = self._inner_loop(episode.X_support, episode.y_support, episode.weight_support)
        losses = [
            self.task_loss(
                self.predict_tasks(adapted, episode.X_query), episode.y_query, episode.weight_query
            ).mean()
            for adapted in path
        ]
        return torch.stack(losses).mean()

    def _inner_loop(self, X: Tensor, y: Tensor, weight: Tensor | None) -> list[Adapted]:
        """Return the weights after each inner step.

        The losses of all tasks are summed and differentiated together: task t's weights only
        enter task t's loss, so the gradient holds every task's own.
        """
        outer = torch.is_grad_enabled()
        second_order = outer and not self.first_order
        weight = X.new_ones(X.shape[:2]) if weight is None else weight
        parameters = {
            name: (p if outer else p.detach()).expand(len(X), *p.shape)
            for name, p in self._parameters_to_adapt().items()
        }
        path = []
        with torch.enable_grad():
            for step in range(self.adaptation_steps):
                point = parameters
                if not second_order:  # differentiate at a copy, so that no graph is kept
                    point = {n: p.detach().requires_grad_() for n, p in parameters.items()}
                loss = self.task_loss(self.network.forward_tasks(point, X), y, weight).sum()
                gradients = torch.autograd.grad(
                    loss, list(point.values()), create_graph=second_order, allow_unused=True
                )
                clipped = self._clipped(gradients)
                parameters = {
                    name: p if g is None else p - self._rate(name, step) * g
                    for (name, p), g in zip(parameters.items(), clipped, strict=True)
                }
                if not outer:
                    parameters = {n: p.detach() for n, p in parameters.items()}
                path.append(parameters)
        return path

    def _clipped(self, gradients: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        """Shorten the gradients of tasks whose norm is too large, by a constant factor each."""
        if self.inner_clip is None:
            return list(gradients)
        squares = [g.detach().flatten(1).square().sum(1) for g in gradients if g is not None]
        norm = torch.stack(squares).sum(0).sqrt()
        factor = self.inner_clip / norm.clamp_min(self.inner_clip)
        return [
            None if g is None else g * factor.reshape(-1, *[1] * (g.ndim - 1)) for g in gradients
        ]

    def _parameters_to_adapt(self) -> dict[str, Tensor]:
        own = dict(self.network.named_parameters())
        return {name: own[name] for name in self._adapted_names}

    def _new_rate(self, name: str) -> nn.Parameter:
        parameter = self.network.get_parameter(name)
        if self.inner_lr_mode == "per_parameter":
            return nn.Parameter(torch.full_like(parameter, self.inner_lr))
        return nn.Parameter(torch.full((self.adaptation_steps,), float(self.inner_lr)))

    def _rate(self, name: str, step: int) -> Tensor | float:
        if self.inner_lr_mode == "fixed":
            return self.inner_lr
        rate: Tensor = self.rates[_key(name)]
        return rate[step] if self.inner_lr_mode == "per_step" else rate

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "inner_lr": Real(1e-3, 0.5, log=True),
            "adaptation_steps": Integer(1, 10),
            "inner_lr_mode": Choice(_RATES),
            "first_order": Choice((False, True)),
            "adapt_part": Choice(tuple(_PARTS)),
        }


def _key(name: str) -> str:
    """Return a parameter's name without dots, which a ParameterDict does not take."""
    return name.replace(".", "__")


def _check(adaptation_steps: int, inner_lr: float, inner_lr_mode: str, adapt_part: str) -> None:
    if adaptation_steps < 1:
        raise ParameterError(
            f"adaptation_steps must be at least 1, got {adaptation_steps}. "
            "For a model without adaptation use Pooled or Transfer."
        )
    if not inner_lr > 0:
        raise ParameterError(
            f"inner_lr must be above 0, got {inner_lr}. Try 0.01 to 0.1 on standardised features."
        )
    if inner_lr_mode not in _RATES:
        raise ParameterError(f"inner_lr_mode must be one of {_RATES}, got {inner_lr_mode!r}.")
    if adapt_part not in _PARTS:
        raise ParameterError(f"adapt_part must be one of {tuple(_PARTS)}, got {adapt_part!r}.")
