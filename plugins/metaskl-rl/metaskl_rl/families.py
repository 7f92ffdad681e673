"""Families of control tasks that are simulated many at once."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from metaskl.errors import ParameterError


def at_least(least: int, **numbers: int) -> None:
    """Raise ParameterError if one of some numbers, given by their names, is too small."""
    for name, value in numbers.items():
        if value < least:
            raise ParameterError(f"{name} must be at least {least}, got {value}.")


class TaskFamily(abc.ABC):
    """A distribution over control tasks, stepped as tensors (task, episode, ...).

    Attributes
    ----------
    n_observations : int
        Numbers in an observation.
    n_actions : int
        Numbers in an action (continuous), or how many there are to choose from (discrete).
    discrete : bool
        Whether an action is a choice.
    horizon : int
        Steps of an episode at most.
    """

    n_observations: int
    n_actions: int
    discrete: bool
    horizon: int

    @abc.abstractmethod
    def sample(self, n_tasks: int, generator: torch.Generator) -> Tensor:
        """Draw the parameters of tasks, (task, ...)."""

    @abc.abstractmethod
    def reset(self, tasks: Tensor, n_episodes: int, generator: torch.Generator) -> Tensor:
        """Return the states in which episodes begin, (task, episode, ...)."""

    @abc.abstractmethod
    def step(
        self, tasks: Tensor, state: Tensor, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Act once in all episodes.

        Parameters
        ----------
        tasks : Tensor of shape (task, ...)
            What :meth:`sample` returns.
        state : Tensor of shape (task, episode, ...)
            Where the episodes are.
        action : Tensor of shape (task, episode, n_actions), or (task, episode) if discrete
            What is done.
        generator : torch.Generator
            Source of chance.

        Returns
        -------
        tuple of Tensor
            The next states, the rewards (task, episode), and whether episodes have ended.
        """

    @abc.abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """Return observations (task, episode, n_observations) of states."""
