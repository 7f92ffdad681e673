"""Transfer: pre-train one network on the rows of all tasks, then adapt it by a recipe."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError, require_choice
from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.network import refuse_running_statistics
from metaskl.learners.pretraining import Pretrained, check_fine_tuning, fine_tune
from metaskl.learners.space import Choice, Dimension, Integer, Real

_STRATEGIES = ("freeze", "head", "all", "gradual")


class Transfer(Pretrained):
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
        new. A layer is a module with weights, or all that lies under one entry of a list of
        modules, such as a residual block.
    adaptation_steps : int, default=30
        Fine-tuning steps, >= 1.
    inner_lr : float, default=0.01
        Step size of fine-tuning, > 0.
    pull : float, default=5.0
        λ, how strongly fine-tuning is held near its start, >= 0.
    unfreeze_every : int or None, default=None
        With ``"gradual"``: steps until the next layer joins, >= 1; what has not joined when the
        steps end stays as it was. None gives every layer an equal share of the steps.
    layer_decay : float, default=1.0
        The step size of each layer is that of the layer above it divided by this, >= 1; 2.6 in
        [3]_ (discriminative fine-tuning).
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
        unfreeze_every: int | None = None,
        layer_decay: float = 1.0,
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
        require_choice("strategy", strategy, _STRATEGIES)
        check_fine_tuning(adaptation_steps, inner_lr, pull)
        if layer_decay < 1 or (unfreeze_every is not None and unfreeze_every < 1):
            raise ParameterError(
                "layer_decay must be at least 1 and unfreeze_every at least 1 or None, got "
                f"{layer_decay} and {unfreeze_every}. Start from the defaults."
            )
        self.strategy = strategy
        self.adaptation_steps = adaptation_steps
        self.inner_lr = inner_lr
        self.pull = pull
        self.unfreeze_every = unfreeze_every
        self.layer_decay = layer_decay
        if strategy in ("all", "gradual"):
            refuse_running_statistics(backbone, type(self).__name__)

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Fine-tune on a stack of tasks at once; no gradient reaches the meta-parameters."""
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        start = self._start(len(X_support), y_support.shape[-1])
        layers = _layers(start)
        # A body that stays as it is gives the same in each step.
        whole = any(name.startswith("body.") for name in start)
        with torch.no_grad():
            features = None if whole else embed_tasks(self.network.body, X_support)
        depth = {name: len(layers) - 1 - i for i, layer in enumerate(layers) for name in layer}

        def loss(parameters: Adapted) -> Tensor:
            if features is None:
                output = self.network.forward_tasks(parameters, X_support)
            else:
                output = self.network.head_tasks(parameters, features)
            return self.task_loss(output, y_support, weight)

        return fine_tune(
            start,
            loss,
            n_steps=self.adaptation_steps,
            rates={name: self.inner_lr / self.layer_decay ** depth[name] for name in start},
            pull=self.pull,
            trained=lambda step: self._unfrozen(layers, step),
        )

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def initial(self) -> Adapted | None:
        """Return the pre-trained network (none where the classes are private to a task)."""
        if self.private_labels:
            return None
        return {name: p[0] for name, p in self._start(1, self.n_outputs, new_head=False).items()}

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

    def _unfrozen(self, layers: list[list[str]], step: int) -> set[str]:
        """Return the parameters that this step trains: those of the uppermost layers."""
        if self.strategy != "gradual":
            n_open = len(layers)
        elif self.unfreeze_every is None:
            n_open = 1 + step * len(layers) // self.adaptation_steps
        else:
            n_open = 1 + step // self.unfreeze_every
        return {name for layer in layers[-n_open:] for name in layer}

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "strategy": Choice(_STRATEGIES),
            "adaptation_steps": Integer(5, 100, log=True),
            "inner_lr": Real(1e-3, 0.1, log=True),
            "pull": Real(0.1, 100.0, log=True),
        }


def _layers(names: Iterable[str]) -> list[list[str]]:
    """Group parameters by layer, in the order of the network.

    The parameters of one module belong together; so do those below one entry of a list.
    """
    grouped: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")[:-1]
        number = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts))
        grouped.setdefault(".".join(parts[: number + 1]), []).append(name)
    return list(grouped.values())
