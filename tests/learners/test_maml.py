import numpy as np
import pytest
import torch
from quadratic import (
    ALPHA,
    QUERY,
    SUPPORT,
    THETA,
    X_QUERY,
    X_SUPPORT,
    Y_SUPPORT,
    column,
    descend,
    episode,
    meta_gradient,
    on_a_line,
)
from torch import nn
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4, FromModule
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode

FIXED = {"inner_lr_mode": "fixed", "inner_clip": None}


def line(**arguments):
    """Build MAML on a line: no hidden layer, so the head's weight and bias are all there is."""
    arguments = {**FIXED, "adaptation_steps": 1, "inner_lr": ALPHA, **arguments}
    return on_a_line(MAML, **arguments)


class TestOnALine:
    def test_adapting_is_gradient_descent(self):
        learner = line(adaptation_steps=3)
        adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
        found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
        expected = descend(3)[-1]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        prediction = learner.predict(adapted, column(X_QUERY))[:, 0].detach()
        np.testing.assert_allclose(prediction, QUERY.Z @ expected, rtol=1e-12)

    @pytest.mark.parametrize("n_steps", [1, 4])
    def test_the_meta_gradient_is_of_second_order(self, n_steps):
        # θ′ = (I − αA)ᴷ θ + const, so ∇ = (I − αA)ᴷ ∇L_query(θ′).
        shrink = np.linalg.matrix_power(np.eye(2) - ALPHA * SUPPORT.hessian, n_steps)
        expected = shrink @ QUERY.gradient(descend(n_steps)[-1])
        found = meta_gradient(line(adaptation_steps=n_steps))
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    @pytest.mark.parametrize("n_steps", [1, 4])
    def test_first_order_leaves_the_hessian_out(self, n_steps):
        found = meta_gradient(line(adaptation_steps=n_steps, first_order=True))
        np.testing.assert_allclose(found, QUERY.gradient(descend(n_steps)[-1]), rtol=1e-10)

    @pytest.mark.parametrize("first_order", [False, True])
    def test_meta_sgd_learns_a_rate_for_each_parameter(self, first_order):
        learner = line(inner_lr_mode="per_parameter", first_order=first_order)
        rates = np.array([0.2, 0.05])
        with torch.no_grad():
            learner.rates["head__weight"].fill_(rates[0])
            learner.rates["head__bias"].fill_(rates[1])
        adapted = THETA - rates * SUPPORT.gradient(THETA)
        shrink = np.eye(2) if first_order else np.eye(2) - np.diag(rates) @ SUPPORT.hessian
        found = meta_gradient(learner)
        np.testing.assert_allclose(found, shrink.T @ QUERY.gradient(adapted), rtol=1e-10)
        # θ′ = θ − a∘g, so ∂L/∂a = −g∘∇L_query(θ′).
        of_rates = [learner.rates[n].grad.item() for n in ("head__weight", "head__bias")]
        expected = -SUPPORT.gradient(THETA) * QUERY.gradient(adapted)
        np.testing.assert_allclose(of_rates, expected, rtol=1e-10)

    @pytest.mark.parametrize("mode", ["per_parameter", "per_step"])
    def test_rates_are_not_negative_after_a_step_unless_they_may(self, mode):
        for negative, expected in ((False, [0.0, 0.3]), (True, [-0.2, 0.3])):
            learner = line(inner_lr_mode=mode, negative_rates=negative)
            with torch.no_grad():
                learner.rates["head__weight"].fill_(-0.2)
                learner.rates["head__bias"].fill_(0.3)
            learner.after_step()
            found = [learner.rates[n].item() for n in ("head__weight", "head__bias")]
            np.testing.assert_allclose(found, expected, rtol=1e-7)
        line().after_step()  # no rate is learned

    def test_a_rate_for_each_layer_and_step(self):
        learner = line(inner_lr_mode="per_step", adaptation_steps=2)
        rates = {"head__weight": [0.2, 0.1], "head__bias": [0.05, 0.3]}
        with torch.no_grad():
            for name, values in rates.items():
                learner.rates[name].copy_(torch.tensor(values, dtype=torch.float64))
        first, second = (np.diag([rates[n][step] for n in rates]) for step in (0, 1))
        middle = THETA - first @ SUPPORT.gradient(THETA)
        last = middle - second @ SUPPORT.gradient(middle)
        back = (np.eye(2) - second @ SUPPORT.hessian).T @ QUERY.gradient(last)
        found = meta_gradient(learner)
        expected = (np.eye(2) - first @ SUPPORT.hessian).T @ back
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        of_rates = np.array([learner.rates[n].grad.numpy() for n in rates])
        np.testing.assert_allclose(of_rates[:, 0], -SUPPORT.gradient(THETA) * back, rtol=1e-10)
        expected = -SUPPORT.gradient(middle) * QUERY.gradient(last)
        np.testing.assert_allclose(of_rates[:, 1], expected, rtol=1e-10)

    def test_the_multi_step_loss_is_the_mean_over_the_steps(self):
        learner = line(adaptation_steps=3, multi_step_loss=True)
        path = descend(3)[1:]
        loss = learner.episode_loss(episode())
        expected = np.mean([QUERY.loss(theta) for theta in path])
        assert loss.item() == pytest.approx(expected, rel=1e-10)
        shrink = np.eye(2) - ALPHA * SUPPORT.hessian
        expected = np.mean(
            [np.linalg.matrix_power(shrink, k) @ QUERY.gradient(p) for k, p in enumerate(path, 1)],
            axis=0,
        )
        np.testing.assert_allclose(meta_gradient(learner), expected, rtol=1e-10)

    @pytest.mark.parametrize(
        ("epoch", "weights"),
        [(0, [1 / 3, 1 / 3, 1 / 3]), (1, [1 / 6, 1 / 6, 2 / 3]), (2, [0, 0, 1]), (9, [0, 0, 1])],
    )
    def test_the_multi_step_loss_moves_to_the_last_step(self, epoch, weights):
        learner = line(adaptation_steps=3, multi_step_loss=True, multi_step_epochs=2)
        learner.begin_epoch(epoch)
        losses = [QUERY.loss(theta) for theta in descend(3)[1:]]
        found = learner.episode_loss(episode()).item()
        assert found == pytest.approx(np.dot(weights, losses), rel=1e-10)

    def test_second_order_begins_after_epochs_of_first_order(self):
        def gradient_in(epoch, **arguments):
            learner = line(adaptation_steps=4, **arguments)
            learner.begin_epoch(epoch)
            return meta_gradient(learner)

        first, second = gradient_in(0, first_order=True), gradient_in(0)
        assert not np.allclose(first, second)
        for epoch, expected in ((0, first), (1, first), (2, second), (7, second)):
            np.testing.assert_array_equal(gradient_in(epoch, first_order_epochs=2), expected)

    @pytest.mark.parametrize("mode", ["fixed", "per_parameter", "per_step"])
    def test_more_steps_are_taken_on_new_tasks_than_in_training(self, mode):
        learner = line(adaptation_steps=2, test_adaptation_steps=5, inner_lr_mode=mode)
        rates = np.full(5, ALPHA)
        if mode == "per_step":  # a step without a rate of its own takes the last
            rates = np.array([0.2, 0.05, 0.05, 0.05, 0.05])
        with torch.no_grad():
            for rate in learner.rates.values():
                rate.copy_(torch.tensor(rates[: rate.numel()]).reshape(rate.shape))
        path = [THETA]
        for rate in rates:
            path.append(path[-1] - rate * SUPPORT.gradient(path[-1]))
        for training, n_steps in ((True, 2), (False, 5)):
            learner.train(training)
            adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
            found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
            np.testing.assert_allclose(found, path[n_steps], rtol=1e-12)
        assert learner.validation_loss(episode()).item() == pytest.approx(QUERY.loss(path[5]))

    def test_long_inner_gradients_are_shortened(self):
        gradient = SUPPORT.gradient(THETA)
        length = np.linalg.norm(gradient)
        for clip, factor in ((length / 4, 0.25), (2 * length, 1.0)):
            learner = line(inner_clip=float(clip))
            adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
            found = [adapted["head.weight"].item(), adapted["head.bias"].item()]
            np.testing.assert_allclose(found, THETA - ALPHA * factor * gradient, rtol=1e-12)


