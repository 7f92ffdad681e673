"""A memory network's way through a sequence, with all that can be done at once for its rows.

Row after row go only the products with what the row before left behind. Their weights'
gradient is one product at the end, not one a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from metaskl.learners.addressing import least_used, read_weights, write_weights

if TYPE_CHECKING:
    from metaskl.learners.mann import MANN


class Sizes(NamedTuple):
    """What of a memory network is no tensor."""

    n_reads: int
    slot_size: int
    n_slots: int
    usage_decay: float


class State(NamedTuple):
    """What a row leaves to the next.

    Attributes
    ----------
    memory : Tensor of shape (task, slot, width)
        What the slots hold.
    usage : Tensor of shape (task, slot)
        How much they were used; without a graph.
    cell : Tensor of shape (task, unit)
        The controller's cell.
    left : Tensor of shape (task, head * width + unit)
        What was read, and the controller's hidden state.
    """

    memory: Tensor
    usage: Tensor
    cell: Tensor
    left: Tensor


class Known(NamedTuple):
    """What is known of all rows beforehand, and what the rest is multiplied with.

    Attributes
    ----------
    gates, described : Tensor of shape (row, task, number)
        Part of the input of the controller's gates; of the keys, their strengths, the gate of
        the write and its content.
    of_left, of_hidden : Tensor of shape (input, number)
        The other part is by these weights.
    """

    gates: Tensor
    described: Tensor
    of_left: Tensor
    of_hidden: Tensor


class Row(NamedTuple):
    """What comes of a row.

    Attributes
    ----------
    state : State
        For the next row.
    seen : Tensor of shape (task, head * width + unit)
        What was read and the hidden state, of which the row is predicted.
    write, erased : Tensor of shape (task, slot)
        How much it wrote to each slot; 1 for the one that it erased. Without a graph.
    """

    state: State
    seen: Tensor
    write: Tensor
    erased: Tensor


Product = Callable[[Tensor], Tensor]


def known_of(network: MANN, features: Tensor, labels: Tensor, before: Tensor) -> Known:
    """Return what can be computed of all rows at once.

    Parameters
    ----------
    network : MANN
        Whose weights are taken.
    features : Tensor of shape (task, row, feature)
        The rows' embedding.
    labels, before : Tensor of shape (task, row, output)
        The label of each row, and that with which it is presented.

    Returns
    -------
    Known
        Of all rows.
    """
    cell, key, content = network.controller, network.key, network.content
    strength, gate, n_hidden = network.strength, network.gate, network.controller.hidden_size
    given = torch.cat([features, before], dim=-1).transpose(0, 1)
    of_given, of_vectors = cell.weight_ih.tensor_split([given.shape[-1]], dim=1)
    own = torch.cat([features, labels], dim=-1).transpose(0, 1)
    shape = own.shape[:2]
    described = [
        F.linear(features.transpose(0, 1), key.weight[:, n_hidden:], key.bias),
        strength.bias.expand(*shape, -1),
        gate.bias.expand(*shape, -1),
        F.linear(own, content.weight[:, n_hidden:], content.bias),
    ]
    of_hidden = [part.weight[:, :n_hidden] for part in (key, strength, gate, content)]
    return Known(
        F.linear(given, of_given, cell.bias_ih + cell.bias_hh),
        torch.cat(described, dim=-1),
        torch.cat([of_vectors, cell.weight_hh], dim=1).mT,
        torch.cat(of_hidden).mT,
    )


def by_rows(
    sizes: Sizes, state: State, known: Known, real: Tensor | None, copies: Tensor | None
) -> list[Row]:
    """Present rows one after the other.

    Parameters
    ----------
    sizes : Sizes
        Of the network.
    state : State
        What it begins with.
    known : Known
        Of all rows.
    real : Tensor of shape (row, task, 1) or None
        0 for padding, which changes nothing.
    copies : Tensor of shape (slot,) or None
        How many slots each stands for, as :func:`copies_of` says.

    Returns
    -------
    list of Row
        What comes of each.
    """
    gates = _Late(known.gates, known.of_left)
    described = _Late(known.described, known.of_hidden)
    rows = []
    for row in range(len(known.gates)):
        now = None if real is None else real[row]
        rows.append(after_row(sizes, state, gates.of(row), described.of(row), now, copies))
        state = rows[-1].state
    return rows


def after_row(
    sizes: Sizes,
    state: State,
    gates: Product,
    described: Product,
    now: Tensor | None,
    copies: Tensor | None,
) -> Row:
    """Return what comes of a row, whose products with what was left are given."""
    memory, usage, cell, left = state
    inputs = gates(left)
    enter, keep, _, show = torch.sigmoid(inputs).chunk(4, dim=-1)
    fresh = torch.tanh(inputs.chunk(4, dim=-1)[2])
    new_cell = torch.addcmul(enter * fresh, keep, cell)
    hidden = show * torch.tanh(new_cell)
    n_keys = sizes.n_reads * sizes.slot_size
    keys, strength, gate, content = torch.split(
        described(hidden), [n_keys, sizes.n_reads, 1, sizes.slot_size], dim=-1
    )
    keys = torch.tanh(keys).view(-1, 1, sizes.n_reads, sizes.slot_size)
    strength = 1 + F.softplus(strength)[:, None]
    read = read_weights(memory, keys, strength, copies)[:, 0]
    seen = torch.cat([(read @ memory).flatten(1), hidden], dim=-1)
    read = read.mean(1)
    read = read if copies is None else read / copies  # of each slot by itself
    new_usage = sizes.usage_decay * usage + read.detach()
    erased = least_used(new_usage, last=usage.shape[1] == sizes.n_slots)
    write = write_weights(torch.sigmoid(gate), read, erased)
    new = State(memory, new_usage + write.detach(), new_cell, seen)
    if now is not None:
        changed = [torch.where(now > 0, a, b) for a, b in zip(new[1:], state[1:], strict=True)]
        new = State(memory, *changed)
        write, erased = now * write, now * erased
    kept = memory * (1 - erased)[..., None]
    memory = torch.baddbmm(kept, write[..., None], torch.tanh(content)[:, None])
    return Row(new._replace(memory=memory), seen, write.detach(), erased)


def labels_before(labels: Tensor, real: Tensor | None) -> Tensor:
    """Return the label that each row, and one after them, is presented with.

    Parameters
    ----------
    labels : Tensor of shape (task, row, output)
        The rows' own.
    real : Tensor of shape (task, row) or None
        0 for padding.

    Returns
    -------
    Tensor of shape (task, row + 1, output)
        The label of the last real row before; zeros where there is none.
    """
    padded = torch.cat([torch.zeros_like(labels[:, :1]), labels], dim=1)
    if real is None:
        return padded
    numbers = torch.arange(1, labels.shape[1] + 1, device=labels.device)
    last = torch.where(real > 0, numbers, 0).cummax(1).values
    last = torch.cat([torch.zeros_like(last[:, :1]), last], dim=1)
    return padded.gather(1, last[..., None].expand_as(padded))


class _Late:
    """A linear map of each row's inputs, added to what is known of all rows beforehand."""

    def __init__(self, known: Tensor, weight: Tensor) -> None:
        self._inputs: list[Tensor] = []
        self._weight = weight.detach()
        rows: Any = _OfWeight.apply(known, weight, self._inputs)  # type: ignore[no-untyped-call]
        self._known = rows.unbind(0)

    def of(self, row: int) -> Product:
        """Return the map of a row."""

        def product(inputs: Tensor) -> Tensor:
            if self._known[row].requires_grad:
                self._inputs.append(inputs.detach())
            return torch.addmm(self._known[row], inputs, self._weight)

        return product


class _OfWeight(torch.autograd.Function):
    """Passes on what is known, and takes the weight's gradient for all rows at once."""

    @staticmethod
    def forward(ctx: Any, known: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.dtype = inputs, weight.dtype
        return known.view_as(known)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs = torch.stack(ctx.inputs).to(gradient.dtype)  # which autocast may have shortened
        of_weight = inputs.flatten(0, 1).mT @ gradient.flatten(0, 1)
        return gradient, of_weight.to(ctx.dtype), None
