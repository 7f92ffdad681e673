"""The rows of all meta-training tasks as one ordinary training set."""

from __future__ import annotations

import torch
from torch import Tensor

from metaskl.tasks import Episode


def pool_rows(episode: Episode, n_pool_classes: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, targets and weights of an episode's rows, support and query alike.

    Private classes, named by the episode's ``ways``, become those of the whole pool.

    Parameters
    ----------
    episode : Episode
        A stack of episodes.
    n_pool_classes : int, default=0
        Classes of the pool; 0 where the classes are shared.

    Returns
    -------
    tuple of Tensor
        ``(task, row, ...)``, ``(task, row, output or pool class)`` and ``(task, row)``.
    """
    X = torch.cat([episode.X_support, episode.X_query], dim=1)
    y = torch.cat([episode.y_support, episode.y_query], dim=1)
    weight = torch.cat([episode.weight_support, episode.weight_query], dim=1)
    if n_pool_classes and episode.ways is not None:
        y = y @ torch.eye(n_pool_classes, dtype=y.dtype, device=y.device)[episode.ways]
    return X, y, weight