class Scaled(nn.Module):
    """One feature, w x."""

    n_features_out = 1

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, X):
        return self.w * X


class TestPartsOfANetwork:
    """The prediction is a w x + b with a support row (x, y) and a query row (u, v)."""

    A, W, B, X, Y, U, V = 1.3, 0.7, -0.2, 0.5, 2.0, -1.5, 0.4
    ERROR = A * W * X + B - Y  # of the support, before

    def gradients(self, part):
        """Return the outer gradient of a, w and b."""
        arguments = {**FIXED, "adapt_part": part, "adaptation_steps": 1, "inner_lr": ALPHA}
        network = (learner := MAML(Scaled(), 1, **arguments).double()).network
        parameters = (network.head.weight, network.body.w, network.head.bias)
        with torch.no_grad():
            for parameter, value in zip(parameters, (self.A, self.W, self.B), strict=True):
                parameter.fill_(value)
        X, y, u, v = (
            torch.full((1, 1, 1), n, dtype=torch.float64) for n in (self.X, self.Y, self.U, self.V)
        )
        weight = torch.ones(1, 1, dtype=torch.float64)
        learner.episode_loss(Episode(X, y, weight, u, v, weight)).backward()
        return [parameter.grad.item() for parameter in parameters]

    def test_anil_adapts_the_head(self):
        # a' = a - 2 alpha w x e and b' = b - 2 alpha e, with e = a w x + b - y.
        a, w, x, u, e = self.A, self.W, self.X, self.U, self.ERROR
        a_new, b_new = a - 2 * ALPHA * w * x * e, self.B - 2 * ALPHA * e
        outer = 2 * (a_new * w * u + b_new - self.V)
        by_a = w * u * (1 - 2 * ALPHA * (w * x) ** 2) - 2 * ALPHA * w * x
        by_w = a_new * u - 2 * ALPHA * x * (w * u * (e + a * w * x) + a)
        by_b = 1 - 2 * ALPHA - 2 * ALPHA * w * x * w * u
        expected = outer * np.array([by_a, by_w, by_b])
        np.testing.assert_allclose(self.gradients("head"), expected, rtol=1e-10)

    def test_boil_adapts_the_body(self):
        # w' = w - 2 alpha a x e.
        a, w, x, u, e = self.A, self.W, self.X, self.U, self.ERROR
        w_new = w - 2 * ALPHA * a * x * e
        outer = 2 * (a * w_new * u + self.B - self.V)
        by_a = w_new * u - 2 * ALPHA * a * u * x * (e + a * w * x)
        by_w = a * u * (1 - 2 * ALPHA * (a * x) ** 2)
        by_b = 1 - 2 * ALPHA * a * x * a * u
        expected = outer * np.array([by_a, by_w, by_b])
        np.testing.assert_allclose(self.gradients("body"), expected, rtol=1e-10)


