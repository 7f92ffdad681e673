import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4, FromModule
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.cavia import CAVIA
from metaskl.tasks import Episode, SinusoidTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train

W, V, ALPHA = 0.8, -1.1, 0.3  # of the input, of the context
X_SUPPORT, Y_SUPPORT = np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 2.0])
X_QUERY, Y_QUERY = np.array([2.0, -1.0]), np.array([1.0, 4.0])


def column(values):
    return torch.tensor(values).reshape(1, -1, 1)


def of_one_number(**arguments):
    """Predict w x + v c with a context c of one number: the first layer's bias and the head's
    are 0, the head's weight is 1 and nothing bends."""
    arguments = {"context_dim": 1, "inner_lr": ALPHA, "inner_clip": None, **arguments}
    learner = CAVIA(FromModule(nn.Linear(1, 1)).build((1,)), 1, **arguments).double()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.zero_()
        learner.network.body.module.weight.fill_(W)
        learner.network.head.weight.fill_(1.0)
        learner.route.weight.fill_(V)
    return learner


def contexts(n_steps, w=W, v=V):
    """Return c after each step: dL/dc = 2 v (mean(w x − y) + v c)."""
    c, path = 0.0, []
    for _ in range(n_steps):
        c -= ALPHA * 2 * v * (np.mean(w * X_SUPPORT - Y_SUPPORT) + v * c)
        path.append(c)
    return path


def query_loss(n_steps, w=W, v=V):
    return np.mean((w * X_QUERY + v * contexts(n_steps, w, v)[-1] - Y_QUERY) ** 2)


class TestAContextOfOneNumber:
    @pytest.mark.parametrize("n_steps", [1, 4])
    def test_adapting_is_gradient_descent_on_the_context_from_0(self, n_steps):
        learner = of_one_number(adaptation_steps=n_steps)
        adapted = learner.adapt(column(X_SUPPORT)[0], column(Y_SUPPORT)[0])
        assert set(adapted) == {"context"}
        assert adapted["context"].item() == pytest.approx(contexts(n_steps)[-1], rel=1e-10)
        assert learner.initial()["context"].tolist() == [0.0]
        prediction = learner.predict(adapted, column(X_QUERY)[0])[:, 0].detach()
        expected = W * X_QUERY + V * contexts(n_steps)[-1]
        np.testing.assert_allclose(prediction, expected, rtol=1e-10)

    def outer_gradient(self, **arguments):
        learner = of_one_number(**arguments)
        weights = [torch.ones(1, n, dtype=torch.float64) for n in (3, 2)]
        rows = [column(part) for part in (X_SUPPORT, Y_SUPPORT, X_QUERY, Y_QUERY)]
        batch = Episode(*rows[:2], weights[0], *rows[2:], weights[1])
        learner.episode_loss(batch).backward()
        parameters = learner.network.body.module.weight, learner.route.weight
        return [parameter.grad.item() for parameter in parameters]

    def test_the_outer_gradient_goes_through_the_steps(self):
        h = 1e-5
        by_w = (query_loss(3, w=W + h) - query_loss(3, w=W - h)) / (2 * h)
        by_v = (query_loss(3, v=V + h) - query_loss(3, v=V - h)) / (2 * h)
        found = self.outer_gradient(adaptation_steps=3)
        np.testing.assert_allclose(found, [by_w, by_v], rtol=1e-6)

    def test_first_order_holds_the_context_fixed(self):
        c = contexts(3)[-1]
        error = W * X_QUERY + V * c - Y_QUERY
        expected = [np.mean(2 * error * X_QUERY), np.mean(2 * error) * c]
        found = self.outer_gradient(adaptation_steps=3, first_order=True)
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_more_steps_are_taken_on_new_tasks_than_in_training(self):
        learner = of_one_number(adaptation_steps=2, test_adaptation_steps=7)
        for training, n_steps in ((True, 2), (False, 7)):
            learner.train(training)
            adapted = learner.adapt(column(X_SUPPORT)[0], column(Y_SUPPORT)[0])
            assert adapted["context"].item() == pytest.approx(contexts(n_steps)[-1], rel=1e-10)


