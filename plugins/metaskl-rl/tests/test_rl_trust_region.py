import pytest
import torch

from metaskl_rl.trust_region import conjugate_gradient, flat, line_search, natural_step


def spd(n):
    torch.manual_seed(0)
    root = torch.randn(n, n, dtype=torch.float64)
    return root @ root.T + torch.eye(n, dtype=torch.float64)


def test_as_many_steps_as_unknowns_solve_exactly():
    A, b = spd(6), torch.arange(6, dtype=torch.float64)
    found = conjugate_gradient(lambda v: A @ v, b, n_steps=6)
    torch.testing.assert_close(found, torch.linalg.solve(A, b), rtol=1e-6, atol=1e-8)


def test_nothing_to_solve_stays_zero():
    assert conjugate_gradient(lambda v: 2 * v, torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_natural_step_uses_the_whole_limit():
    A, g = spd(4), torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    step = natural_step(g, lambda v: A @ v, 0.01)
    assert (0.5 * step @ A @ step).item() == pytest.approx(0.01, rel=1e-6)
    solved = torch.linalg.solve(A, g)
    assert torch.cosine_similarity(step, solved, dim=0).item() == pytest.approx(1.0, rel=1e-6)


def test_the_search_goes_back_until_the_limit_is_kept():
    start, step = torch.zeros(1), torch.ones(1)
    found = line_search(lambda p: (float(p), float(p) ** 2), start, step, 0.5)
    assert found.item() == pytest.approx(0.8**2)  # 0.8² is the first below √0.5


def test_no_gain_no_step():
    found = line_search(lambda p: (-1.0, 0.0), torch.zeros(1), torch.ones(1), 1.0)
    assert found.item() == 0.0


def test_flat_joins_in_order():
    assert flat([torch.ones(1, 2), torch.zeros(1)]).tolist() == [1.0, 1.0, 0.0]
