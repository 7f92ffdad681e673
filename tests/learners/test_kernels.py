import pytest
import torch

from metaskl.learners.kernels import KERNELS, covariance, itself, pairwise


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_covariance_with_itself_is_the_diagonal_however_short_a_row(kernel):
    rows = torch.tensor([[1.0, 2.0]], dtype=torch.float64) * 10.0 ** -torch.arange(10)[:, None]
    pairs = pairwise(kernel, rows[None], rows[None])
    values = covariance(kernel, pairs, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(values.diagonal(dim1=1, dim2=2), itself(kernel, rows[None]))