@pytest.mark.parametrize("skip", [False, True])
def test_the_context_is_appended_to_the_input_of_an_mlp(skip):
    body = MLP((4, 3), activation="tanh", skip=skip).build((2,))
    learner = CAVIA(body, 1, context_dim=5).double()
    context, X = torch.randn(5, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    first, second = body.layers
    # The same layer with two plus five inputs.
    weight = torch.cat([first.weight, learner.route.weight], dim=1)
    wider = torch.cat([X, context.expand(6, 5)], dim=1)
    hidden = torch.tanh(second(torch.tanh(F.linear(wider, weight, first.bias))))
    expected = learner.network.head(torch.cat([hidden, X], dim=1) if skip else hidden)
    torch.testing.assert_close(learner.predict({"context": context}, X), expected)


BODIES_WITHOUT_A_LINEAR_START = {
    "convolutions": (Conv4(n_channels=8, n_blocks=1), (1, 4, 4)),
    "convolutions that keep statistics": (Conv4(norm="batch", n_channels=8, n_blocks=1), (1, 4, 4)),
    "no layer": (MLP(()), (3,)),
    "a norm first": (FromModule(nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4))), (3,)),
    "no bias": (FromModule(nn.Linear(3, 4, bias=False)), (3,)),
}


@pytest.mark.parametrize("name", BODIES_WITHOUT_A_LINEAR_START)
def test_elsewhere_the_context_scales_and_shifts_the_embedding(name):
    spec, in_shape = BODIES_WITHOUT_A_LINEAR_START[name]
    body = spec.build(in_shape)
    learner = CAVIA(body, 2, context_dim=3).double().eval()
    context = torch.randn(3, dtype=torch.float64)
    X = torch.randn(5, *in_shape, dtype=torch.float64)
    width = body.n_features_out
    scale, shift = learner.route.weight[:width] @ context, learner.route.weight[width:] @ context
    expected = learner.network.head(body(X) * (1 + scale) + shift)
    torch.testing.assert_close(learner.predict({"context": context}, X), expected)


def test_a_context_of_two_numbers_learns_a_sinusoid():
    # Amplitude and phase tell the waves apart; their mean, without adapting, says little of one.
    tasks = SinusoidTasks().sample(400, 30, random_state=0).task_set()
    train, test = tasks.select(np.arange(350)), tasks.select(np.arange(350, 400))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = CAVIA(MLP((40, 40)).build((1,)), 1, context_dim=2)
    batch = TaskEpisodes(test, n_shot=10, n_query=20, meta_batch_size=50, random_state=0).sample()
    sampler = TaskEpisodes(train, n_shot=10, n_query=10, random_state=0)
    plan = TrainingPlan(max_epochs=2, steps_per_epoch=100, lr_schedule="cosine", outer_lr=3e-3)
    meta_train(learner, sampler, plan)
    learner.eval()
    with torch.no_grad():
        context = {"context": torch.zeros(50, 2)}
        unadapted = learner.predict_tasks(context, batch.X_query)
        before = learner.task_loss(unadapted, batch.y_query, batch.weight_query).mean()
        assert learner.validation_loss(batch) < 0.3 * before


def test_running_statistics_are_refused_after_a_linear_start():
    body = FromModule(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))).build((3,))
    with pytest.raises(BackboneError, match="must not keep running statistics where CAVIA"):
        CAVIA(body, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context_dim": 0}, "context_dim must be at least 1, got 0"),
        ({"inner_lr": 0.0}, "inner_lr must be above 0"),
        ({"test_adaptation_steps": -3}, "must be a whole number of at least 1 or None, got -3"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        CAVIA(MLP(()).build((1,)), 1, **arguments)
