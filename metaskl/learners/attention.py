"""Attention over the rows of a support, hand-batched over tasks."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from metaskl.learners.products import row_product

# Scores held at once: a large query, or a large support, is cut into chunks of rows.
_SCORES = 2**24
_ROWS = 32
# No class is impossible: so much of the probability is spread over all classes.
_SMOOTHING = 1e-4


class AttentionBlock(nn.Module):
    """One layer of a transformer, normalised before each part [1]_.

    Rows attend to keys and values that are handed in, so that the rows of a query can attend
    to a support without attending to each other.

    Parameters
    ----------
    width : int
        Values of a token; a multiple of `n_heads`.
    n_heads : int
        Attention heads.

    References
    ----------
    .. [1] R. Xiong, Y. Yang, D. He, K. Zheng, S. Zheng, C. Xing, H. Zhang, Y. Lan, L. Wang,
       T.-Y. Liu. On Layer Normalization in the Transformer Architecture. ICML 2020.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # one would shift all scores alike
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def keys_and_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return what others attend to, each (task, head, row, width / head)."""
        tokens = self.norm_attention(tokens)
        return self._split(self.key(tokens)), self._split(self.value(tokens))

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Map tokens (task, row, width), each by itself given the keys and values.

        `bias` is added to the scores; it broadcasts to (task, head, row, key).
        """
        queries = self._split(self.query(self.norm_attention(tokens)))
        found = attend(queries, keys, values, bias)
        tokens = tokens + self.merge(found.transpose(1, 2).flatten(2))
        return cast(Tensor, tokens + self.feed(self.norm_feed(tokens)))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.reshape(*tokens.shape[:2], self.n_heads, -1).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Return the mean of the values under softmax(q·k / √width + bias) for each query row.

    Written out, not torch's fused kernels: they round a row by the number of rows in the call,
    and a prediction must not depend on the other query rows.

    Parameters
    ----------
    queries : Tensor of shape (..., row, width)
        What attends.
    keys, values : Tensor of shape (..., key, width) and (..., key, value)
        What is attended to.
    bias : Tensor
        Broadcasts to (..., row, key); minus infinity hides a key.

    Returns
    -------
    Tensor of shape (..., row, value)
        The means.
    """
    queries = queries * queries.shape[-1] ** -0.5
    scores_of_a_row = keys.numel() // keys.shape[-1]
    size = max(_SCORES // max(scores_of_a_row, 1) // _ROWS * _ROWS, _ROWS)
    chunks = []
    for start in range(0, queries.shape[-2], size):
        rows = slice(start, start + size)
        own = bias if bias.shape[-2] == 1 else bias[..., rows, :]
        scores = row_product(queries[..., rows, :], keys.mT) + own
        chunks.append(row_product(torch.softmax(scores, dim=-1), values))
    return chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=-2)


def hidden_keys(weight: Tensor) -> Tensor:
    """Return the bias (task, 1, row) that hides rows of weight 0 and leaves those of weight 1."""
    return weight.log()[:, None]


def log_probabilities(shares: Tensor) -> Tensor:
    """Return finite logits from the classes' shares of the attention (..., class)."""
    return (shares * (1 - _SMOOTHING) + _SMOOTHING / shares.shape[-1]).log()
