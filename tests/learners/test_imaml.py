import weakref

import numpy as np
import pytest
import torch
from quadratic import QUERY, SUPPORT, THETA, X_SUPPORT, Y_SUPPORT, column, meta_gradient, on_a_line
from scipy.optimize import minimize
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.imaml import IMAML, conjugate_gradients
from metaskl.tasks import Episode

# L is quadratic with the Hessian H, so θ′ = θ − (H + λI)⁻¹ ∇L(θ).
PULL = 0.7
MINIMUM = THETA - np.linalg.solve(SUPPORT.hessian + PULL * np.eye(2), SUPPORT.gradient(THETA))
EXACT = {"pull": PULL, "adaptation_steps": 600, "inner_lr": 0.1}


class TestOnALine:
    def test_adapting_ends_at_the_minimum(self):
        adapted = on_a_line(IMAML, **EXACT).adapt(column(X_SUPPORT), column(Y_SUPPORT))
        found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
        np.testing.assert_allclose(found, MINIMUM, rtol=1e-7)

    def test_steps_that_go_too_far_are_taken_back(self):
        # Descent at a fixed rate diverges beyond 2 / (the largest curvature), here about 0.2.
        learner = on_a_line(IMAML, **{**EXACT, "inner_lr": 1000.0})
        adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
        found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
        np.testing.assert_allclose(found, MINIMUM, rtol=1e-7)

    def test_the_rate_grows_after_a_step_down_and_halves_after_one_up(self):
        def objective(theta):
            return SUPPORT.loss(theta) + PULL / 2 * ((theta - THETA) ** 2).sum()

        theta, rate, lower = THETA, 0.2, []
        for _ in range(6):
            trial = theta - rate * (SUPPORT.gradient(theta) + PULL * (theta - THETA))
            lower.append(objective(trial) <= objective(theta))
            theta, rate = (trial, 1.5 * rate) if lower[-1] else (theta, 0.5 * rate)
        assert {*lower} == {True, False}
        learner = on_a_line(IMAML, **{**EXACT, "inner_lr": 0.2, "adaptation_steps": 6})
        adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
        found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
        np.testing.assert_allclose(found, theta, rtol=1e-10)

    def test_the_outer_gradient_is_the_implicit_one(self):
        # dθ′/dθ = λ (H + λI)⁻¹ = (I + H/λ)⁻¹; two steps of conjugate gradients are exact for two
        # parameters.
        expected = np.linalg.solve(np.eye(2) + SUPPORT.hessian / PULL, QUERY.gradient(MINIMUM))
        found = meta_gradient(on_a_line(IMAML, **EXACT, cg_steps=2))
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_one_step_of_conjugate_gradients_is_the_best_multiple_of_the_gradient(self):
        gradient, A = QUERY.gradient(MINIMUM), np.eye(2) + SUPPORT.hessian / PULL
        expected = gradient * (gradient @ gradient) / (gradient @ A @ gradient)
        found = meta_gradient(on_a_line(IMAML, **EXACT, cg_steps=1))
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_more_steps_are_taken_on_new_tasks_than_in_training(self):
        few = {**EXACT, "adaptation_steps": 1, "test_adaptation_steps": 600}
        learner = on_a_line(IMAML, **few).eval()
        adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
        np.testing.assert_allclose(adapted["head.weight"].item(), MINIMUM[0], rtol=1e-7)


