"""Dropout that is the same for all rows of an episode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import BackboneError


class EpisodeDropout(nn.Module):
    """Dropout [1]_ of units, with one mask for all the rows of an episode.

    Adapting and predicting so see one thinned network, as in variational dropout [2]_: with a
    mask for each value, as ``torch.nn.Dropout`` draws it, every inner step would follow the loss
    of another network than the next, and the query would be asked of a third.

    Meta-training draws a mask at the start of each outer step (:func:`episode_masks`). Support
    and query, the inner steps and all tasks of the meta-batch share it: then it does not matter
    whether tasks run in a loop, at once, or in chunks. In training but outside an outer step
    each call draws one for its rows; in evaluation nothing is dropped.

    Parameters
    ----------
    n_units : int
        Length of the last axis.
    rate : float
        Share of the units that training sets to 0, in [0, 1); the others grow by 1 / (1 − rate),
        so that the mean stays.

    Raises
    ------
    BackboneError
        If the rate is out of its range; later, if rows have not so many units.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov. Dropout: A
       Simple Way to Prevent Neural Networks from Overfitting. JMLR 2014.
    .. [2] Y. Gal, Z. Ghahramani. A Theoretically Grounded Application of Dropout in Recurrent
       Neural Networks. NeurIPS 2016.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import EpisodeDropout
    >>> rows = EpisodeDropout(4, 0.5)(torch.ones(3, 4))
    >>> bool((rows == rows[0]).all())
    True
    """

    def __init__(self, n_units: int, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise BackboneError(f"rate must be in [0, 1), got {rate}. Try 0.1.")
        self.n_units = n_units
        self.rate = rate
        # No buffer: it is drawn anew for each step, so no part of a state that is kept.
        self.mask: Tensor | None = None

    def forward(self, X: Tensor) -> Tensor:
        """Drop units of the last axis, the same for all rows."""
        if not self.training or not self.rate:
            return X
        if X.shape[-1] != self.n_units:  # one would be stretched to as many
            raise BackboneError(
                f"n_units must be the length of the rows' last axis, got {self.n_units} for the "
                f"shape {tuple(X.shape)}. Count what the layer before gives."
            )
        mask = self.drawn(X.device) if self.mask is None else self.mask
        return X * mask.to(X.dtype)

    def drawn(self, device: torch.device) -> Tensor:
        """Return a new mask."""
        return F.dropout(torch.ones(self.n_units, device=device), self.rate)

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"{self.n_units}, {self.rate}"


@contextmanager
def episode_masks(module: nn.Module) -> Iterator[None]:
    """Draw the masks of a network from torch's random state, and keep them until the end.

    Within another such block of the same network its masks give way, and come back.

    Parameters
    ----------
    module : torch.nn.Module
        What holds :class:`EpisodeDropout` modules, if any, such as a learner.

    Yields
    ------
    None
        Masks are kept until the block is left, also by an error.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP, episode_masks
    >>> body = MLP((8,), dropout=0.5).build((2,))
    >>> with episode_masks(body):
    ...     support, query = body(torch.ones(1, 2)), body(torch.ones(1, 2))
    >>> torch.equal(support, query)
    True
    """
    parts = [part for part in module.modules() if isinstance(part, EpisodeDropout)]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    before = [part.mask for part in parts]
    try:
        for part in parts:
            part.mask = part.drawn(device)
        yield
    finally:
        for part, mask in zip(parts, before, strict=True):
            part.mask = mask
