"""CAVIA: only a short vector, the context, is adapted to a task."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.engine.gradients import leaves
from metaskl.learners.engine.packing import packing_of
from metaskl.learners.engine.plan import Plan
from metaskl.learners.engine.problems import AutogradProblem
from metaskl.learners.engine.rates import Inner, Rates
from metaskl.learners.inner import InnerLoop
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.tasks import Episode


class CAVIA(InnerLoop):
    """Fast context adaptation [1]_: gradient steps on a context c, from 0; the rest is shared.

    Nothing but the `context_dim` numbers of c is learned from a support: little to overfit, and
    little to store for each task. How the context enters depends on the network. Where its first
    layer is linear, as in an MLP, c is appended to that layer's input (which adds W c to what the
    layer gives). Otherwise, as in Conv4, it scales and shifts the embedding,
    φ(x) ∘ (1 + Γ c) + B c (FiLM [2]_), and running statistics are allowed. W, Γ and B are
    meta-learned.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; a linear head is added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    context_dim : int, default=8
        Length of the context, >= 1: about as many numbers as tell one task from another.
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps in evaluation mode, >= 1; by default as many as in training.
    inner_lr : float, default=1.0
        Step size α of the inner loop, > 0. It need not be tuned finely: the length of W, which is
        learned, has the same effect.
    first_order : bool, default=False
        Treat the inner gradients as constants.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient, > 0; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run and differentiated; all give the same numbers. See
        ``metaskl.learners.engine``.
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone begins with a linear layer and keeps running statistics.

    References
    ----------
    .. [1] L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson. Fast Context
       Adaptation via Meta-Learning. ICML 2019.
    .. [2] E. Perez, F. Strub, H. de Vries, V. Dumoulin, A. Courville. FiLM: Visual Reasoning
       with a General Conditioning Layer. AAAI 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.cavia import CAVIA
    >>> learner = CAVIA(MLP((8,)).build((1,)), 1, context_dim=3)
    >>> adapted = learner.adapt(torch.zeros(5, 1), torch.ones(5, 1))
    >>> adapted["context"].shape, learner.predict(adapted, torch.zeros(3, 1)).shape
    (torch.Size([3]), torch.Size([3, 1]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        context_dim: int = 8,
        adaptation_steps: int = 5,
        test_adaptation_steps: int | None = None,
        inner_lr: float = 1.0,
        first_order: bool = False,
        inner_clip: float | None = 10.0,
        engine: str = "auto",
        memory_budget: int = 2**30,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            adaptation_steps=adaptation_steps,
            test_adaptation_steps=test_adaptation_steps,
            inner_lr=inner_lr,
            inner_clip=inner_clip,
            engine=engine,
            memory_budget=memory_budget,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if context_dim < 1:
            raise ParameterError(
                f"context_dim must be at least 1, got {context_dim}. Start from the default."
            )
        self.network = Network(backbone, n_outputs, engine=engine)
        self.context_dim = context_dim
        self.first_order = first_order
        self.shifted_bias, width = _first_bias(self.network)
        if self.shifted_bias is not None:
            refuse_running_statistics(backbone, type(self).__name__)
        self.route = nn.Linear(context_dim, width, bias=False)

    def parameters_to_adapt(self) -> Adapted:
        """Return the context that the inner steps start from: 0."""
        return {"context": self.route.weight.new_zeros(self.context_dim).requires_grad_()}

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Take the inner steps on the contexts of a stack of tasks."""
        outer = torch.is_grad_enabled()
        second_order = outer and not self.first_order
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        adapted = self.start(len(X_support), detach=not outer)
        for _ in range(self.n_steps()):
            with torch.enable_grad():
                point = adapted if second_order else leaves(adapted)
                gradients = self.gradient(
                    point, X_support, y_support, weight, create_graph=second_order
                )
            step = self.clipped(gradients)
            adapted = {name: p - self.inner_lr * step[name] for name, p in adapted.items()}
        return adapted

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the query loss after the inner steps."""
        own_steps = self.replaces(CAVIA, "adapt_tasks", "clipped", "parameters_to_adapt")
        if own_steps or not (torch.is_grad_enabled() and self.goes_back_by_adjoint(None)):
            return self.loss_by_graph(
                episode, super().episode_loss, second_order=not self.first_order
            )
        weights = [0.0] * (self.n_steps() - 1) + [1.0]
        return self.loss_of(self._plan(episode), weights, second_order=not self.first_order)

    def _plan(self, episode: Episode) -> Plan:
        """Return the inner loop of a stack of tasks, by packed contexts."""
        start = self.parameters_to_adapt()
        packing = packing_of(start)
        inner = Inner(set(start), self.inner_lr, {}, False, self.n_steps(), self.inner_clip)
        shared = [p for p in self.parameters() if p.requires_grad]

        def losses(X: Tensor, y: Tensor, weight: Tensor) -> Callable[[Adapted], Tensor]:
            return lambda point: self.task_loss(self.predict_tasks(point, X), y, weight)

        of_both = losses(*episode[:3]), losses(*episode[3:6])
        problem = AutogradProblem(packing, *of_both, shared, list(self.buffers()))
        context = start["context"]
        rates = Rates(packing, inner, context)
        return Plan(problem, packing, [context.detach()], rates, shared, len(episode.X_support))

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's context."""
        signal = self.route(adapted["context"])
        if self.shifted_bias is not None:
            bias = self.network.get_parameter(self.shifted_bias) + signal
            return self.network.forward_tasks({self.shifted_bias: bias}, X_query)
        scale, shift = signal.unsqueeze(1).chunk(2, dim=-1)
        features = embed_tasks(self.network.body, X_query) * (1 + scale) + shift
        output: Tensor = self.network.head(features)
        return output

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "context_dim": Integer(2, 32, log=True),
            "inner_lr": Real(0.1, 3.0, log=True),
            "adaptation_steps": Integer(1, 10),
            "first_order": Choice((False, True)),
        }


def _first_bias(network: Network) -> tuple[str | None, int]:
    """Return the bias of a linear first layer with its width, or None and that of a FiLM."""
    for name, module in network.body.named_modules():
        if next(module.parameters(recurse=False), None) is None:
            continue
        if isinstance(module, nn.Linear) and module.bias is not None:
            return f"body.{name}.bias".replace("..", "."), module.out_features
        break
    return None, 2 * int(network.head.in_features)
