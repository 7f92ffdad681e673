"""Reptile: move the initialisation towards the weights that each task ends at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted
from metaskl.learners.engine.gradients import attached
from metaskl.learners.engine.packing import rows_of
from metaskl.learners.inner import InnerLoop
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.tasks import Episode

_OPTIMIZERS = ("sgd", "adam")
_BETA_2, _EPSILON = 0.999, 1e-8
_GOLDEN = 0.6180339887498949

# Features, targets and weights of the rows of an inner step.
Rows = tuple[Tensor, Tensor, Tensor]


class Reptile(InnerLoop):
    """Reptile [1]_: the outer gradient is θ − φ, with φ where training on a task ends.

    The inner loop is ordinary training on minibatches of all of an episode's rows, support
    and query alike; no derivative of it is taken, so memory and time do not depend on second
    derivatives. With ``optimizer="sgd"`` the outer step is the paper's θ ← θ + β (φ − θ), averaged
    over tasks; Adam, the default of the estimators, takes the same gradient, as the paper
    suggests. The loss that is reported is the mean over the inner steps of the minibatch's, before
    the step: with plain inner steps its first-order gradient is θ − φ, up to a factor.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; a linear head is added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    adaptation_steps : int, default=10
        Inner gradient steps in meta-training, >= 1; with a single one this is joint training of
        all tasks.
    test_adaptation_steps : int, optional
        Inner gradient steps in evaluation mode, >= 1, each on the whole support; by default as
        many as in training.
    inner_lr : float, default=0.02
        Step size α of the inner loop, > 0.
    inner_optimizer : {"sgd", "adam"}, default="sgd"
        ``"sgd"``: plain steps, with which θ − φ is a descent direction. ``"adam"``: Adam with
        β₁ = 0, as in the paper for images, begun afresh for each task; its steps are as long for
        tasks that are nearly learned as for others.
    batch_size : int or None, default=10
        Rows of a minibatch in meta-training, >= 1; None takes all rows in each step. Different
        rows in each step are what makes Reptile learn to generalise within a task.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient with ``"sgd"``, > 0; None does not limit it.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner steps' gradients are taken; all give the same numbers. Nothing is
        differentiated through the steps, nor compiled: ``"adjoint"`` and ``"compiled"`` are
        ``"auto"``.
    zero_head : bool, default=False
        With `private_labels`: whether the inner steps start from a head of zeros [2]_, so that it
        does not matter how a task's classes are numbered, and a task may have any number of them.
        False learns a start for each of `n_outputs` places. From zeros take a larger `inner_lr`.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone keeps running statistics.

    References
    ----------
    .. [1] A. Nichol, J. Achiam, J. Schulman. On First-Order Meta-Learning Algorithms.
       arXiv 2018.
    .. [2] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.reptile import Reptile
    >>> learner = Reptile(MLP((8,)).build((1,)), 1, test_adaptation_steps=50).eval()
    >>> adapted = learner.adapt(torch.zeros(5, 1), torch.ones(5, 1))
    >>> learner.predict(adapted, torch.zeros(3, 1)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        adaptation_steps: int = 10,
        test_adaptation_steps: int | None = None,
        inner_lr: float = 0.02,
        inner_optimizer: str = "sgd",
        batch_size: int | None = 10,
        inner_clip: float | None = 10.0,
        engine: str = "auto",
        zero_head: bool = False,
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
            zero_head=zero_head,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if inner_optimizer not in _OPTIMIZERS:
            raise ParameterError(
                f"inner_optimizer must be one of {_OPTIMIZERS}, got {inner_optimizer!r}."
            )
        if batch_size is not None and batch_size < 1:
            raise ParameterError(
                f"batch_size must be at least 1 or None, got {batch_size}. None takes all rows of "
                "an episode in each inner step."
            )
        refuse_running_statistics(backbone, type(self).__name__)
        self.network = Network(backbone, n_outputs, engine=engine, zero_head=self.zero_head)
        self.inner_optimizer = inner_optimizer
        self.batch_size = batch_size

    def parameters_to_adapt(self) -> Adapted:
        """Return the initialisation θ."""
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Take the inner steps on a stack of tasks, each on the whole support."""
        if (learner := self.for_ways(y_support.shape[-1])) is not self:
            return Reptile.adapt_tasks(learner, X_support, y_support, weight)
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        return self._descend(lambda step: (X_support, y_support, weight), len(X_support))[0]

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the mean loss over the inner steps, with the gradient mean(θ − φ)."""
        rows = all_rows(episode)
        size = rows[0].shape[1] if self.batch_size is None else self.batch_size
        order = spread_order(rows[2])
        end, value = self._descend(lambda step: minibatch(rows, order, step, size), len(rows[0]))
        theta = self.parameters_to_adapt()
        gradients = [p.detach() - end[name].mean(0) for name, p in theta.items()]
        return attached(value, [*theta.values()], gradients)

    def _descend(self, rows_of: Callable[[int], Rows], n_tasks: int) -> tuple[Adapted, Tensor]:
        """Train each task's weights from θ on the rows of each step; return the mean loss too."""
        parameters = self.start(n_tasks, detach=True)
        second = {name: torch.zeros_like(p) for name, p in parameters.items()}
        total: Tensor | float = 0.0
        for step in range(self.n_steps()):
            X, y, weight = rows_of(step)
            losses, gradients = self.losses_and_gradient(Reptile, parameters, X, y, weight)
            if self.inner_optimizer == "adam":
                gradients = _scaled(gradients, second, step)
            else:
                gradients = self.clipped(gradients)
            parameters = {n: p - self.inner_lr * gradients[n] for n, p in parameters.items()}
            total = total + losses.mean()
        return parameters, torch.as_tensor(total) / self.n_steps()

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "inner_lr": Real(1e-3, 0.1, log=True),
            "adaptation_steps": Integer(2, 20, log=True),
            "test_adaptation_steps": Integer(2, 50, log=True),
            "inner_optimizer": Choice(_OPTIMIZERS),
        }


