"""Inner step sizes that are meta-learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from metaskl.errors import require_choice
from metaskl.learners.engine.rates import Inner
from metaskl.learners.network import sharing

RATES = ("fixed", "per_parameter", "per_step")


class LearnedRates(nn.ParameterDict):
    """The step sizes of the inner loop, by the names of what they move.

    Parameters
    ----------
    adapted : mapping of str to Tensor
        What the inner steps change.
    mode : {"fixed", "per_parameter", "per_step"}
        Whether nothing is learned, a rate for each weight, or one for each tensor and step.
    inner_lr : float
        Where the rates start.
    n_steps : int
        Inner steps in meta-training.
    negative : bool, default=True
        Whether `bound` lets rates be negative.

    Raises
    ------
    ParameterError
        If there is no such mode.
    """

    def __init__(
        self,
        adapted: Mapping[str, Tensor],
        mode: str,
        inner_lr: float,
        n_steps: int,
        *,
        negative: bool = True,
    ) -> None:
        super().__init__()
        require_choice("inner_lr_mode", mode, RATES)
        self.mode = mode
        self.negative = negative
        self.inner_lr = inner_lr
        for name, tensor in adapted.items() if mode != "fixed" else ():
            if mode == "per_step":
                tensor = torch.empty(n_steps, device=tensor.device)
            self[_key(name)] = nn.Parameter(torch.full_like(tensor, inner_lr))

    def of(self, name: str) -> Tensor:
        """Return the rates of a tensor: of its shape, or of shape (step,)."""
        rate: Tensor = self[_key(name)]
        return rate

    def at(self, name: str, step: int) -> Tensor | float:
        """Return the rate of a tensor in a step; beyond the last of training that of the last."""
        if self.mode == "fixed":
            return self.inner_lr
        rate = self.of(name)
        return rate[min(step, len(rate) - 1)] if self.mode == "per_step" else rate

    def inner(self, adapted: Sequence[str], n_steps: int, clip: float | None) -> Inner:
        """Return so many inner steps by these rates, for the engine."""
        learned = {name: self.of(name) for name in adapted} if len(self) else {}
        by_step = self.mode == "per_step"
        return Inner(set(adapted), self.inner_lr, learned, by_step, n_steps, clip)

    @torch.no_grad()
    def bound(self) -> None:
        """Bring rates that an outer step made negative back to 0, from where they may rise."""
        if self.mode != "fixed" and not self.negative:
            torch._foreach_clamp_min_(list(self.parameters(recurse=False)), 0.0)

    @torch.no_grad()
    def level(self, prefix: str) -> None:
        """Give all rows of each tensor so named the mean of their rates, if each weight has one."""
        for rates in self._per_weight(prefix).values():
            rates.copy_(rates.mean(0).expand_as(rates))

    def with_rows(self, n_rows: int, prefix: str) -> Self:
        """Return the rates for tensors of so many rows of that name, each the mean of the rows."""
        other = sharing(self)
        for key, rates in self._per_weight(prefix).items():
            other[key] = nn.Parameter(rates.detach().mean(0).expand(n_rows, *rates.shape[1:]))
        return other

    def _per_weight(self, prefix: str) -> dict[str, Tensor]:
        own = self.items() if self.mode == "per_parameter" else ()
        return {key: rates for key, rates in own if key.startswith(_key(prefix))}


def _key(name: str) -> str:
    """Return a parameter's name without dots, which a ParameterDict does not take."""
    return name.replace(".", "__")
