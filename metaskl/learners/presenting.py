"""A memory network's way through a sequence, with all that can be done at once for its rows.

Row after row go only the products with what the row before left behind. Their weights'
gradient is one product at the end, not one a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from metaskl.learners.addressing import least_used, read_weights, write_weights
from metaskl.learners.base import Adapted

if TYPE_CHECKING:
    from metaskl.learners.mann import MANN


def present(
    network: MANN,
    state: Adapted,
    features: Tensor,
    labels: Tensor,
    real: Tensor | None,
    copies: Tensor | None,
) -> tuple[Adapted, Tensor, list[tuple[Tensor, Tensor]]]:
    """Present rows with their labels, one after the other.

    Parameters
    ----------
    network : MANN
        Whose memory it is.
    state : dict of Tensor
        What it begins with; it is not changed.
    features : Tensor of shape (task, row, feature)
        The rows' embedding.
    labels : Tensor of shape (task, row, output)
        Each is presented after its row was predicted.
    real : Tensor of shape (task, row, 1) or None
        0 for padding, which changes nothing.
    copies : Tensor of shape (slot,) or None
        How many slots each stands for, as :func:`copies_of` says.

    Returns
    -------
    state : dict of Tensor
        What is left after the rows.
    outputs : Tensor of shape (task, row, output)
        The prediction of each row before its label.
    writes : list of tuple of Tensor of shape (task, slot)
        Of each row: how much it wrote to each slot, and which one it erased.
    """
    products = _Products(network, features, labels, labels_before(labels, real))
    hidden, vectors, writes = [], [], []
    for row in range(features.shape[1]):
        before = state
        new, unused, content = _row(network, products, before, row, copies)
        hidden.append(new["hidden"])
        vectors.append(new["vectors"])
        new["label"], write = labels[:, row], new["write"]
        if real is not None:
            now = real[:, row]
            new = {name: torch.where(now > 0, value, before[name]) for name, value in new.items()}
            write, unused = now * write, now * unused
        erased = before["memory"] * (1 - unused)[..., None]
        memory = torch.baddbmm(erased, write[..., None], content[:, None])
        state = {**before, **new, "memory": memory}
        writes.append((write.detach(), unused))
    seen = torch.cat([torch.stack(hidden, dim=1), torch.stack(vectors, dim=1)], dim=-1)
    return state, network.head(seen), writes


def _row(
    network: MANN, products: _Products, state: Adapted, row: int, copies: Tensor | None
) -> tuple[Adapted, Tensor, Tensor]:
    """Return what a row leaves behind, which slot it erases and what it would write."""
    gates = products.gates(row, torch.cat([state["vectors"], state["hidden"]], dim=-1))
    enter, keep, _, show = torch.sigmoid(gates).chunk(4, dim=-1)
    fresh = torch.tanh(gates.chunk(4, dim=-1)[2])
    cell = torch.addcmul(enter * fresh, keep, state["cell"])
    hidden = show * torch.tanh(cell)
    keys, strength, gate, content = products.described(row, hidden)
    keys = torch.tanh(keys).view(-1, 1, network.n_reads, network.slot_size)
    strength = 1 + F.softplus(strength)[:, None]
    read = read_weights(state["memory"], keys, strength, copies)[:, 0]
    vectors = (read @ state["memory"]).flatten(1)
    read = read.mean(1)
    read = read if copies is None else read / copies  # of each slot by itself
    usage = network.usage_decay * state["usage"] + read.detach()
    unused = least_used(usage, last=usage.shape[1] == network.n_slots)
    write = write_weights(torch.sigmoid(gate), read, unused)
    left = {"usage": usage + write.detach(), "read": read, "write": write, "vectors": vectors}
    return {**left, "hidden": hidden, "cell": cell}, unused, torch.tanh(content)


def labels_before(labels: Tensor, real: Tensor | None) -> Tensor:
    """Return the label that each row is presented with: that of the last real row before it."""
    padded = torch.cat([torch.zeros_like(labels[:, :1]), labels], dim=1)
    if real is None:
        return padded[:, :-1]
    numbers = torch.arange(1, labels.shape[1] + 1, device=labels.device)
    last = torch.where(real[..., 0] > 0, numbers, 0).cummax(1).values
    last = torch.cat([torch.zeros_like(last[:, :1]), last[:, :-1]], dim=1)
    return padded.gather(1, last[..., None].expand_as(labels))


class _Products:
    """The products of a sequence with the network's weights."""

    def __init__(self, network: MANN, features: Tensor, labels: Tensor, before: Tensor) -> None:
        cell, key, content = network.controller, network.key, network.content
        n_hidden = cell.hidden_size
        given = torch.cat([features, before], dim=-1)
        of_given, of_vectors = cell.weight_ih.tensor_split([given.shape[-1]], dim=1)
        self._gates = _Late(
            F.linear(given, of_given, cell.bias_ih + cell.bias_hh),
            torch.cat([of_vectors, cell.weight_hh], dim=1),
        )
        strength, gate = network.strength, network.gate
        parts = [key.weight[:, :n_hidden], strength.weight, gate.weight]
        shape = features.shape[:2]
        known = [
            F.linear(features, key.weight[:, n_hidden:], key.bias),
            strength.bias.expand(*shape, -1),
            gate.bias.expand(*shape, -1),
            F.linear(
                torch.cat([features, labels], dim=-1), content.weight[:, n_hidden:], content.bias
            ),
        ]
        self._sizes = [part.shape[-1] for part in known]
        self._described = _Late(
            torch.cat(known, dim=-1), torch.cat([*parts, content.weight[:, :n_hidden]])
        )

    def gates(self, row: int, left: Tensor) -> Tensor:
        """Return the input of the controller's gates, by what the row before left behind."""
        return self._gates(row, left)

    def described(self, row: int, hidden: Tensor) -> Sequence[Tensor]:
        """Return the keys, their strength, the gate of the write and its content."""
        return torch.split(self._described(row, hidden), self._sizes, dim=-1)


class _Late:
    """A linear map of each row's inputs, added to what is known of all rows beforehand."""

    def __init__(self, known: Tensor, weight: Tensor) -> None:
        self._inputs: list[Tensor] = []
        self._weight = weight.detach().mT
        rows: Any = _OfWeight.apply(known, weight, self._inputs)  # type: ignore[no-untyped-call]
        self._known = rows.unbind(1)

    def __call__(self, row: int, inputs: Tensor) -> Tensor:
        """Return the row's sum."""
        if self._known[row].requires_grad:
            self._inputs.append(inputs.detach())
        return torch.addmm(self._known[row], inputs, self._weight)


class _OfWeight(torch.autograd.Function):
    """Passes on what is known, and takes the weight's gradient for all rows at once."""

    @staticmethod
    def forward(ctx: Any, known: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        del weight
        ctx.inputs = inputs
        return known.view_as(known)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs = torch.stack(ctx.inputs, dim=1)
        return gradient, gradient.flatten(0, 1).mT @ inputs.flatten(0, 1), None
