import pytest
import torch

from metaskl.learners.cholesky import cholesky


def test_a_positive_matrix_has_its_factor():
    found = cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]], dtype=torch.float64))
    expected = torch.tensor([[2.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_of_any_scale_are_factored(dtype):
    row = torch.tensor([1e9, 1.0, 1e-9], dtype=dtype)
    matrix = (row[:, None] * row).expand(2, 3, 3)
    factor = cholesky(matrix)
    torch.testing.assert_close(factor @ factor.mT, matrix, rtol=1e-4, atol=0)


def test_a_task_that_has_none_does_not_stop_the_others():
    matrices = torch.stack([torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])])
    factor = cholesky(matrices)
    torch.testing.assert_close(factor[0], torch.eye(2))
    assert factor[1].isnan().all()
