"""Gradient steps on a support: what the learners that take them share."""

from __future__ import annotations

import abc
import logging
import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from metaskl.backbones.chain import Chain, Chained
from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, MetaLearner, gathers_statistics
from metaskl.learners.engine.compiled import Compiler
from metaskl.learners.engine.dense import Dense, dense_of
from metaskl.learners.engine.gradients import gradient_by_task, leaves
from metaskl.learners.engine.graphs import LossOf, by_graphs, graph_bytes
from metaskl.learners.engine.memory import (
    Gradients,
    at_once,
    by_parts,
    bytes_of,
    fitting,
    prediction,
)
from metaskl.learners.engine.packing import packing_of, rows_of
from metaskl.learners.engine.plan import ENGINES, Plan
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.private_head import PrivateHead
from metaskl.learners.steps import check_steps, check_test_steps, steps_on_new_tasks
from metaskl.tasks import Episode


class InnerLoop(PrivateHead, abc.ABC):
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
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    zero_head : bool, default=False
        Whether, with `private_labels`, the inner steps start from a head of zeros.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Attributes
    ----------
    memory_note : str
        What the last meta-gradient was predicted to take, and in which chunks it was taken.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """

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
        memory_budget: int = 2**30,
        zero_head: bool = False,
        private_labels: bool,
        n_pool_classes: int,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            zero_head=zero_head,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        check_steps(adaptation_steps)
        check_test_steps(test_adaptation_steps)
        _check(inner_lr, inner_clip)
        self.adaptation_steps = adaptation_steps
        self.test_adaptation_steps = test_adaptation_steps
        self.inner_lr = inner_lr
        self.inner_clip = inner_clip
        if engine not in ENGINES:
            raise ParameterError(
                f"engine must be one of {ENGINES}, got {engine!r}. Leave it at 'auto'."
            )
        self.engine = engine
        self.memory_budget = bytes_of(memory_budget)
        self.memory_note = ""
        self._memory_notes: set[str] = set()
        self._graph_bytes: dict[Hashable, int] = {}
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
        if self.training:
            return self.adaptation_steps
        return steps_on_new_tasks(self.test_adaptation_steps, self.adaptation_steps)

    def replaces(self, base: type[Any], *names: str) -> bool:
        """Say whether a subclass has a method of its own in place of one of these of `base`."""
        return any(getattr(type(self), name) is not getattr(base, name) for name in names)

    def dense(self, base: type[InnerLoop], *, of_head: bool = False) -> Dense | None:
        """Return the network's hand-derived derivatives, or None where there are none.

        There are for a chain of linear layers with a linear head and a `MetaLearner`'s losses, in
        full precision; with `of_head` those of the head alone, whatever the body. What they stand
        for must be as in `base`, whose predictions are the network's.
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

    def n_planned(self) -> float:
        """Return how many outer steps are to win back compiling: all there are, if asked for."""
        return math.inf if self.engine == "compiled" else self.planned_steps

    def compiles(self, device: torch.device, plan: Plan | None = None) -> bool:
        """Say whether the outer gradient is to be compiled: asked for, or likely to pay."""
        gains = self.engine == "auto" and (plan is None or plan.gains_by_compiling())
        asked = gains or self.engine == "compiled"
        return asked and self.compiler.repays(self.n_planned(), device)

    def loss_of(self, plan: Plan, weights: Sequence[float], *, second_order: bool) -> Tensor:
        """Return the mean over tasks of a plan's outer loss, whose gradient is known already."""
        return plan.as_loss(*self.gradients_of(plan, weights, second_order=second_order))

    def gradients_of(
        self, plan: Plan, weights: Sequence[float], *, second_order: bool
    ) -> Gradients:
        """Return a plan's outer loss, summed over tasks, and its gradients, without a graph."""
        device, by_hand = plan.start[0].device, isinstance(plan.problem, DenseProblem)
        size, n_kept = plan.n_tasks, plan.rates.inner.n_steps
        find: Callable[..., Gradients] = Plan.gradients
        if by_hand:
            plan = plan.formed(weights)
            plan, need = fitting(plan, weights, self.memory_budget, second_order=second_order)
            size, n_kept = need.fitted(self.memory_budget, device)
            self.note_memory(need.said(size))
        if self.compiles(device, plan):
            find, by_hand = partial(self.compiler.gradients, n_planned=self.n_planned()), False
        find = partial(find, weights=weights, second_order=second_order, n_kept=n_kept)
        with torch.inference_mode() if by_hand else torch.no_grad():  # the former is faster
            return by_parts(plan, size, find)

    def loss_by_graph(self, episode: Episode, loss_of: LossOf, *, second_order: bool) -> Tensor:
        """Return an outer loss that autograd differentiates, in chunks if memory asks for it.

        What the graph of a task holds is measured once for each shape of the episodes. Running
        statistics are of all tasks together: then there are no chunks.
        """
        n_tasks, shapes = len(episode.X_support), [t.shape[1:] for t in episode[:6]]
        form = (self.training, second_order, *shapes)
        if not torch.is_grad_enabled() or gathers_statistics(self):
            return loss_of(episode)
        if form not in self._graph_bytes:
            own = [*self.parameters(), *self.buffers()]
            self._graph_bytes[form] = max(graph_bytes(loss_of, episode, own), 1)
        a_task, device = self._graph_bytes[form], episode.X_support.device
        size = at_once(a_task, n_tasks, self.memory_budget, device)
        self.note_memory(prediction(a_task, n_tasks, size))
        return by_graphs(loss_of, episode, size, [p for p in self.parameters() if p.requires_grad])

    def note_memory(self, note: str) -> None:
        """Keep a prediction, and log each once: shapes of episodes take turns."""
        if note not in self._memory_notes:
            logging.getLogger("metaskl").info("%s", note)
        self._memory_notes.add(note)
        self.memory_note = note

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
            rows = dense.rows(X, y, weight)
            gradient, _, trace = dense.gradient(packing.stack(parameters), rows)
        return dense.losses(trace, rows), packing.unpacked(gradient)

    def clipped(self, gradients: Adapted) -> Adapted:
        """Shorten the gradients of tasks whose norm is too large, by a constant factor each."""
        if self.inner_clip is None:
            return gradients
        squares = [rows_of(g.detach()).square().sum(1) for g in gradients.values()]
        norm = torch.stack(squares).sum(0).sqrt()
        factor = self.inner_clip / norm.clamp_min(self.inner_clip)
        return {n: g * factor.reshape(-1, *[1] * (g.ndim - 1)) for n, g in gradients.items()}


def _check(inner_lr: float, inner_clip: float | None) -> None:
    if not (isinstance(inner_lr, Real) and inner_lr > 0):
        raise ParameterError(
            f"inner_lr must be above 0, got {inner_lr!r}. Try 0.01 to 0.1 on standardised features."
        )
    if not (inner_clip is None or (isinstance(inner_clip, Real) and inner_clip > 0)):
        raise ParameterError(
            f"inner_clip must be above 0 or None, got {inner_clip!r}. None does not limit the "
            "inner gradient."
        )