def _scaled(gradients: Adapted, second: Adapted, step: int) -> Adapted:
    """Return Adam's steps with β₁ = 0, and update its second moments.

    What is zero but for rounding stays: Adam would make a whole step of it, in a direction that is
    chance. From a head of zeros its bias is such, with as many rows of each class.
    """
    largest = torch.stack([rows_of(g).abs().amax(1) for g in gradients.values()]).amax(0)
    floor = 16 * torch.finfo(largest.dtype).eps * largest
    steps = {}
    for name, g in gradients.items():
        g = torch.where(g.abs() > floor.reshape(-1, *[1] * (g.ndim - 1)), g, 0.0)
        second[name] = _BETA_2 * second[name] + (1 - _BETA_2) * g**2
        spread = (second[name] / (1 - _BETA_2 ** (step + 1))).sqrt()
        steps[name] = g / (spread + _EPSILON)
    return steps


def all_rows(episode: Episode) -> Rows:
    """Return support and query of an episode as one set of rows."""
    return (
        torch.cat([episode.X_support, episode.X_query], dim=1),
        torch.cat([episode.y_support, episode.y_query], dim=1),
        torch.cat([episode.weight_support, episode.weight_query], dim=1),
    )


def spread_order(weight: Tensor) -> Tensor:
    """Return an order of each task's rows, padding last, in which neighbours lie far apart.

    Class episodes come class by class: minibatches in that order would hold few classes. Steps
    of the golden ratio spread any run of rows evenly, and no random number is drawn, so that a
    padded task keeps the batches that it has alone.
    """
    rank = weight.float().cumsum(1) - 1
    return torch.where(weight > 0, (rank * _GOLDEN) % 1.0, 2.0).argsort(dim=1, stable=True)


def minibatch(rows: Rows, order: Tensor, step: int, size: int) -> Rows:
    """Return `size` rows of each task, taken in turn; all of them where there are fewer.

    Parameters
    ----------
    rows : tuple of Tensor
        Features, targets and weights of shape (task, row, ...).
    order : Tensor of shape (task, row)
        The order in which each task's rows are taken, padding last.
    step : int
        The inner step, from 0.
    size : int
        Rows of a minibatch.

    Returns
    -------
    tuple of Tensor
        As `rows`, with the rows of this step.
    """
    size = min(size, order.shape[1])
    count = rows[2].sum(1).long().clamp_min(1)[:, None]
    position = torch.arange(size, device=order.device)
    taken = order.gather(1, (step * size + position) % count)
    task = torch.arange(len(order), device=order.device)[:, None]
    X, y, weight = (part[task, taken] for part in rows)
    return X, y, weight * (position < count)
