"""Addressing of an external memory: by content to read, least recently used to write.

After Santoro et al. (see :class:`metaskl.learners.mann.MANN`), for a stack of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

# Length below which what a slot holds counts as next to nothing. Cosines look at the direction
# alone: a slot with a trace of a write would match as well as one that holds it all, and the many
# blank slots of a long memory would drown the few that hold something. Either keeps training from
# getting off the ground.
_BLANK = 0.1
_TINY = 1e-12


def copies_of(n_slots: int, n_rows: int, like: Tensor) -> Tensor | None:
    """Return how many slots of a blank memory each of the first few stands for.

    A row renews one slot, the first of the least used ones; what else it writes to blank slots is
    the same for all. So after n rows all slots but n are alike, and one of them stands for all:
    what is computed is the same, in less time. None if there are too few slots for that.

    Parameters
    ----------
    n_slots, n_rows : int
        Slots of the memory; rows that will be presented.
    like : Tensor
        For the type and the device.

    Returns
    -------
    Tensor of shape (row + 1,) or None
        1 for each row, and the number of all other slots.
    """
    if n_slots <= n_rows + 1:
        return None
    return torch.cat([like.new_ones(n_rows), like.new_full((1,), n_slots - n_rows)])


def expanded(values: Tensor, copies: Tensor | None) -> Tensor:
    """Return (task, slot, ...) with the last slot as often as it stands for one."""
    if copies is None:
        return values
    n_more = int(copies[-1]) - 1
    return torch.cat([values, values[:, -1:].expand(-1, n_more, *values.shape[2:])], dim=1)


def read_weights(
    memory: Tensor, keys: Tensor, strength: Tensor, copies: Tensor | None = None
) -> Tensor:
    """Return how much of each slot is read: by cosine similarity and by how full it is.

    The weight of a slot m is proportional to f exp(β cos(k, m)), with the key k, the strength β
    and f = |m|² / (|m|² + 0.1²).

    Parameters
    ----------
    memory : Tensor of shape (task, slot, width)
        What is stored.
    keys : Tensor of shape (task, row, head, width)
        What is looked for.
    strength : Tensor of shape (task, row, head)
        Factor of the similarities, > 0: how sharply the best slot is preferred.
    copies : Tensor of shape (slot,), optional
        How many slots each stands for, as :func:`copies_of` says.

    Returns
    -------
    Tensor of shape (task, row, head, slot)
        Weights that sum to 1 over the slots; what stands for several has the sum of theirs.
    """
    square = torch.linalg.vecdot(memory, memory)
    full = square + _BLANK**2
    keys = F.normalize(keys, dim=-1)
    product = (keys.flatten(1, 2) @ memory.mT).view(*keys.shape[:3], -1)
    similarity = product * full.rsqrt()[:, None, None]
    fullness = (square + _TINY) / full if copies is None else copies * (square + _TINY) / full
    log_fullness = fullness.log()[:, None, None]
    return torch.softmax(strength[..., None] * similarity + log_fullness, dim=-1)


def least_used(usage: Tensor, *, last: bool = True) -> Tensor:
    """Return 1 for the least used slot of each task and 0 for the others, as (task, slot).

    The last slot can be left out: what stands for several is never the first of equals.
    """
    own = usage if last else usage[:, :-1]
    return torch.zeros_like(usage).scatter_(-1, own.argmin(-1, keepdim=True), 1.0)


def write_weights(gate: Tensor, read: Tensor, unused: Tensor) -> Tensor:
    """Return how much is written to each slot: g · read + (1 − g) · least used.

    Parameters
    ----------
    gate : Tensor of shape (task, 1)
        g in [0, 1]: 1 renews the slots that were just read, 0 fills the least used one.
    read, unused : Tensor of shape (task, slot)
        The last read weights, averaged over heads; what :func:`least_used` returned.

    Returns
    -------
    Tensor of shape (task, slot)
        Weights that sum to 1 over the slots.
    """
    return gate * read + (1 - gate) * unused


def rows_of_slots(written: Sequence[Tensor], erased: Sequence[Tensor]) -> Tensor:
    """Return how much of what each row wrote its slots still hold after the last row.

    Parameters
    ----------
    written, erased : sequence of Tensor of shape (task, slot)
        Of each row: how much it wrote to each slot, and 1 for the slots that it erased before.

    Returns
    -------
    Tensor of shape (task, slot, row)
        Weights >= 0.
    """
    write, gone = torch.stack(list(written), dim=-1), torch.stack(list(erased), dim=-1)
    kept = (1 - gone).flip(-1).cumprod(-1).flip(-1)  # by the row and all after it
    after = torch.cat([kept[..., 1:], torch.ones_like(kept[..., :1])], dim=-1)
    return write * after


def is_all_rows(weight: Tensor) -> bool:
    """Say whether no row is padding, so that none is to be kept from changing the memory.

    A GPU is not made to wait for the answer: there it is False.
    """
    return weight.device.type == "cpu" and bool((weight > 0).all())
