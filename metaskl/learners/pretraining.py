"""What learners share that pre-train one network on the rows of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, map_rows
from metaskl.learners.network import Network
from metaskl.learners.pool import pool_rows
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Pretrained(StackedLearner):
    """A learner whose meta-training is ordinary training: every row of every task, one network.

    A subclass says in :meth:`adapt_tasks` and :meth:`predict_tasks` what becomes of the network
    on a support.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; may be pre-trained. A linear head is
        added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    train_body : bool, default=True
        Whether meta-training changes the body; False leaves a pre-trained body as it is.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`; pre-training tells the pool's classes apart.
    """

    uses_pool: ClassVar[bool] = True

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
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
        self.network = Network(backbone, n_pool_classes if private_labels else n_outputs)
        self.train_body = train_body
        if not train_body:
            self.network.body.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a body that is not trained stays as in evaluation, statistics and all."""
        super().train(mode)
        if not self.train_body:
            self.network.body.eval()
        return self

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the loss of all rows, support and query alike, without adapting."""
        X, y, weight = pool_rows(episode, self.n_pool_classes if self.private_labels else 0)
        output = map_rows(self.network, X, weight)
        return self.pretraining_loss(output, y, weight).mean()

    def pretraining_loss(self, output: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the mean pre-training loss of each task's rows, shape (task,)."""
        return self.task_loss(output, y, weight)


def fine_tune(
    start: Adapted,
    loss: Callable[[Adapted], Tensor],
    *,
    n_steps: int,
    rates: Mapping[str, float],
    pull: float,
    trained: Callable[[int], set[str]] | None = None,
) -> Adapted:
    """Take Adam steps on each task's loss, held near the start by λ‖θ − θ_start‖².

    Parameters
    ----------
    start : dict of Tensor
        θ_start, with a leading task axis.
    loss : callable
        Maps parameters to the loss of each task, shape (task,).
    n_steps : int
        Steps.
    rates : mapping of str to float
        Step size of each parameter.
    pull : float
        λ.
    trained : callable, optional
        Maps a step's number to the names of the parameters that it moves; all by default. The
        moments of the others are kept up, so that they start without a jump.

    Returns
    -------
    dict of Tensor
        θ after the last step, without a graph.
    """
    parameters = start
    first = {name: torch.zeros_like(p) for name, p in start.items()}
    second = {name: torch.zeros_like(p) for name, p in start.items()}
    for step in range(n_steps):
        moved = set(start) if trained is None else trained(step)
        gradients = _gradients(loss, parameters, start, pull)
        parameters = dict(parameters)
        for name, g in gradients.items():
            first[name] = _BETA_1 * first[name] + (1 - _BETA_1) * g
            second[name] = _BETA_2 * second[name] + (1 - _BETA_2) * g**2
            if name not in moved:
                continue
            mean = first[name] / (1 - _BETA_1 ** (step + 1))
            spread = (second[name] / (1 - _BETA_2 ** (step + 1))).sqrt() + _EPSILON
            parameters[name] = parameters[name] - rates[name] * mean / spread
    return parameters


def check_fine_tuning(adaptation_steps: int, inner_lr: float, pull: float) -> None:
    """Raise unless fine-tuning takes steps, of some length, with no push from its start."""
    if adaptation_steps < 1 or not inner_lr > 0 or pull < 0:
        raise ParameterError(
            "adaptation_steps must be at least 1, inner_lr above 0 and pull at least 0, got "
            f"{adaptation_steps}, {inner_lr} and {pull}. Start from the defaults."
        )


def _gradients(
    loss: Callable[[Adapted], Tensor], parameters: Adapted, start: Adapted, pull: float
) -> Adapted:
    """Return each task's gradient of the loss with the pull to the start."""
    with torch.enable_grad():
        point = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        gradients = torch.autograd.grad(loss(point).sum(), list(point.values()), allow_unused=True)
    return {
        name: (torch.zeros_like(p) if g is None else g) + 2 * pull * (p - start[name])
        for (name, p), g in zip(parameters.items(), gradients, strict=True)
    }
