"""Implicit MAML: the outer gradient from where adapting ends, not from its path."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted
from metaskl.learners.engine.gradients import attached, gradient_by_task, leaves
from metaskl.learners.engine.packing import rows_of
from metaskl.learners.inner import InnerLoop
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.space import Dimension, Integer, Real
from metaskl.tasks import Episode


class IMAML(InnerLoop):
    """MAML with implicit gradients [1]_: θ′ minimises L(θ′) + λ/2 ‖θ′ − θ‖².

    At that minimum dθ′/dθ = (I + H/λ)⁻¹ with H the Hessian of the support loss, so the outer
    gradient is (I + H/λ)⁻¹ ∇L_query(θ′), solved by conjugate gradients with products by H
    alone. Memory does not grow with the number of inner steps, and how the minimum was found
    does not matter, as long as it was.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; a linear head is added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    adaptation_steps : int, default=20
        Steps of gradient descent towards the minimum in meta-training, >= 1. A step that would
        raise a task's objective is taken back and its step size halved; after one that does not,
        it grows by a half.
    test_adaptation_steps : int, optional
        Steps in evaluation mode, >= 1; by default as many as in training.
    inner_lr : float, default=0.2
        Step size α of the first of these steps, > 0.
    pull : float, default=1.0
        λ, how strongly the adapted weights are held near θ, > 0: 0.1 where tasks differ sharply
        and have little noise, 5 where they are alike. Smaller values need more steps.
    cg_steps : int, default=5
        Steps of conjugate gradients for the outer gradient, >= 1.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner steps' gradients are taken; all give the same numbers. Nothing is
        differentiated through the steps, nor compiled: ``"adjoint"`` and ``"compiled"`` are
        ``"auto"``.
    zero_head : bool, default=False
        With `private_labels`: whether the inner steps start from a head of zeros [2]_, so that it
        does not matter how a task's classes are numbered, and a task may have any number of them.
        False learns a start for each of `n_outputs` places. From zeros take a smaller `pull`.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone keeps running statistics.

    Notes
    -----
    Where I + H/λ is not positive definite, which a network's Hessian allows, a task's solve ends
    before the first direction of negative curvature (and is ∇L_query(θ′) itself, as in
    first-order MAML, if that is the first one).

    References
    ----------
    .. [1] A. Rajeswaran, C. Finn, S. Kakade, S. Levine. Meta-Learning with Implicit Gradients.
       NeurIPS 2019.
    .. [2] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.imaml import IMAML
    >>> learner = IMAML(MLP((8,)).build((1,)), 1)
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
        adaptation_steps: int = 20,
        test_adaptation_steps: int | None = None,
        inner_lr: float = 0.2,
        pull: float = 1.0,
        cg_steps: int = 5,
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
            inner_clip=None,  # steps that go too far are taken back instead
            engine=engine,
            zero_head=zero_head,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if not pull > 0 or cg_steps < 1:
            raise ParameterError(
                f"pull must be above 0 and cg_steps at least 1, got {pull} and {cg_steps}. Without "
                "a pull the adapted weights do not depend on θ: use MAML for that."
            )
        refuse_running_statistics(backbone, type(self).__name__)
        self.network = Network(backbone, n_outputs, engine=engine, zero_head=self.zero_head)
        self.pull = pull
        self.cg_steps = cg_steps

    def parameters_to_adapt(self) -> Adapted:
        """Return the initialisation θ."""
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Descend to the minimum of each task; no gradient reaches θ through the steps."""
        if (learner := self.for_ways(y_support.shape[-1])) is not self:
            return IMAML.adapt_tasks(learner, X_support, y_support, weight)
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        rows = (X_support, y_support, weight)
        start = self.start(len(X_support), detach=True)
        here, (objective, gradient) = start, self._objective(start, start, *rows)
        rate = torch.full_like(objective, self.inner_lr)
        for _ in range(self.n_steps()):
            trial = {n: p - _times(rate, gradient[n]) for n, p in here.items()}
            value, slope = self._objective(trial, start, *rows)
            lower = value <= objective  # not so for an infinite value or none at all
            here = {n: _where(lower, p, here[n]) for n, p in trial.items()}
            gradient = {n: _where(lower, g, gradient[n]) for n, g in slope.items()}
            objective = torch.where(lower, value, objective)
            rate = torch.where(lower, 1.5 * rate, 0.5 * rate)
        return here

    def _objective(
        self, parameters: Adapted, start: Adapted, X: Tensor, y: Tensor, weight: Tensor
    ) -> tuple[Tensor, Adapted]:
        """Return each task's L(θ′) + λ/2 ‖θ′ − θ‖² and its gradient."""
        losses, gradients = self.losses_and_gradient(IMAML, parameters, X, y, weight)
        away = {n: p - start[n] for n, p in parameters.items()}
        distance = torch.stack([rows_of(part).square().sum(1) for part in away.values()]).sum(0)
        pulled = {n: g + self.pull * away[n] for n, g in gradients.items()}
        return losses + 0.5 * self.pull * distance, pulled

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the query loss after adapting, with the implicit gradient."""
        support = (episode.X_support, episode.y_support, episode.weight_support)
        adapted = self.adapt_tasks(*support)
        with torch.enable_grad():
            point = leaves(adapted)
            output = self.predict_tasks(point, episode.X_query)
            losses = self.task_loss(output, episode.y_query, episode.weight_query)
            direct = gradient_by_task(losses, point)
        implicit = self._implicit(adapted, direct, *support)
        theta = self.parameters_to_adapt()
        gradients = [implicit[name].mean(0) for name in theta]
        return attached(losses.mean().detach(), [*theta.values()], gradients)

    def _implicit(
        self, adapted: Adapted, direct: Adapted, X: Tensor, y: Tensor, weight: Tensor
    ) -> Adapted:
        """Solve (I + H/λ) g = ∇L_query(θ′) for each task."""
        with torch.enable_grad():
            point = leaves(adapted)
            gradients = list(self.gradient(point, X, y, weight, create_graph=True).values())

        def product(flat: Tensor) -> Tensor:
            parts = list(_unflat(flat, direct).values())
            curved = torch.autograd.grad(
                gradients, list(point.values()), parts, retain_graph=True, materialize_grads=True
            )
            return flat + _flat(dict(zip(point, curved, strict=True))) / self.pull

        return _unflat(conjugate_gradients(product, _flat(direct), self.cg_steps), direct)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "inner_lr": Real(0.01, 0.3, log=True),
            "adaptation_steps": Integer(5, 50, log=True),
            "pull": Real(0.05, 10.0, log=True),
            "cg_steps": Integer(1, 10),
        }


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, n_steps: int) -> Tensor:
    """Solve A x = b for a stack of symmetric systems [1]_.

    Parameters
    ----------
    product : callable
        Maps a Tensor of shape (task, n) to A times it, for each task its own A.
    b : Tensor of shape (task, n)
        Right-hand sides.
    n_steps : int
        Steps, >= 1; as many as A has different eigenvalues are exact.

    Returns
    -------
    Tensor of shape (task, n)
        The solutions. A task that is solved, or that meets a direction of negative curvature,
        stands still from there on; `b` itself where that is the first direction.

    References
    ----------
    .. [1] M. R. Hestenes, E. Stiefel. Methods of Conjugate Gradients for Solving Linear
       Systems. Journal of Research of the National Bureau of Standards, 1952.

    Examples
    --------
    >>> import torch
    >>> from metaskl.learners.imaml import conjugate_gradients
    >>> scale = torch.tensor([[1.0, 2.0], [4.0, 5.0]])
    >>> conjugate_gradients(lambda v: scale * v, torch.tensor([[2.0, 2.0], [8.0, 5.0]]), 2).round()
    tensor([[2., 1.],
            [2., 1.]])
    """
    x, residual, direction = torch.zeros_like(b), b, b
    size = (b**2).sum(1, keepdim=True)
    enough = torch.finfo(b.dtype).eps ** 2 * size
    going = size > 0
    for step in range(n_steps):
        image = product(direction)
        curvature = (direction * image).sum(1, keepdim=True)
        if step == 0:
            x = torch.where(curvature > 0, x, b)
        going = going & (curvature > 0)
        length = torch.where(going, size / curvature, 0.0)
        x = x + length * direction
        residual = residual - length * image
        new_size = (residual**2).sum(1, keepdim=True)
        direction = residual + torch.where(going, new_size / size, 0.0) * direction
        size = new_size
        going = going & (size > enough)
    return x


def _times(factor: Tensor, value: Tensor) -> Tensor:
    """Multiply each task's tensor by a number of its own."""
    return factor.reshape(-1, *[1] * (value.ndim - 1)) * value


def _where(chosen: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """Take some tasks' tensors from one stack and the rest from another."""
    return torch.where(chosen.reshape(-1, *[1] * (value.ndim - 1)), value, other)


def _flat(parts: Adapted) -> Tensor:
    """Return each task's tensors as one row."""
    return torch.cat([rows_of(value) for value in parts.values()], dim=1)


def _unflat(flat: Tensor, like: Adapted) -> Adapted:
    """Cut each task's row into tensors of these names and shapes."""
    cut = torch.split(flat, [value[0].numel() for value in like.values()], dim=1)
    return {name: part.reshape(like[name].shape) for name, part in zip(like, cut, strict=True)}
