import math

import torch

from metaskl.learners.newton import minimise, positive_solve


def test_a_quadratic_takes_one_step():
    # ½ (x − c)ᵀ A (x − c), two tasks at once; the steps are short enough not to be cut.
    A = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[3.0, 0.0], [0.0, 4.0]]], dtype=torch.float64)
    centre = torch.tensor([[0.3, -0.2], [0.1, 0.5]], dtype=torch.float64)

    def terms(x):
        moved = x - centre
        gradient = (A @ moved[..., None])[..., 0]
        return 0.5 * (moved * gradient).sum(-1), gradient, A

    point, hessian = minimise(terms, torch.zeros(2, 2, dtype=torch.float64), 1)
    torch.testing.assert_close(point, centre)
    assert torch.equal(hessian, A)


def test_it_goes_down_from_where_the_function_bends_the_wrong_way():
    # cos has its maximum at 0 and its minimum at π; the start 0.1 is next to the maximum.
    def terms(x):
        return x.cos()[:, 0], -x.sin(), -x.cos()[..., None]

    start = torch.tensor([[0.1], [-0.2]], dtype=torch.float64)
    point, _ = minimise(terms, start, 50)
    torch.testing.assert_close(point, torch.tensor([[math.pi], [-math.pi]], dtype=torch.float64))


def test_what_is_not_a_number_is_not_taken():
    def terms(x):  # log x is not a number below 0
        return (x - x.log())[:, 0], 1 - 1 / x, (1 / x**2)[..., None]

    start = torch.tensor([[3.0], [0.01], [math.nan]], dtype=torch.float64)
    point, _ = minimise(terms, start, 50)
    torch.testing.assert_close(point[:2], torch.ones(2, 1, dtype=torch.float64))
    assert point[2].isnan().all()


def test_a_positive_matrix_is_solved_exactly():
    A = torch.tensor([[[4.0, 1.0], [1.0, 3.0]]], dtype=torch.float64)
    b = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(positive_solve(A, b), torch.linalg.solve(A, b))
    damped = torch.linalg.solve(A + 2 * torch.eye(2), b)
    torch.testing.assert_close(positive_solve(A, b, torch.tensor([2.0])), damped)
