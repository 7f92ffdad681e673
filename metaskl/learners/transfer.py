"""Transfer: pre-train one network on the rows of all tasks, then adapt it by a recipe."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, MetaLearner, map_rows, one_task, stack_of_one
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.pool import pool_rows
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.tasks import Episode

_STRATEGIES = ("freeze", "head", "all", "gradual")
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Transfer(MetaLearner):
    """Pre-train on all meta-training tasks together, then fine-tune on the support [1]_.

    Meta-training is ordinary training: every row of every task, one network. Adapting takes
    Adam steps on the support, held near the start by λ‖θ − θ_start‖² [2]_. The baseline that
    a meta-learner has to beat, and with a pre-trained body often the best choice.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; may be pre-trained.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    strategy : {"freeze", "head", "all", "gradual"}, default="head"
        ``"freeze"``: a new head (from zero) on the frozen body; ``"head"``: the pre-trained head
        fine-tuned; ``"all"``: the whole network fine-tuned; ``"gradual"``: from the head down,
        one more layer at a time [3]_. Where classes are private to a task the head is always
        new.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        λ, how strongly fine-tuning is held near its start, >= 0.
    train_body : bool, default=True
        Whether meta-training changes the body; False leaves a pre-trained body as it is.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`; pre-training tells the pool's classes apart.

    References
    ----------
    .. [1] W.-Y. Chen, Y.-C. Liu, Z. Kira, Y.-C. F. Wang, J.-B. Huang. A Closer Look at
       Few-shot Classification. ICLR 2019.
    .. [2] X. Li, Y. Grandvalet, F. Davoine. Explicit Inductive Bias for Transfer Learning
       with Convolutional Networks. ICML 2018.
    .. [3] J. Howard, S. Ruder. Universal Language Model Fine-tuning for Text Classification.
       ACL 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.transfer import Transfer
    >>> learner = Transfer(MLP((8,)).build((1,)), 1, strategy="all")
    >>> sorted(learner.adapt(torch.zeros(5, 1), torch.ones(5, 1)))[:2]
    ['body.layers.0.bias', 'body.layers.0.weight']
    """

    uses_pool: ClassVar[bool] = True

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        strategy: str = "head",
        adaptation_steps: int = 30,
        inner_lr: float = 0.01,
        pull: float = 5.0,
        train_body: bool = True,
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
        if strategy not in _STRATEGIES:
            raise ParameterError(f"strategy must be one of {_STRATEGIES}, got {strategy!r}.")
        if adaptation_steps < 1 or not inner_lr > 0 or pull < 0:
            raise ParameterError(
                "adaptation_steps must be at least 1, inner_lr above 0 and pull at least 0, got "
                f"{adaptation_steps}, {inner_lr} and {pull}. Start from the defaults."
            )
        self.network = Network(backbone, n_pool_classes if private_labels else n_outputs)
        self.strategy = strategy
        self.adaptation_steps = adaptation_steps
        self.inner_lr = inner_lr
        self.pull = pull
        self.train_body = train_body
        if not train_body:
            self.network.body.requires_grad_(False)
        if strategy in ("all", "gradual"):
            refuse_running_statistics(backbone, type(self).__name__)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a body that is not trained stays as in evaluation, statistics and all."""
        super().train(mode)
        if not self.train_body:
            self.network.body.eval()
        return self

    def adapt(self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None) -> Adapted:
        """Fine-tune on one task's support."""
        weight = None if weight is None else weight[None]
        return one_task(self.adapt_tasks(X_support[None], y_support[None], weight))

    def predict(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with the fine-tuned weights."""
        return self.predict_tasks(stack_of_one(adapted), X_query[None])[0]

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Fine-tune on a stack of tasks at once; no gradient reaches the meta-parameters."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        start = self._start(len(X_support), y_support.shape[-1])
        parameters = start
        first = {name: torch.zeros_like(p) for name, p in start.items()}
        second = {name: torch.zeros_like(p) for name, p in start.items()}
        for step in range(self.adaptation_steps):
            trained = self._unfrozen(list(start), step)
            gradients = self._gradients(parameters, start, X_support, y_support, weight)
            parameters = dict(parameters)
            for name, g in gradients.items():
                first[name] = _BETA_1 * first[name] + (1 - _BETA_1) * g
                second[name] = _BETA_2 * second[name] + (1 - _BETA_2) * g**2
                if name not in trained:
                    continue
                mean = first[name] / (1 - _BETA_1 ** (step + 1))
                spread = (second[name] / (1 - _BETA_2 ** (step + 1))).sqrt() + _EPSILON
                parameters[name] = parameters[name] - self.inner_lr * mean / spread
        return parameters

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def initial(self) -> Adapted | None:
        """Return the pre-trained network (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        return {name: p[0] for name, p in self._start(1, self.n_outputs, new_head=False).items()}

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the loss of all rows, support and query alike, without adapting."""
        X, y, weight = pool_rows(episode, self.n_pool_classes if self.private_labels else 0)
        output = map_rows(self.network, X, weight)
        return self.task_loss(output, y, weight).mean()

    def _start(self, n_tasks: int, n_outputs: int, *, new_head: bool | None = None) -> Adapted:
        """Return what fine-tuning starts from, one copy a task."""
        whole = self.strategy in ("all", "gradual")
        own = {
            name: p.detach()
            for name, p in self.network.named_parameters()
            if whole or name.startswith("head.")
        }
        if new_head is None:
            new_head = self.strategy == "freeze" or self.private_labels
        if new_head:
            weight = own["head.weight"]
            own["head.weight"] = weight.new_zeros(n_outputs, weight.shape[1])
            own["head.bias"] = weight.new_zeros(n_outputs)
        return {name: p.expand(n_tasks, *p.shape) for name, p in own.items()}

    def _unfrozen(self, names: list[str], step: int) -> list[str]:
        """Return the parameters that this step trains."""
        if self.strategy != "gradual":
            return names
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        n_open = 1 + step * len(layers) // self.adaptation_steps
        return [name for name in names if name.rpartition(".")[0] in layers[-n_open:]]

    def _gradients(
        self, parameters: Adapted, start: Adapted, X: Tensor, y: Tensor, weight: Tensor
    ) -> Adapted:
        """Return each task's gradient of the support loss with the pull to the start."""
        with torch.enable_grad():
            point = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            loss = self.task_loss(self.network.forward_tasks(point, X), y, weight).sum()
            gradients = torch.autograd.grad(loss, list(point.values()), allow_unused=True)
        return {
            name: (torch.zeros_like(p) if g is None else g) + 2 * self.pull * (p - start[name])
            for (name, p), g in zip(parameters.items(), gradients, strict=True)
        }

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "strategy": Choice(_STRATEGIES),
            "adaptation_steps": Integer(5, 100, log=True),
            "inner_lr": Real(1e-3, 0.1, log=True),
            "pull": Real(0.1, 100.0, log=True),
        }
