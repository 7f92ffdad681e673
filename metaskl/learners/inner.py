"""Gradient steps on a support: what the learners that take them share."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metaskl.backbones.chain import Chain, Chained
from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, MetaLearner
from metaskl.learners.engine.compiled import Compiler
from metaskl.learners.engine.dense import Dense, dense_of, rows_of
from metaskl.learners.engine.memory import within
from metaskl.learners.engine.packing import packing_of
from metaskl.learners.engine.plan import ENGINES, Plan
from metaskl.learners.network import Network
from metaskl.learners.stacked import StackedLearner


class InnerLoop(StackedLearner, abc.ABC):
    """A learner that adapts by gradient steps on the support.

    A subclass gives :meth:`parameters_to_adapt`, :meth:`adapt_tasks` and :meth:`predict_tasks`,
    and a `network`.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}
        What the outputs mean.
    adaptation_steps : int
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int or None
        Inner gradient steps in evaluation mode, >= 1; None takes as many as in training.
    inner_lr : float
        Step size of the inner loop, > 0.
    inner_clip : float or None
        Largest norm of a task's inner gradient, > 0; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run and differentiated; all give the same numbers.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """

    fixed_ways: ClassVar[bool] = True  # the head is part of the initialisation
    network: Network
    memory_budget: int = 2**30  # bytes of a meta-gradient; what is beyond is taken in parts

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str,
        adaptation_steps: int,
        test_adaptation_steps: int | None,
        inner_lr: float,
        inner_clip: float | None,
        engine: str = "auto",
        private_labels: bool,
        n_pool_classes: int,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        _check(adaptation_steps, test_adaptation_steps, inner_lr, inner_clip)
        self.adaptation_steps = adaptation_steps
        self.test_adaptation_steps = test_adaptation_steps
        self.inner_lr = inner_lr
        self.inner_clip = inner_clip
        if engine not in ENGINES:
            raise ParameterError(
                f"engine must be one of {ENGINES}, got {engine!r}. Leave it at 'auto'."
            )
        self.engine = engine
        self.compiler = Compiler()
        self.planned_steps = 0

    @abc.abstractmethod
    def parameters_to_adapt(self) -> Adapted:
        """Return what the inner steps start from, without a task axis."""

    def initial(self) -> Adapted | None:
        """Return what the inner steps start from."""
        return {name: p.detach() for name, p in self.parameters_to_adapt().items()}

    def n_steps(self) -> int:
        """Return how many inner steps are taken in the present mode."""
        if self.training or self.test_adaptation_steps is None:
            return self.adaptation_steps
        return self.test_adaptation_steps

    def replaces(self, base: type[Any], *names: str) -> bool:
        """Say whether a subclass has a method of its own in place of one of these of `base`."""
        return any(getattr(type(self), name) is not getattr(base, name) for name in names)

    def dense(self, base: type[InnerLoop], *, of_head: bool = False) -> Dense | None:
        """Return the network's hand-derived derivatives, or None where there are none.

        There are for a chain of linear layers with a linear head and the losses of
        :class:`MetaLearner`, in full precision; with `of_head` those of the head alone, whatever
        the body. What they stand for must be as in `base`, whose predictions are the network's.
        """
        network = self.network
        if self.engine in ("loop", "vmap") or network.parametrized:
            return None
        if self.replaces(MetaLearner, "row_loss", "task_loss"):
            return None
        if self.replaces(base, "predict_tasks", "clipped", "parameters_to_adapt"):
            return None
        weight = network.head.weight
        if torch.is_autocast_enabled(weight.device.type):
            return None
        if of_head:
            chain: Chain | None = Chain("relu", (network.head.in_features,), (), False)
        else:
            chain = network.body.chain() if isinstance(network.body, Chained) else None
        return None if chain is None else dense_of(chain, len(weight), self.kind)

    def goes_back_by_adjoint(self, dense: Dense | None) -> bool:
        """Say whether the outer gradient is taken by the adjoint, not by double backward.

        Unasked only where the derivatives are written out: otherwise an adjoint step takes the
        inner gradient twice, which saves memory and costs time.
        """
        return self.engine in ("adjoint", "compiled") or (
            self.engine == "auto" and dense is not None
        )

    def begin_training(self, n_steps: int) -> None:
        """Take note of how many outer steps are planned: compiling must repay itself."""
        self.planned_steps = n_steps

    def loss_of(self, plan: Plan, weights: Sequence[float], *, second_order: bool) -> Tensor:
        """Return the mean over tasks of a plan's outer loss, whose gradient is known already."""
        compiled = self.engine == "compiled" or (
            self.engine == "auto" and self.compiler.repays(self.planned_steps, plan.start[0].device)
        )
        find = self.compiler.gradients if compiled else Plan.gradients

        def find_part(part: Plan, n_kept: int) -> tuple[Tensor, list[Tensor | None]]:
            return find(part, weights, second_order=second_order, n_kept=n_kept)

        with torch.no_grad():
            loss, gradients = within(
                plan, self.memory_budget, find_part, weights, second_order=second_order
            )
        return plan.as_loss(loss, gradients)

    def start(self, n_tasks: int, *, detach: bool) -> Adapted:
        """Return what the inner steps start from, once a task."""
        return {
            name: (p.detach() if detach else p).expand(n_tasks, *p.shape)
            for name, p in self.parameters_to_adapt().items()
        }

    def gradient(
        self, point: Adapted, X: Tensor, y: Tensor, weight: Tensor, *, create_graph: bool = False
    ) -> Adapted:
        """Return each task's gradient of the loss of these rows at a point that requires one."""
        losses = self.task_loss(self.predict_tasks(point, X), y, weight)
        return gradient_by_task(losses, point, create_graph=create_graph)

    def losses_and_gradient(
        self, base: type[InnerLoop], parameters: Adapted, X: Tensor, y: Tensor, weight: Tensor
    ) -> tuple[Tensor, Adapted]:
        """Return each task's loss of these rows by weights of its own, and its gradient.

        `base` is as in :meth:`dense`.
        """
        dense = self.dense(base)
        packing = packing_of(dict(self.network.named_parameters()))
        if dense is None or packing.shapes.keys() != parameters.keys():
            with torch.enable_grad():
                point = leaves(parameters)
                losses = self.task_loss(self.predict_tasks(point, X), y, weight)
                gradients = gradient_by_task(losses, point)
            return losses.detach(), gradients
        with torch.no_grad():
            rows = rows_of(X, y, weight)
            losses, gradient, _, _ = dense.losses_and_gradient(packing.stack(parameters), rows)
        return losses, packing.unpacked(gradient)

    def clipped(self, gradients: Adapted) -> Adapted:
        """Shorten the gradients of tasks whose norm is too large, by a constant factor each."""
        if self.inner_clip is None:
            return gradients
        squares = [g.detach().flatten(1).square().sum(1) for g in gradients.values()]
        norm = torch.stack(squares).sum(0).sqrt()
        factor = self.inner_clip / norm.clamp_min(self.inner_clip)
        return {n: g * factor.reshape(-1, *[1] * (g.ndim - 1)) for n, g in gradients.items()}