def small_network(**arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = MLP((3,), activation="tanh").build((1,))
        return IMAML(body, 1, **arguments).double()


def batch_of(n_tasks=2):
    rng = np.random.default_rng(0)
    X, y = (torch.tensor(rng.standard_normal((n_tasks, 12, 1))) for _ in "Xy")
    weight = torch.ones(n_tasks, 6, dtype=torch.float64)
    return Episode(X[:, :6], y[:, :6], weight, X[:, 6:], y[:, 6:], weight)


def test_the_outer_gradient_of_a_network_is_that_of_finite_differences():
    # Of the query loss at the minimum that scipy finds, as a function of θ.
    learner, batch = small_network(pull=1.0, adaptation_steps=2000, cg_steps=20), batch_of(1)
    theta = torch.nn.utils.parameters_to_vector(learner.network.parameters()).detach()

    def loss_of(vector, X, y):
        torch.nn.utils.vector_to_parameters(vector, copy.parameters())
        return F.mse_loss(copy(X[0]), y[0])

    def outer(start):
        def inner(values):
            vector = torch.tensor(values, requires_grad=True)
            parameters, used = {}, 0
            for name, p in copy.named_parameters():
                parameters[name] = vector[used : used + p.numel()].reshape(p.shape)
                used += p.numel()
            output = torch.func.functional_call(copy, parameters, (batch.X_support[0],))
            loss = F.mse_loss(output, batch.y_support[0]) + 0.5 * ((vector - start) ** 2).sum()
            (gradient,) = torch.autograd.grad(loss, vector)
            return loss.item(), gradient.numpy()

        found = minimize(inner, start.numpy(), jac=True, method="BFGS", options={"gtol": 1e-11})
        with torch.no_grad():
            return loss_of(torch.tensor(found.x), batch.X_query, batch.y_query).item()

    copy = small_network().network
    expected = []
    for i in range(len(theta)):
        step = torch.zeros_like(theta)
        step[i] = 1e-4
        expected.append((outer(theta + step) - outer(theta - step)) / 2e-4)
    learner.episode_loss(batch).backward()
    found = torch.cat([p.grad.flatten() for p in learner.network.parameters()])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_memory_does_not_grow_with_the_number_of_inner_steps():
    class Held:
        def __init__(self, tensor):
            self.tensor = tensor

    def most_held(n_steps):
        held, most = weakref.WeakSet(), 0

        def pack(tensor):
            nonlocal most
            held.add(kept := Held(tensor))
            most = max(most, len(held))
            return kept

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
            small_network(adaptation_steps=n_steps).episode_loss(batch_of()).backward()
        return most

    assert 0 < most_held(40) == most_held(2)


class TestConjugateGradients:
    def systems(self, dtype=torch.float64):
        rng = np.random.default_rng(0)
        half = torch.tensor(rng.standard_normal((3, 6, 6)), dtype=dtype)
        A = half @ half.mT + torch.eye(6, dtype=dtype)
        return A, torch.tensor(rng.standard_normal((3, 6)), dtype=dtype)

    def test_as_many_steps_as_unknowns_are_exact(self):
        A, b = self.systems()
        found = conjugate_gradients(lambda v: (A @ v[..., None])[..., 0], b, 6)
        torch.testing.assert_close(found, torch.linalg.solve(A, b), rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_further_steps_change_nothing(self, dtype):
        A, b = self.systems(dtype)
        A, b[1] = torch.eye(6, dtype=dtype) + 0 * A, 0
        found = conjugate_gradients(lambda v: (A @ v[..., None])[..., 0], b, 30)
        torch.testing.assert_close(found, b)

    def test_a_direction_of_negative_curvature_ends_the_solve(self):
        scale = torch.tensor([[-1.0, -2.0], [5.0, -1.0], [2.0, 4.0]], dtype=torch.float64)
        b = torch.tensor([[1.0, 1.0], [2.0, 1.0], [2.0, 4.0]], dtype=torch.float64)
        found = conjugate_gradients(lambda v: scale * v, b, 10)
        # At once: b itself. After one step along b, of length b·b / b·Ab = 5 / 19: that step.
        expected = torch.tensor([[1.0, 1.0], [10 / 19, 5 / 19], [1.0, 1.0]], dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_running_statistics_are_refused():
    body = Conv4(norm="batch", n_channels=8, n_blocks=1).build((1, 4, 4))
    with pytest.raises(BackboneError, match="must not keep running statistics where IMAML"):
        IMAML(body, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pull": 0.0}, r"pull must be above 0 and cg_steps at least 1, got 0\.0 and 5"),
        ({"cg_steps": 0}, "cg_steps at least 1, got 1.0 and 0"),
        ({"inner_lr": -1.0}, "inner_lr must be above 0"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        IMAML(MLP(()).build((1,)), 1, **arguments)
