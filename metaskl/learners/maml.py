"""Model-agnostic meta-learning: an initialisation that gradient steps adapt well."""

from __future__ import annotations

from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError, require_choice
from metaskl.learners.annealing import Annealing
from metaskl.learners.base import Adapted
from metaskl.learners.engine.dense import Dense
from metaskl.learners.engine.networks import plan_of_network
from metaskl.learners.engine.plan import Plan, RowTensors
from metaskl.learners.engine.whole import compiled_step, direct_step
from metaskl.learners.inner import InnerLoop
from metaskl.learners.learned_rates import RATES, LearnedRates
from metaskl.learners.network import Network, refuse_running_statistics
from metaskl.learners.space import Choice, Dimension, Integer, Real
from metaskl.learners.unrolled import unrolled, unrolled_loss
from metaskl.tasks import Episode

_PARTS = {"all": ("body.", "head."), "head": ("head.",), "body": ("body.",)}


class MAML(InnerLoop):
    """Model-agnostic meta-learning [1]_: θ′ = θ − α ∇L(θ), a few times, from a learned θ.

    The outer gradient goes through the inner steps (second order) unless `first_order`.
    Variants by parameter: ANIL [2]_ is ``adapt_part="head"``, BOIL [3]_ ``adapt_part="body"``,
    Meta-SGD [4]_ ``inner_lr_mode="per_parameter"``. MAML++ [5]_ is ``inner_lr_mode="per_step"``
    with `multi_step_loss`, `multi_step_epochs`, `first_order_epochs` and a cosine outer rate.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; a linear head is added.
    n_outputs : int
        Targets or classes.
    kind : {"regression", "classification"}, default="regression"
        What the outputs mean.
    adaptation_steps : int, default=5
        Inner gradient steps in meta-training, >= 1.
    test_adaptation_steps : int, optional
        Inner gradient steps in evaluation mode, >= 1; by default as many as in training. With a
        rate a step, steps beyond those of training take the last rate.
    inner_lr : float, default=0.05
        Step size α of the inner loop, > 0; where it is learned, where it starts.
    inner_lr_mode : {"fixed", "per_parameter", "per_step"}, default="per_step"
        Whether and how α is learned: not, for each single weight, or for each weight matrix and
        bias vector (each layer, that is) and each step.
    negative_rates : bool, default=False
        Whether a learned rate may become negative, which is a step uphill on the support. Meta-SGD
        and MAML++ let it; on tables of few tasks it learns the training tasks by heart.
    first_order : bool, default=False
        Treat the inner gradients as constants: about half the cost, no second derivatives.
    first_order_epochs : int, default=0
        So many epochs of first order before second order begins, >= 0: the derivative-order
        annealing of MAML++.
    adapt_part : {"all", "head", "body"}, default="all"
        Which parameters the inner steps change.
    inner_clip : float or None, default=10.0
        Largest norm of a task's inner gradient, > 0; longer ones are shortened: with an unlucky
        support a task may diverge and wreck its meta-batch. None is the plain algorithm.
    multi_step_loss : bool, default=False
        Outer loss averaged over the inner steps instead of the last alone, as MAML++ [5]_ begins.
    multi_step_epochs : int, optional
        With `multi_step_loss`: the epochs, >= 1, over which its weight moves in equal parts from
        all steps to the last, as in MAML++; by default it stays on all.
    engine : {"auto", "loop", "vmap", "adjoint", "compiled"}, default="auto"
        How the inner loop is run (``metaskl.learners.engine``); all give the same numbers.
    memory_budget : int, default=2**30
        Bytes that a meta-gradient may take, > 0: of more tasks than fit it is taken in chunks.
    zero_head : bool, default=False
        With `private_labels`: whether the inner steps start from a head of zeros [6]_, so that it
        does not matter how a task's classes are numbered, and a task may have any number of them.
        False learns a start for each of `n_outputs` places. From zeros take a larger `inner_lr`.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    BackboneError
        If the backbone keeps running statistics and its weights are adapted.

    Notes
    -----
    One row of the head for all classes, as in UNICORN-MAML [7]_, is as a head of zeros: what all
    logits have in common cancels in the softmax. From zeros the first inner step moves the head
    alone and the body moves from the second on, so that training with a single step is ANIL.

    MAML++ also keeps statistics of batch normalisation for each step. They are left out on purpose:
    they make predictions depend on the other query rows; layer and group norm have none to keep.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation
       of Deep Networks. ICML 2017.
    .. [2] A. Raghu, M. Raghu, S. Bengio, O. Vinyals. Rapid Learning or Feature Reuse?
       Towards Understanding the Effectiveness of MAML. ICLR 2020.
    .. [3] J. Oh, H. Yoo, C. Kim, S.-Y. Yun. BOIL: Towards Representation Change for
       Few-shot Learning. ICLR 2021.
    .. [4] Z. Li, F. Zhou, F. Chen, H. Li. Meta-SGD: Learning to Learn Quickly for Few-Shot
       Learning. arXiv 2017.
    .. [5] A. Antoniou, H. Edwards, A. Storkey. How to Train Your MAML. ICLR 2019.
    .. [6] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.
    .. [7] H.-J. Ye, W.-L. Chao. How to Train Your MAML to Excel in Few-Shot
       Classification. ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.maml import MAML
    >>> learner = MAML(MLP((8,)).build((1,)), 1)
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
        adaptation_steps: int = 5,
        test_adaptation_steps: int | None = None,
        inner_lr: float = 0.05,
        inner_lr_mode: str = "per_step",
        negative_rates: bool = False,
        first_order: bool = False,
        first_order_epochs: int = 0,
        adapt_part: str = "all",
        inner_clip: float | None = 10.0,
        multi_step_loss: bool = False,
        multi_step_epochs: int | None = None,
        engine: str = "auto",
        memory_budget: int = 2**30,
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
            memory_budget=memory_budget,
            zero_head=zero_head and adapt_part != "body",  # a body alone needs places
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        require_choice("adapt_part", adapt_part, tuple(_PARTS))
        self.network = Network(backbone, n_outputs, engine=engine, zero_head=self.zero_head)
        self.annealing = Annealing(
            first_order, first_order_epochs, multi_step_loss, multi_step_epochs
        )
        self.epoch = 0
        # From zeros the first step moves the head alone: Wᵀ ∂L/∂logits, the body's gradient, is 0.
        if self.zero_head and adaptation_steps == 1 and not self.replaces(MAML, "predict_tasks"):
            adapt_part = "head"
        self.adapted_names = [
            name
            for name, parameter in self.network.named_parameters()
            if name.startswith(_PARTS[adapt_part]) and parameter.requires_grad
        ]
        if not self.adapted_names:
            raise ParameterError(
                f"adapt_part={adapt_part!r} leaves no parameter to adapt in this backbone. Take a "
                "backbone with trainable layers, or adapt_part='head'."
            )
        self.adapts_body = any(name.startswith("body.") for name in self.adapted_names)
        if self.adapts_body:
            refuse_running_statistics(backbone, type(self).__name__)
        self.rates = LearnedRates(
            {name: self.network.get_parameter(name) for name in self.adapted_names},
            inner_lr_mode,
            inner_lr,
            adaptation_steps,
            negative=negative_rates,
        )

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Take the inner steps on a stack of tasks at once."""
        if (learner := self.for_ways(y_support.shape[-1])) is not self:
            return MAML.adapt_tasks(learner, X_support, y_support, weight)
        weight = X_support.new_ones(X_support.shape[:2]) if weight is None else weight
        support = (X_support, y_support, weight)
        dense = None if torch.is_grad_enabled() else self._dense()
        if dense is not None:
            ends = self._plan(support, dense=dense).descend()
            return {name: ends[name] for name in self.adapted_names}
        return unrolled(self, support, **self._how())[-1]

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Run the network with each task's weights."""
        return self.network.forward_tasks(adapted, X_query)

    def parameters_to_adapt(self) -> Adapted:
        """Return the initialisation θ."""
        own = dict(self.network.named_parameters())
        return {name: own[name] for name in self.adapted_names}

    def begin_epoch(self, epoch: int) -> None:
        """Take note of the epoch, on which the annealing of MAML++ depends."""
        self.epoch = epoch

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the query loss after the inner steps (averaged over them if asked)."""
        if torch.is_grad_enabled() and self._by_adjoint(dense := self._dense()):
            plan = self._plan(episode[:3], episode[3:6], dense=dense)
            return self.loss_of(plan, self._step_weights(), second_order=self._second_order())
        return self.loss_by_graph(episode, self._loss_by_graph, second_order=self._second_order())

    def outer_step(
        self, episode: Episode, optimizer: torch.optim.Optimizer, clip: float | None
    ) -> Tensor | None:
        """Take a whole outer step if derivatives are written out for all weights."""
        dense = self._dense()
        if self.replaces(MAML, "episode_loss") or not self._by_adjoint(dense):
            return None
        plan = partial(self._plan, episode[:3], episode[3:6], dense=dense)
        how = (self._step_weights(), optimizer, clip, self._second_order())
        loss = compiled_step(self, dense, plan, episode, *how)
        # With the head alone autograd goes on from the features; a GPU would be waited for.
        by_hand = dense is not None and self.adapts_body and episode.X_support.is_cpu
        return direct_step(self, plan, *how) if loss is None and by_hand else loss

    def after_step(self) -> None:
        """Keep the learned rates from becoming negative, and alike for classes that are alike."""
        super().after_step()
        if self.zero_head:
            self.rates.level("head.")
        self.rates.bound()

    def for_ways(self, n_ways: int) -> Self:
        """Return the learner with a head of zeros for so many classes; all else is shared."""
        other = super().for_ways(n_ways)
        if other is not self:
            other.rates = self.rates.with_rows(n_ways, "head.")
        return other

    def _by_adjoint(self, dense: Dense | None) -> bool:
        own = self.replaces(MAML, "adapt_tasks", "clipped", "parameters_to_adapt")
        return not own and self.goes_back_by_adjoint(dense)

    def _loss_by_graph(self, episode: Episode) -> Tensor:
        weights = self._step_weights()
        if not any(weights[:-1]):
            return super().episode_loss(episode)
        return unrolled_loss(self, episode, weights, **self._how())

    def _step_weights(self) -> list[float]:
        return self.annealing.step_weights(self.epoch, self.n_steps())

    def _dense(self) -> Dense | None:
        return self.dense(MAML, of_head=not self.adapts_body)

    def _how(self) -> dict[str, bool]:
        """Say whether the body runs but once for all steps, and the order."""
        head_alone = not (self.adapts_body or self.replaces(MAML, "predict_tasks"))
        return {"head_alone": head_alone, "second_order": self._second_order()}

    def _plan(
        self, support: RowTensors, query: RowTensors | None = None, *, dense: Dense | None = None
    ) -> Plan:
        """Return the inner loop of a stack of tasks, by packed weights."""
        inner = self.rates.inner(self.adapted_names, self.n_steps(), self.inner_clip)
        return plan_of_network(self, dense or self._dense(), inner, support, query, **self._how())

    def _second_order(self) -> bool:
        return self.annealing.second_order(self.epoch)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {
            "inner_lr": Real(1e-3, 0.5, log=True),
            "adaptation_steps": Integer(1, 10),
            "inner_lr_mode": Choice(RATES),
            "negative_rates": Choice((False, True)),
            "first_order": Choice((False, True)),
            "adapt_part": Choice(tuple(_PARTS)),
            "multi_step_loss": Choice((False, True)),
        }
