"""Matrix products that round a row alike, whatever the number of rows in the call."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# On a CPU torch's batched product takes another path where rows · k · columns is below 400, which
# sums in another order: the last bits of a row would depend on how many rows are in the call. From
# 32 rows on, 8 columns leave that path to k = 1, where there is nothing to sum.
_COLUMNS = 8


def row_product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return ``rows @ matrix``, of shapes (..., row, k) and (..., k, column).

    Parameters
    ----------
    rows : Tensor of shape (..., row, k)
        Rows, in blocks of a number that is a multiple of 32.
    matrix : Tensor of shape (..., k, column)
        What each row is multiplied by.

    Returns
    -------
    Tensor of shape (..., row, column)
        The products.
    """
    n_columns = matrix.shape[-1]
    if n_columns >= _COLUMNS:
        return rows @ matrix
    product: Tensor = rows @ F.pad(matrix, (0, _COLUMNS - n_columns))
    return product[..., :n_columns]
