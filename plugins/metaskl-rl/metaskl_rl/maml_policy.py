"""Policies that one policy-gradient step adapts to a new task: MAML and Meta-SGD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl_rl.families import TaskFamily
from metaskl_rl.outer import OuterStep
from metaskl_rl.policies import Parameters, Policy, stacked
from metaskl_rl.rollouts import Rollouts, roll_out
from metaskl_rl.surrogate import Collected, adapted, collected

_MODES = ("fixed", "per_parameter")
# Share of the inner rate in steps beyond those of training, as in the published program: near its
# goal a policy takes the whole step too far.
_BEYOND = 0.5


class MAMLPolicyGradient:
    """Meta-learn a policy from which one policy-gradient step leads far: MAML [1]_.

    In each task some episodes are played, the policy takes one step (or more) up their policy
    gradient, and plays again; the outer step, by a trust region [2]_, raises what the second
    episodes bring, through the inner step. The inner objective is the likelihood-ratio form,
    which keeps that part of the return's second derivatives that varies little [3]_. With
    ``inner_lr_mode="per_parameter"`` the inner rates are learned too: Meta-SGD [4]_.

    As published, it is left out that other parameters would play other episodes to adapt by.
    Only what the policy itself plays in a task is used to adapt to it. Returns are predicted by a
    regression in each task, and advantages are whole returns less that (λ = 1).

    Parameters
    ----------
    family : TaskFamily
        The tasks.
    hidden_layer_sizes : tuple of int, default=(100, 100)
        Of the policy; none for a table or a bandit.
    inner_lr : float, default=0.1
        α, > 0; where it begins, if it is learned.
    inner_lr_mode : {"fixed", "per_parameter"}, default="fixed"
        MAML or Meta-SGD.
    adaptation_steps : int, default=1
        Inner steps, >= 1, each with episodes of its own.
    first_order : bool, default=False
        Whether to leave out the second derivatives.
    n_episodes : int, default=20
        Episodes of a task for each step, >= 2.
    meta_batch_size : int, default=20
        Tasks of an outer step.
    discount : float, default=0.99
        What a reward one step later is worth, in (0, 1].
    trust : float, default=0.01
        Mean divergence of the adapted policies that an outer step may cause, > 0.
    curvature_episodes : int, default=5
        Episodes of each task from which that divergence's curvature is estimated, inner step
        included (the sub-sampling of [2]_, appendix C). They shape the outer step's direction
        only; how far it goes is checked on all episodes.
    random_state : int, default=0
        Seed.

    Attributes
    ----------
    parameters_ : dict of Tensor
        The policy before adapting.
    rates_ : dict of Tensor
        The inner rates.
    history_ : list of dict
        For each outer step: mean returns ``"before"`` and ``"after"`` adapting.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] C. Finn, P. Abbeel, S. Levine. Model-Agnostic Meta-Learning for Fast Adaptation of
       Deep Networks. ICML 2017.
    .. [2] J. Schulman, S. Levine, P. Moritz, M. Jordan, P. Abbeel. Trust Region Policy
       Optimization. ICML 2015.
    .. [3] J. Rothfuss, D. Lee, I. Clavera, T. Asfour, P. Abbeel. ProMP: Proximal Meta-Policy
       Search. ICLR 2019.
    .. [4] Z. Li, F. Zhou, F. Chen, H. Li. Meta-SGD: Learning to Learn Quickly for Few-Shot
       Learning. arXiv 1707.09835, 2017.

    Examples
    --------
    >>> from metaskl_rl import BanditTasks, MAMLPolicyGradient
    >>> meta = MAMLPolicyGradient(BanditTasks(3), hidden_layer_sizes=(), meta_batch_size=5)
    >>> meta = meta.fit(2)
    >>> meta.returns(meta.family.sample(4, meta.generator())).shape  # before and after
    torch.Size([4, 2])
    """

    def __init__(
        self,
        family: TaskFamily,
        *,
        hidden_layer_sizes: tuple[int, ...] = (100, 100),
        inner_lr: float = 0.1,
        inner_lr_mode: str = "fixed",
        adaptation_steps: int = 1,
        first_order: bool = False,
        n_episodes: int = 20,
        meta_batch_size: int = 20,
        discount: float = 0.99,
        trust: float = 0.01,
        curvature_episodes: int = 5,
        random_state: int = 0,
    ) -> None:
        if inner_lr_mode not in _MODES:
            raise ParameterError(f"inner_lr_mode must be one of {_MODES}, got {inner_lr_mode!r}.")
        if not (inner_lr > 0 and trust > 0 and 0 < discount <= 1):
            raise ParameterError(
                "inner_lr and trust must be above 0 and discount in (0, 1], got "
                f"{inner_lr}, {trust} and {discount}."
            )
        if min(adaptation_steps, n_episodes - 1, meta_batch_size, curvature_episodes) < 1:
            raise ParameterError(
                "adaptation_steps, meta_batch_size and curvature_episodes must be at least 1 and "
                f"n_episodes at least 2, got {adaptation_steps}, {meta_batch_size}, "
                f"{curvature_episodes} and {n_episodes}."
            )
        self.family = family
        self.policy = Policy(family, hidden_layer_sizes)
        self.inner_lr = inner_lr
        self.inner_lr_mode = inner_lr_mode
        self.adaptation_steps = adaptation_steps
        self.first_order = first_order
        self.n_episodes = n_episodes
        self.meta_batch_size = meta_batch_size
        self.discount = discount
        self.trust = trust
        self.curvature_episodes = curvature_episodes
        self.random_state = random_state
        self.parameters_ = self.policy.initial(self.generator())
        learned = inner_lr_mode == "per_parameter"
        self.rates_ = {
            name: torch.full_like(value, inner_lr) if learned else torch.tensor(inner_lr)
            for name, value in self.parameters_.items()
        }
        self.history_: list[dict[str, float]] = []

    def generator(self) -> torch.Generator:
        """Return a source of chance that begins at the seed."""
        return torch.Generator().manual_seed(self.random_state)

    def fit(
        self, n_iterations: int, callback: Callable[[int, dict[str, float]], None] | None = None
    ) -> MAMLPolicyGradient:
        """Take outer steps, from where the last fit ended: ``fit(2).fit(3)`` is ``fit(5)``.

        Parameters
        ----------
        n_iterations : int
            Outer steps.
        callback : callable, optional
            Called after each with its number and its entry of `history_`.

        Returns
        -------
        MAMLPolicyGradient
            Itself.
        """
        for i in range(n_iterations):
            generator = self._chance_of_step(len(self.history_))
            tasks = self.family.sample(self.meta_batch_size, generator)
            played, reached = self._adaptation(tasks, self.adaptation_steps, generator)
            played.append(self._roll(tasks, reached, generator))
            self._outer_step(played)
            entry = {
                "before": float(played[0].returns().mean()),
                "after": float(played[-1].returns().mean()),
            }
            self.history_.append(entry)
            if callback is not None:
                callback(i, entry)
        return self

    def adapt(
        self, tasks: Tensor, n_steps: int | None = None, generator: torch.Generator | None = None
    ) -> Parameters:
        """Return the policy's parameters after adapting to each of some tasks.

        Parameters
        ----------
        tasks : Tensor of shape (task, ...)
            Parameters of the tasks.
        n_steps : int, optional
            Inner steps; as in training by default. Those beyond are half as long.
        generator : torch.Generator, optional
            Source of chance; by default one of its own, the same at each call.

        Returns
        -------
        dict of Tensor
            With a leading task axis.
        """
        steps = self.adaptation_steps if n_steps is None else n_steps
        return self._adaptation(tasks, steps, generator or self._chance_of_play())[1]

    def returns(
        self, tasks: Tensor, n_steps: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the mean return of each task before and after each step, (task, 1 + step).

        Arguments are those of :meth:`adapt`.
        """
        steps = self.adaptation_steps if n_steps is None else n_steps
        generator = generator or self._chance_of_play()
        played, reached = self._adaptation(tasks, steps, generator)
        played.append(self._roll(tasks, reached, generator))
        return torch.stack([part.returns().mean(-1) for part in played], dim=1)

    def _chance_of_step(self, number: int) -> torch.Generator:
        # Each outer step has its own, so that fitting in parts equals fitting at once.
        return _source(np.random.SeedSequence([self.random_state, number]))

    def _chance_of_play(self) -> torch.Generator:
        # Not generator(): a task drawn from it would decide how it is explored.
        return _source(np.random.SeedSequence(self.random_state, spawn_key=(0,)))

    def _roll(self, tasks: Tensor, parameters: Parameters, chance: torch.Generator) -> Rollouts:
        return roll_out(self.family, tasks, self.policy, parameters, self.n_episodes, chance)

    def _adaptation(
        self, tasks: Tensor, n_steps: int, generator: torch.Generator
    ) -> tuple[list[Rollouts], Parameters]:
        """Return the episodes before each inner step, and where the last one led."""
        current, played = stacked(self.parameters_, len(tasks)), []
        for step in range(n_steps):
            played.append(self._roll(tasks, current, generator))
            share = 1.0 if step < self.adaptation_steps else _BEYOND
            current = self._further(current, self._rows(current, played[-1]), share)
        return played, current

    def _rows(self, current: Parameters, rollouts: Rollouts) -> Collected:
        return collected(self.policy, current, rollouts, self.discount)

    def _further(self, current: Parameters, rows: Collected, share: float = 1.0) -> Parameters:
        rates = {name: share * rate for name, rate in self.rates_.items()}
        return adapted(self.policy, current, rates, rows)

    def _outer_step(self, played: list[Rollouts]) -> None:
        step = OuterStep(
            self.policy,
            self.parameters_,
            self.rates_,
            learn_rates=self.inner_lr_mode == "per_parameter",
            second_order=not self.first_order,
        )
        few = [rollouts.first(self.curvature_episodes) for rollouts in played]
        rows = self._rows_of_all(played), self._rows_of_all(few)
        self.parameters_, self.rates_ = step(*rows, self.trust)

    def _rows_of_all(self, played: list[Rollouts]) -> list[Collected]:
        """Prepare the episodes of all steps; each was played where the last step had led."""
        current = stacked(self.parameters_, len(played[0].rewards))
        rows = [self._rows(current, played[0])]
        for rollouts in played[1:]:
            current = self._further(current, rows[-1])
            rows.append(self._rows(current, rollouts))
        return rows


def _source(seed: np.random.SeedSequence) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
