"""Memory of outer losses that autograd differentiates: measured, and kept to in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metaskl.learners.base import padding_of
from metaskl.learners.engine.gradients import attached
from metaskl.tasks import Episode

LossOf = Callable[[Episode], Tensor]


def graph_bytes(loss_of: LossOf, episode: Episode, own: Sequence[Tensor]) -> int:
    """Return how many bytes the graph of one task's outer loss holds.

    Parameters
    ----------
    loss_of : callable
        Episode to outer loss.
    episode : Episode
        Its first task is tried. No random state changes.
    own : sequence of Tensor
        Parameters and the like, which are there anyway.

    Returns
    -------
    int
        Bytes.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in (*own, *episode[:6])}
    held: dict[int, int] = {}
    kept = []  # alive until all are counted, so that no address is given twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            held[storage.data_ptr()] = storage.nbytes()
            kept.append(storage)
        return tensor

    devices = {t.device for t in episode[:6] if t.device.type == "cuda"}
    with (
        torch.random.fork_rng(devices=list(devices)),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        one = _part(episode, slice(0, 1))
        with padding_of(one):
            loss_of(one)
    return sum(held.values())


def by_graphs(loss_of: LossOf, episode: Episode, size: int, learned: Sequence[Tensor]) -> Tensor:
    """Return an outer loss that is a mean over tasks, holding the graph of a part at a time.

    Parameters
    ----------
    loss_of : callable
        Episode to outer loss.
    episode : Episode
        The whole stack of tasks.
    size : int
        Tasks of a part.
    learned : sequence of Tensor
        What the loss is to be differentiated by.

    Returns
    -------
    Tensor of shape ()
        The loss, whose gradient is known already.
    """
    n_tasks = len(episode.X_support)
    if size >= n_tasks:
        return loss_of(episode)
    total = learned[0].new_zeros(())
    gradients: list[Tensor | None] = [None] * len(learned)
    for start in range(0, n_tasks, size):
        part = _part(episode, slice(start, start + size))
        with padding_of(part):
            loss = loss_of(part) * len(part.X_support)
        found = torch.autograd.grad(loss, list(learned), allow_unused=True)
        total = total + loss.detach()
        gradients = [
            old if new is None else (new if old is None else old + new)
            for old, new in zip(gradients, found, strict=True)
        ]
    return attached(total, learned, gradients, scale=1 / n_tasks)


def _part(episode: Episode, tasks: slice) -> Episode:
    return Episode(*(None if part is None else part[tasks] for part in episode))  # type: ignore[arg-type]