class Normed(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(2, 4), norm(4), nn.Linear(4, 3)

    def forward(self, X):
        return torch.tanh(self.second(torch.tanh(self.norm(self.first(X)))))


BACKBONES = {
    "mlp": (MLP((4,), activation="tanh"), (2,)),
    "mlp with skip": (MLP((4,), activation="tanh", skip=True), (2,)),
    "layer norm": (FromModule(Normed, {"norm": nn.LayerNorm}), (2,)),
    "group norm": (FromModule(Normed, {"norm": lambda n: nn.GroupNorm(2, n)}), (2,)),
    "batch statistics": (
        FromModule(Normed, {"norm": lambda n: nn.BatchNorm1d(n, track_running_stats=False)}),
        (2,),
    ),
    "convolutions": (Conv4(n_channels=8, n_blocks=1), (1, 4, 4)),
}
MODES = {
    "plain": {},
    "first order": {"first_order": True},
    "head": {"adapt_part": "head"},
    "body": {"adapt_part": "body"},
    "Meta-SGD": {"inner_lr_mode": "per_parameter"},
    "per step": {"inner_lr_mode": "per_step"},
    "multi-step": {"multi_step_loss": True},
    "classes": {"kind": "classification"},
}


def reference_loss(learner, batch, backbone_names):
    """Return the outer loss by a plain loop over tasks, with double backward through it."""
    losses = []
    for t in range(len(batch.X_support)):
        parameters = dict(learner.network.named_parameters())
        adapted_names = [n for n in parameters if backbone_names(n)]
        own = {n: parameters[n] for n in adapted_names}
        steps = []
        for step in range(learner.adaptation_steps):
            point = own
            if learner.annealing.first_order:
                point = {n: p.detach().requires_grad_() for n, p in own.items()}
            loss = one_loss(learner, point, batch.X_support[t], batch.y_support[t])
            gradients = torch.autograd.grad(
                loss, list(point.values()), create_graph=not learner.annealing.first_order
            )
            own = {
                n: p - rate(learner, n, step) * g
                for (n, p), g in zip(own.items(), gradients, strict=True)
            }
            steps.append(one_loss(learner, own, batch.X_query[t], batch.y_query[t]))
        losses.append(torch.stack(steps).mean() if learner.annealing.multi_step_loss else steps[-1])
    return torch.stack(losses).mean()


def one_loss(learner, parameters, X, y):
    output = torch.func.functional_call(learner.network, parameters, (X,))
    if learner.kind == "regression":
        return F.mse_loss(output, y)
    return F.cross_entropy(output, y)


def rate(learner, name, step):
    if learner.rates.mode == "fixed":
        return learner.inner_lr
    own = learner.rates[name.replace(".", "__")]
    return own[step] if learner.rates.mode == "per_step" else own


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_meta_gradient_is_that_of_a_plain_loop(backbone, mode):
    spec, in_shape = BACKBONES[backbone]
    arguments = {**FIXED, "adaptation_steps": 2, "inner_lr": 0.3, **MODES[mode]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = MAML(spec.build(in_shape), 2, **arguments).double()
        X = torch.randn(3, 8, *in_shape, dtype=torch.float64)
        y = torch.randn(3, 8, 2, dtype=torch.float64)
    if learner.kind == "classification":
        y = F.one_hot(y.argmax(-1), 2).double()
    weight = torch.ones(3, 4, dtype=torch.float64)
    batch = Episode(X[:, :4], y[:, :4], weight, X[:, 4:], y[:, 4:], weight)
    part = {"all": "", "head": "head.", "body": "body."}[arguments.get("adapt_part", "all")]
    found = gradients_of(learner, learner.episode_loss(batch))
    expected = gradients_of(learner, reference_loss(learner, batch, lambda n: n.startswith(part)))
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-8)


def gradients_of(learner, loss):
    learner.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in learner.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("part", ["head", "body"])
def test_anil_and_boil_change_only_their_part(part):
    learner = MAML(MLP((4,)).build((2,)), 1, adapt_part=part)
    adapted = learner.adapt(torch.randn(5, 2), torch.randn(5, 1))
    assert {name.partition(".")[0] for name in adapted} == {part}
    before = learner.initial()
    assert all(not torch.equal(adapted[name], before[name]) for name in adapted)


def test_parameters_without_gradient_are_not_adapted():
    body = MLP((4,)).build((2,)).requires_grad_(False)
    learner = MAML(body, 1)
    assert set(learner.adapt(torch.zeros(3, 2), torch.ones(3, 1))) == {"head.weight", "head.bias"}


def test_running_statistics_are_refused_unless_the_body_stays():
    body = Conv4(norm="batch", n_channels=8, n_blocks=1).build((1, 4, 4))
    with pytest.raises(BackboneError, match="must not keep running statistics where MAML"):
        MAML(body, 1)
    MAML(body, 1, adapt_part="head")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"adaptation_steps": 0}, "adaptation_steps must be a whole number of at least 1, got 0"),
        ({"adaptation_steps": 2.5}, r"adaptation_steps must be a whole .*got 2\.5"),
        ({"adaptation_steps": "5"}, "adaptation_steps must be a whole .*got '5'"),
        ({"test_adaptation_steps": 0}, "test_adaptation_steps must be a whole .* or None, got 0"),
        ({"inner_clip": 0.0}, r"inner_clip must be above 0 or None, got 0\.0"),
        ({"inner_clip": "10"}, "inner_clip must be above 0 or None, got '10'"),
        ({"first_order_epochs": -1}, "first_order_epochs must be at least 0, got -1"),
        ({"multi_step_epochs": 0}, "multi_step_epochs must be at least 1 or None, got 0"),
        ({"inner_lr": 0.0}, r"inner_lr must be above 0, got 0\.0"),
        ({"inner_lr": float("nan")}, "inner_lr must be above 0, got nan"),
        ({"inner_lr": None}, "inner_lr must be above 0, got None"),
        ({"inner_lr_mode": "learned"}, "inner_lr_mode must be one of .*got 'learned'"),
        ({"adapt_part": "neck"}, "adapt_part must be one of .*got 'neck'"),
        ({"adapt_part": "heads"}, r"got 'heads'\. Did you mean 'head'\?"),
        ({"adapt_part": "body"}, "adapt_part='body' leaves no parameter to adapt"),
        ({"kind": "ranking"}, "kind must be one of .*got 'ranking'"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        MAML(MLP(()).build((1,)), 1, **arguments)


@pytest.mark.parametrize("first_order", [False, True])
def test_anil_runs_the_body_once_and_its_gradient_is_that_of_a_plain_loop(first_order):
    torch.manual_seed(0)
    learner = MAML(
        MLP((4,), activation="tanh").build((2,)),
        1,
        adapt_part="head",
        adaptation_steps=3,
        inner_lr=0.3,
        inner_lr_mode="fixed",
        first_order=first_order,
        inner_clip=None,
    ).double()
    X, y, X_query, y_query = (
        torch.randn(1, n, k, dtype=torch.float64) for n, k in ((5, 2), (5, 1), (6, 2), (6, 1))
    )
    calls = []
    learner.network.body.register_forward_hook(lambda *call: calls.append(call))
    ones = torch.ones(1, 6, dtype=torch.float64)
    loss = learner.episode_loss(Episode(X, y, ones[:, :5], X_query, y_query, ones))
    assert len(calls) == 2  # support and query
    found = gradients_of(learner, loss)

    body, head = learner.network.body, learner.network.head
    weight, bias = head.weight, head.bias
    for _ in range(3):
        features = body(X[0]).detach() if first_order else body(X[0])
        at = [p.detach().requires_grad_() if first_order else p for p in (weight, bias)]
        inner = ((F.linear(features, *at) - y[0]) ** 2).mean()
        steps = torch.autograd.grad(inner, at, create_graph=not first_order)
        weight, bias = (p - 0.3 * g for p, g in zip((weight, bias), steps, strict=True))
    expected = ((F.linear(body(X_query[0]), weight, bias) - y_query[0]) ** 2).mean()
    torch.testing.assert_close(found, gradients_of(learner, expected))
