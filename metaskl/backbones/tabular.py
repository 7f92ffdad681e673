"""Tables with categories: codes become learned vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from metaskl.backbones.base import Backbone, require_ndim
from metaskl.backbones.mlp import MLP
from metaskl.errors import BackboneError


class Tabular(Backbone):
    """An MLP on the numeric columns and on an embedding of each categorical one [1]_.

    The categorical columns hold codes 0, 1, … (scikit-learn's ``OrdinalEncoder``); the
    estimators do not standardise them. Any other value, such as the -1 of
    ``OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)``, is an unknown
    level, whose vector is 0 unless meta-training meets some.

    Parameters
    ----------
    categories : dict of int to int
        How many levels each categorical column has, by the column's position.
    embedding_size : int, optional
        Length of each vector, >= 1; by default 1.6 n^0.56 for n levels, at most 50: a rule of
        thumb of the fastai library.
    body : Backbone, optional
        The network after the embeddings, for tables; by default ``MLP(skip=True)``.

    References
    ----------
    .. [1] C. Guo, F. Berkhahn. Entity Embeddings of Categorical Variables. arXiv 2016.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP, Tabular
    >>> spec = Tabular({1: 4}, embedding_size=3, body=MLP((8,)))
    >>> spec.build((2,))(torch.tensor([[0.5, 3.0], [0.1, -1.0]])).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        categories: Mapping[int, int],
        embedding_size: int | None = None,
        body: Backbone | None = None,
    ) -> None:
        self.categories = categories
        self.embedding_size = embedding_size
        self.body = body

    @property
    def unscaled_columns(self) -> tuple[int, ...]:
        """The columns that hold codes."""
        return tuple(self._levels())

    def _levels(self) -> dict[int, int]:
        """Return the number of levels of each categorical column, in the columns' order."""
        whole = (int, np.integer)
        if any(not isinstance(v, whole) for pair in self.categories.items() for v in pair):
            raise BackboneError(
                "categories must map columns, counted from 0, to their number of levels, got "
                f"{dict(self.categories)!r}. The network sees an array without names: give "
                "positions after preprocessing, such as {0: 4}, for a data frame "
                "{X.columns.get_loc(name): 4}."
            )
        return dict(sorted(self.categories.items()))

    def remark(self, X: npt.NDArray[Any]) -> str:
        """Say which columns hold codes that are no level of theirs."""
        odd = []
        for column, n_levels in self._levels().items():
            codes = X[:, column] if 0 <= column < X.shape[1] else np.zeros(0)
            if ((codes >= n_levels) | ((codes >= 0) & (codes % 1 != 0))).any():
                odd.append(f"column {column} holds {codes.max():g}, and has {n_levels} levels")
        if not odd:
            return ""
        return (
            f"categories does not fit these rows: {'; '.join(odd)}. Codes are 0 to the number of "
            "levels less one; any other counts as unknown, in training too. Correct categories, "
            "or encode the columns with OrdinalEncoder."
        )

    def build(self, in_shape: tuple[int, ...]) -> nn.Module:
        """Build embeddings and body for rows of `in_shape` features."""
        require_ndim("Tabular", in_shape, 1)
        sizes = self._levels()
        absent = [c for c in sizes if not 0 <= c < in_shape[0]]
        if absent or any(n < 1 for n in sizes.values()):
            raise BackboneError(
                f"categories must map columns 0 to {in_shape[0] - 1} to their number of levels "
                f"(at least 1), got {dict(sizes)}. Count columns from 0, after preprocessing."
            )
        if self.embedding_size is not None and self.embedding_size < 1:
            raise BackboneError(
                f"embedding_size must be at least 1, got {self.embedding_size}. Leave it out for "
                "a size by the number of levels."
            )
        widths = {c: self.embedding_size or min(50, round(1.6 * n**0.56)) for c, n in sizes.items()}
        width = in_shape[0] - len(sizes) + sum(widths.values())
        body = MLP(skip=True) if self.body is None else self.body
        return _Embedded(in_shape[0], sizes, widths, body.build((width,)))


class _Embedded(nn.Module):
    """Embeddings before a body."""

    def __init__(
        self, n_columns: int, sizes: dict[int, int], widths: dict[int, int], body: nn.Module
    ) -> None:
        super().__init__()
        self.numeric = [c for c in range(n_columns) if c not in sizes]
        self.columns = list(sizes)
        # One level more than there are, the last: unknown, at 0.
        self.embeddings = nn.ParameterList(
            torch.cat([0.1 * torch.randn(n, widths[c]), torch.zeros(1, widths[c])])
            for c, n in sizes.items()
        )
        self.body = body
        self.n_features_out = body.n_features_out

    def forward(self, X: Tensor) -> Tensor:
        features: Tensor = self.body(self._embedded(X, list(self.embeddings)))
        return features

    def _embedded(self, X: Tensor, tables: list[Any]) -> Tensor:
        """Return rows with codes replaced by their vectors."""
        parts = [X[..., self.numeric]]
        for column, table in zip(self.columns, tables, strict=True):
            # A product and not an index: it can be mapped over tables of each task, and twice
            # differentiated, on every device, and needs no look at the values.
            levels = torch.arange(len(table) - 1, device=X.device)
            member = X[..., column, None].round() == levels
            unknown = ~member.any(-1, keepdim=True)
            parts.append(torch.cat([member, unknown], dim=-1).to(table.dtype) @ table)
        return torch.cat(parts, dim=-1)
