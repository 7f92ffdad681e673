"""Low-rank adapters: fine-tuning that changes each layer by a product of two thin matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted
from metaskl.learners.network import refuse_running_statistics
from metaskl.learners.pretraining import Pretrained, check_fine_tuning, fine_tune
from metaskl.learners.space import Dimension, Integer, Real

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LoRA(Pretrained):
    """Pre-train on all tasks together, then fine-tune low-rank updates W + s B A and the head [1]_.

    Meta-training is ordinary training. For each linear layer and convolution of the body (a
    kernel is taken as a matrix of output channels by all the rest) adapting learns B and A
    of `rank` columns and rows, by Adam steps held near the start; the pre-trained weights
    stay. A task's state is small, and a support of few rows cannot bend every weight.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; may be pre-trained.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    rank : int, default=4
        Rank of the updates, >= 1; at most that of the layer is used.
    scale : float, default=1.0
        s, > 0: how much an update counts, beside its step size (α / r in [1]_).
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        How strongly the head, A and B are held near their start, >= 0.
    train_body : bool, default=True
        Whether meta-training changes the body; False leaves a pre-trained body as it is.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`; pre-training tells the pool's classes apart.
        The head of private classes starts from 0.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone keeps running statistics.

    References
    ----------
    .. [1] E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen. LoRA:
       Low-Rank Adaptation of Large Language Models. ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.lora import LoRA
    >>> learner = LoRA(MLP((8,)).build((5,)), 1, rank=2)
    >>> adapted = learner.adapt(torch.zeros(5, 5), torch.ones(5, 1))
    >>> {name: tuple(value.shape) for name, value in adapted.items() if "body" in name}
    {'body.layers.0.down': (2, 5), 'body.layers.0.up': (8, 2)}
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        rank: int = 4,
        scale: float = 1.0,
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
            train_body=train_body,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if rank < 1 or not scale > 0:
            raise ParameterError(
                f"rank must be at least 1 and scale above 0, got {rank} and {scale}. Start from "
                "the defaults."
            )
        check_fine_tuning(adaptation_steps, inner_lr, pull)
        refuse_running_statistics(backbone, type(self).__name__)
        self.rank = rank
        self.scale = scale
        self.adaptation_steps = adaptation_steps
        self.inner_lr = inner_lr
        self.pull = pull
        self._layers = [
            f"body.{name}" if name else "body"
            for name, module in backbone.named_modules()
            if isinstance(module, _LAYERS)
        ]
        for layer in self._layers:
            # A starts at random and B at 0, so that the update starts at 0 and its gradient not.
            # Drawn here once: adapting must not draw.
            rows = self.network.get_parameter(f"{layer}.weight").flatten(1)
            down = torch.randn(min(rank, *rows.shape), rows.shape[1]) / rows.shape[1] ** 0.5
            self.register_buffer(_key(layer), down)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Fine-tune on a stack of tasks at once; no gradient reaches the meta-parameters."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        start = self._start(len(X_support), y_support.shape[-1], new_head=self.private_labels)

        def loss(parameters: Adapted) -> Tensor:
            output = self.predict_tasks(parameters, X_support)
            return self.task_loss(output, y_support, weight)

        return fine_tune(
            start,
            loss,
            n_steps=self.adaptation_steps,
            rates=dict.fromkeys(start, self.inner_lr),
            pull=self.pull,
        )

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's updates."""
        return self.network.forward_tasks(self._merged(adapted), X_query)

    def initial(self) -> Adapted | None:
        """Return updates of 0 (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        return {n: p[0] for n, p in self._start(1, self.n_outputs, new_head=False).items()}

    def _start(self, n_tasks: int, n_outputs: int, *, new_head: bool) -> Adapted:
        """Return what fine-tuning starts from, one copy a task."""
        head = self.network.head
        own = {"head.weight": head.weight.detach(), "head.bias": head.bias.detach()}
        if new_head:
            own["head.weight"] = head.weight.new_zeros(n_outputs, self.n_features_out)
            own["head.bias"] = head.weight.new_zeros(n_outputs)
        for layer in self._layers:
            down = self.get_buffer(_key(layer))
            n_out = self.network.get_parameter(f"{layer}.weight").shape[0]
            own[f"{layer}.down"], own[f"{layer}.up"] = down, down.new_zeros(n_out, len(down))
        return {name: p.expand(n_tasks, *p.shape) for name, p in own.items()}

    def _merged(self, adapted: Adapted) -> Adapted:
        """Return each task's weights: those of the head, and W + s B A."""
        merged = {name: adapted[name] for name in ("head.weight", "head.bias")}
        for layer in self._layers:
            weight = self.network.get_parameter(f"{layer}.weight").detach()
            update = adapted[f"{layer}.up"] @ adapted[f"{layer}.down"]
            name = f"{layer}.weight"
            merged[name] = weight + self.scale * update.reshape(-1, *weight.shape)
        return merged

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "rank": Integer(1, 16, log=True),
            "adaptation_steps": Integer(5, 100, log=True),
            "inner_lr": Real(1e-3, 0.1, log=True),
            "pull": Real(0.1, 100.0, log=True),
        }


def _key(layer: str) -> str:
    """Return a layer's name without dots, which a buffer's name must not have."""
    return layer.replace(".", "__")
