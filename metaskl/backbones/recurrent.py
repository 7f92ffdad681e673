"""Recurrent networks along a sequence."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.errors import BackboneError

_GATES = {"gru": 3, "lstm": 4}


class Recurrent(Backbone):
    """LSTM [1]_ or GRU [2]_ along time; the features are the last hidden state.

    For sequences of one length whose order counts. Written in plain products, so that second
    derivatives (MAML) and weights of each task work on every device, which the fused kernels of
    torch do not offer; long sequences are slow.

    Parameters
    ----------
    hidden_size : int, default=64
        Units of each layer, >= 1.
    cell : {"lstm", "gru"}, default="gru"
        The cell. A GRU has fewer weights.
    n_layers : int, default=1
        Layers, >= 1, each along the hidden states of the one below.

    References
    ----------
    .. [1] S. Hochreiter, J. Schmidhuber. Long Short-Term Memory. Neural Computation 1997.
    .. [2] K. Cho, B. van Merrienboer, C. Gulcehre, D. Bahdanau, F. Bougares, H. Schwenk, Y.
       Bengio. Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
       Translation. EMNLP 2014.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import Recurrent
    >>> Recurrent(hidden_size=16).build((2, 30))(torch.zeros(4, 2, 30)).shape
    torch.Size([4, 16])
    """

    def __init__(self, hidden_size: int = 64, cell: str = "gru", n_layers: int = 1) -> None:
        self.hidden_size = hidden_size
        self.cell = cell
        self.n_layers = n_layers

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build the layers for sequences of shape (channels, length)."""
        require_ndim("Recurrent", in_shape, 2)
        if self.cell not in _GATES or self.hidden_size < 1 or self.n_layers < 1:
            raise BackboneError(
                f"cell must be one of {sorted(_GATES)}, hidden_size and n_layers at least 1, got "
                f"{self.cell!r}, {self.hidden_size} and {self.n_layers}. Start from the defaults."
            )
        sizes = [in_shape[0]] + [self.hidden_size] * self.n_layers
        return _Stack(sizes, self.cell)


class _Stack(nn.Module):
    """Recurrent layers, one on the other."""

    def __init__(self, sizes: list[int], cell: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(a, b, cell) for a, b in pairwise(sizes))
        self.n_features_out = sizes[-1]

    def forward(self, X: Tensor) -> Tensor:
        steps = X.transpose(1, 2)
        for layer in self.layers:
            steps = layer(steps)
        return steps[:, -1]


class _Layer(nn.Module):
    """One layer: maps (row, step, channel) to the hidden states (row, step, unit)."""

    def __init__(self, n_in: int, n_units: int, cell: str) -> None:
        super().__init__()
        self.n_units = n_units
        self.step = _lstm_step if cell == "lstm" else _gru_step
        self.input = nn.Linear(n_in, _GATES[cell] * n_units)
        self.recurrent = nn.Linear(n_units, _GATES[cell] * n_units)
        for parameter in self.parameters():  # as torch's own recurrent networks
            nn.init.uniform_(parameter, -(n_units**-0.5), n_units**-0.5)

    def forward(self, X: Tensor) -> Tensor:
        inputs = self.input(X)  # of all steps at once
        hidden = memory = X.new_zeros(len(X), self.n_units)
        states = []
        for t in range(X.shape[1]):
            hidden, memory = self.step(inputs[:, t], self.recurrent(hidden), hidden, memory)
            states.append(hidden)
        return torch.stack(states, dim=1)


def _lstm_step(
    inputs: Tensor, recurrent: Tensor, hidden: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    del hidden
    take, forget, new, give = (inputs + recurrent).chunk(4, dim=-1)
    memory = forget.sigmoid() * memory + take.sigmoid() * new.tanh()
    return give.sigmoid() * memory.tanh(), memory


def _gru_step(
    inputs: Tensor, recurrent: Tensor, hidden: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    reset_in, keep_in, new_in = inputs.chunk(3, dim=-1)
    reset_own, keep_own, new_own = recurrent.chunk(3, dim=-1)
    keep = (keep_in + keep_own).sigmoid()
    new = (new_in + (reset_in + reset_own).sigmoid() * new_own).tanh()
    return (1 - keep) * new + keep * hidden, memory