def leaves(parameters: Adapted) -> Adapted:
    """Return copies to differentiate at, so that no graph is kept."""
    return {name: p.detach().requires_grad_() for name, p in parameters.items()}


def gradient_by_task(losses: Tensor, point: Adapted, *, create_graph: bool = False) -> Adapted:
    """Return each task's gradient of its loss.

    The losses of all tasks are summed and differentiated together: task t's parameters only
    enter task t's loss, so the gradient holds every task's own.
    """
    gradients = torch.autograd.grad(
        losses.sum(), list(point.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(point, gradients, strict=True))


def with_gradient(value: Tensor, parameters: Adapted, gradients: Adapted) -> Tensor:
    """Return `value` as a loss whose gradient at the parameters is the one given.

    Parameters
    ----------
    value : Tensor of shape ()
        What the loss is.
    parameters : dict of Tensor
        Meta-parameters.
    gradients : dict of Tensor
        The mean gradient over tasks of each, by name.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    product = torch.stack([(p * gradients[n].detach()).sum() for n, p in parameters.items()]).sum()
    return value.detach() + (product - product.detach())


def _check(steps: int, test_steps: int | None, inner_lr: float, inner_clip: float | None) -> None:
    if steps < 1:
        raise ParameterError(
            f"adaptation_steps must be at least 1, got {steps}. "
            "For a model without adaptation use Pooled or Transfer."
        )
    if test_steps is not None and test_steps < 1:
        raise ParameterError(
            f"test_adaptation_steps must be at least 1 or None, got {test_steps}. None takes as "
            "many steps as in meta-training."
        )
    if not inner_lr > 0:
        raise ParameterError(
            f"inner_lr must be above 0, got {inner_lr}. Try 0.01 to 0.1 on standardised features."
        )
    if inner_clip is not None and not inner_clip > 0:
        raise ParameterError(
            f"inner_clip must be above 0 or None, got {inner_clip}. None does not limit the inner "
            "gradient."
        )
