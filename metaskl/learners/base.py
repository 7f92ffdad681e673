"""The contract of a meta-learner: adapt to a support, predict a query."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.space import Dimension
from metaskl.tasks import Episode

# A flat container of tensors: it can be stacked over tasks, saved, moved and compared.
Adapted = dict[str, Tensor]


class MetaLearner(nn.Module, abc.ABC):
    """A torch module that learns how to adapt.

    A subclass gives :meth:`adapt` and :meth:`predict` for one task. Meta-parameters are
    ordinary parameters. What is learned from a support is returned, never stored.

    Laws, checked by ``metaskl.testing.LearnerLaws`` for every registered learner:

    - adapting leaves the learner as it was;
    - a stack of tasks gives what its tasks give one by one, padding or not;
    - the order of the support does not matter, unless `support_order_matters` says why;
    - the outer gradient reaches a parameter;
    - the same seed gives the same result; pickle round trips;
    - a prediction does not depend on the other query rows.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets (regression) or classes (classification; of an episode if `private_labels`).
    kind : {"regression", "classification"}
        What the outputs mean: targets, or logits of the classes.
    private_labels : bool, default=False
        Whether each task has classes of its own, so that class 0 of one task has nothing
        to do with class 0 of another.
    n_pool_classes : int, default=0
        With private labels: how many classes the meta-training pool holds.

    Attributes
    ----------
    kinds : frozenset of str
        What the learner can learn.
    support_order_matters : str or None
        Why the order of the support matters, where it does.
    fixed_ways : bool
        Whether the number of private classes is fixed when the learner is built.
    uses_pool : bool
        Whether the learner tells the private classes of the meta-training pool apart.
    """

    metaskl_api: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str]] = frozenset({"regression", "classification"})
    support_order_matters: ClassVar[str | None] = None
    fixed_ways: bool = False  # an instance may know better, by its hyper-parameters
    uses_pool: ClassVar[bool] = False
    # Set by whoever builds the learner: under what name the backbone is among its modules.
    backbone_name: str | None = None

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__()
        if kind not in self.kinds:
            raise ParameterError(
                f"kind must be one of {sorted(self.kinds)} for {type(self).__name__}, got "
                f"{kind!r}. Choose a learner that can do {kind}."
            )
        self.n_features_out: int = int(backbone.n_features_out)  # type: ignore[arg-type]
        self.n_outputs = n_outputs
        self.kind = kind
        self.private_labels = private_labels
        self.n_pool_classes = n_pool_classes

    @abc.abstractmethod
    def adapt(self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None) -> Adapted:
        """Learn one task from its support.

        Parameters
        ----------
        X_support : Tensor of shape (support, ...)
            Features.
        y_support : Tensor of shape (support, output)
            Targets, or one-hot classes.
        weight : Tensor of shape (support,), optional
            1 for a row, 0 for padding.

        Returns
        -------
        dict of Tensor
            What was learned.
        """

    @abc.abstractmethod
    def predict(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return targets or logits of shape (query, output) for the rows of one task."""

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Learn a stack of tasks: as :meth:`adapt`, with a leading task axis everywhere.

        A learner that takes gradients in :meth:`adapt` overrides this, as MAML does: gradients
        of mapped gradients are silently wrong where the network holds norm layers.
        """
        if weight is None:
            weight = X_support.new_ones(X_support.shape[:2])
        adapted: Adapted = self._mapped(self.adapt, X_support, y_support, weight)
        return adapted

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Predict a stack of tasks: as :meth:`predict`, with a leading task axis everywhere."""
        output: Tensor = self._mapped(self.predict, adapted, X_query)
        return output

    def _mapped(self, method: Callable[..., Any], *stacks: Any) -> Any:
        """Run a method of one task on a stack of tasks; an error says what ran it."""
        try:
            return torch.func.vmap(method)(*stacks)
        except Exception as error:
            name = method.__name__
            error.add_note(
                f"{type(self).__name__}.{name} was run on all tasks at once by torch.func.vmap, "
                "which cannot do .item(), `if` on values, boolean indexing, writing into a tensor "
                "made inside, nor random numbers. Use torch.where and products with the weights "
                f"instead, or override {name}_tasks: see 'Write a learner' in the guide."
            )
            raise

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the predictive standard deviation (query, output) of one task, or None."""
        del adapted, X_query
        return None

    def initial(self) -> Adapted | None:
        """Return what is known of a task before its support, or None if that is nothing."""
        return None

    def row_loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row: squared error, or cross entropy."""
        if self.kind == "regression":
            return ((output - y) ** 2).mean(-1)
        return -(F.log_softmax(output, dim=-1) * y).sum(-1)

    def task_loss(self, output: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the mean loss of each task's rows, shape (task,)."""
        rows = self.row_loss(output, y) * weight
        return rows.sum(-1) / weight.sum(-1).clamp_min(1.0)

    def begin_training(self, n_steps: int) -> None:
        """Take note that meta-training begins, and how many outer steps are planned."""

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch begins, counted from 0: for what changes with it."""

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the outer loss: the query's, after adapting, averaged over tasks."""
        return self.query_loss(episode)

    def outer_step(
        self, episode: Episode, optimizer: torch.optim.Optimizer, clip: float | None
    ) -> Tensor | None:
        """Take a whole outer step, or return None: then training takes it by `episode_loss`.

        For a learner with a program of its own for all of it. Training asks only where it has
        nothing else to do with the gradient. A loss that is no number must change nothing.

        Parameters
        ----------
        episode : Episode
            A stack of tasks.
        optimizer : Optimizer
            Of the learner's parameters; its state is to be changed as by a step of its own.
        clip : float or None
            Largest norm of the outer gradient.

        Returns
        -------
        Tensor of shape () or None
            The outer loss.
        """
        del episode, optimizer, clip
        return None

    def after_step(self) -> None:
        """Take note that an outer step was taken, and bring back weights that left their range."""

    def undecayed(self) -> list[nn.Parameter]:
        """Return what weight decay leaves alone; by default rates, and what is called ``log_…``."""
        return [p for n, p in self.named_parameters() if n.startswith(("log_", "rates."))]

    def validation_loss(self, episode: Episode) -> Tensor:
        """Return the loss by which learners are told apart on meta-validation tasks."""
        return self.query_loss(episode)

    def query_loss(self, episode: Episode) -> Tensor:
        """Return the mean loss of the query rows after adapting, averaged over tasks."""
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        output = self.predict_tasks(adapted, episode.X_query)
        return self.task_loss(output, episode.y_query, episode.weight_query).mean()

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching, by name."""
        return {}


def one_task(adapted: Adapted) -> Adapted:
    """Remove the leading task axis of a stack of one."""
    return {name: value[0] for name, value in adapted.items()}


def stack_of_one(adapted: Adapted) -> Adapted:
    """Add a leading task axis of length one."""
    return {name: value.unsqueeze(0) for name, value in adapted.items()}


def solve_dtype(device: torch.device) -> torch.dtype:
    """Return the precision of linear solves: float64, but where a device has none (MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


def mixes_rows(module: nn.Module) -> bool:
    """Say whether rows depend on each other: batch normalisation without running statistics."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return any(isinstance(m, norms) and m.running_mean is None for m in module.modules())


_EPISODE: ContextVar[Episode | None] = ContextVar("episode", default=None)


@contextmanager
def padding_of(episode: Episode) -> Iterator[None]:
    """Let :func:`embed_tasks` leave the episode's padding out of batch normalisation."""
    token = _EPISODE.set(episode)
    try:
        yield
    finally:
        _EPISODE.reset(token)


def embed_tasks(backbone: nn.Module, X: Tensor) -> Tensor:
    """Map (task, row, *feature) to (task, row, embedding) by weights that all tasks share."""
    episode, weight = _EPISODE.get(), None
    if episode is not None and X is episode.X_support:
        weight = episode.weight_support
    elif episode is not None and X is episode.X_query:
        weight = episode.weight_query
    return map_rows(backbone, X, weight)


def map_rows(module: nn.Module, X: Tensor, weight: Tensor | None = None) -> Tensor:
    """Map (task, row, *feature) to (task, row, output); rows of weight 0 may become 0.

    They are left out where the network normalises over rows: padding is no data. But one row
    alone cannot be normalised by itself, so a stack with such a task is taken as it is.
    """
    mixes = mixes_rows(module)
    if mixes and weight is not None and (weight > 0).sum(-1).min() < 2:
        weight = None
    if weight is not None and (mixes or gathers_statistics(module)) and not weight.all():
        parts = zip(X, weight, strict=True) if mixes else [(X.flatten(0, 1), weight.flatten())]
        outputs = torch.cat([_of_real(module, rows, real > 0) for rows, real in parts])
    elif len(X) > 1 and mixes:  # of one task with each other, not of all tasks
        outputs = torch.cat([module(rows) for rows in X])
    else:
        outputs = module(X.flatten(0, 1))
    return outputs.reshape(*X.shape[:2], *outputs.shape[1:])


def _of_real(module: nn.Module, X: Tensor, real: Tensor) -> Tensor:
    """Map the real rows, and put zeros for the others."""
    outputs: Tensor = module(X[real])
    return outputs.new_zeros(len(X), *outputs.shape[1:]).index_put((real,), outputs)


def gathers_statistics(module: nn.Module) -> bool:
    """Say whether a call would change running statistics."""
    return any(
        m.training and getattr(m, "running_mean", None) is not None for m in module.modules()
    )
