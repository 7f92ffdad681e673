import numpy as np
import pytest
import torch
from quadratic import (
    ALPHA,
    THETA,
    X_QUERY,
    X_SUPPORT,
    Y_QUERY,
    Y_SUPPORT,
    Quadratic,
    column,
    descend,
    episode,
    meta_gradient,
    on_a_line,
)
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.reptile import Reptile, all_rows, minibatch, spread_order
from metaskl.tasks import ClassEpisodes, Episode, SinusoidTasks, TaskEpisodes, TaskSet
from metaskl.training import TrainingPlan, meta_train

PLAIN = {"inner_optimizer": "sgd", "inner_lr": ALPHA, "inner_clip": None}
ALL = Quadratic(np.append(X_SUPPORT, X_QUERY), np.append(Y_SUPPORT, Y_QUERY))


def final(learner):
    adapted = learner.adapt(column(X_SUPPORT), column(Y_SUPPORT))
    return [adapted["head.weight"].item(), adapted["head.bias"].item()]


class TestOnALine:
    @pytest.mark.parametrize("n_steps", [1, 4])
    def test_the_outer_gradient_is_the_way_back_from_where_training_on_all_rows_ends(self, n_steps):
        # θ − φ, φ after plain steps on support and query together; the loss is the path's mean.
        learner = on_a_line(Reptile, **PLAIN, adaptation_steps=n_steps, batch_size=None)
        path = [THETA]
        for _ in range(n_steps):
            path.append(path[-1] - ALPHA * ALL.gradient(path[-1]))
        np.testing.assert_allclose(meta_gradient(learner), THETA - path[-1], rtol=1e-10)
        expected = np.mean([ALL.loss(theta) for theta in path[:-1]])
        assert learner.episode_loss(episode(2)).item() == pytest.approx(expected, rel=1e-10)

    def test_plain_steps_down_the_outer_gradient_are_the_papers(self):
        # θ ← θ + ε (φ − θ).
        learner = on_a_line(Reptile, **PLAIN, adaptation_steps=1, batch_size=None)
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.3)
        learner.episode_loss(episode()).backward()
        optimizer.step()
        head = learner.network.head
        phi = THETA - ALPHA * ALL.gradient(THETA)
        found = [head.weight.item(), head.bias.item()]
        np.testing.assert_allclose(found, THETA + 0.3 * (phi - THETA), rtol=1e-10)

    def test_each_inner_step_takes_the_next_minibatch(self):
        learner = on_a_line(Reptile, **PLAIN, adaptation_steps=3, batch_size=2)
        rows = all_rows(episode())
        order = spread_order(rows[2])
        theta = THETA
        for step in range(3):
            X, y, weight = minibatch(rows, order, step, 2)
            assert weight.tolist() == [[1.0, 1.0]]
            batch = Quadratic(X.ravel().numpy(), y.ravel().numpy())
            theta = theta - ALPHA * batch.gradient(theta)
        np.testing.assert_allclose(meta_gradient(learner), THETA - theta, rtol=1e-10)

    def test_adapting_takes_the_whole_support_and_as_many_steps_as_asked(self):
        learner = on_a_line(Reptile, **PLAIN, adaptation_steps=2, test_adaptation_steps=6)
        np.testing.assert_allclose(final(learner.train()), descend(2)[-1], rtol=1e-12)
        np.testing.assert_allclose(final(learner.eval()), descend(6)[-1], rtol=1e-12)

    def test_adam_is_torchs_without_momentum(self):
        arguments = {"inner_optimizer": "adam", "inner_lr": 0.05, "adaptation_steps": 7}
        theta = torch.tensor(THETA, requires_grad=True)
        optimizer = torch.optim.Adam([theta], lr=0.05, betas=(0.0, 0.999))
        for _ in range(7):
            optimizer.zero_grad()
            loss = F.mse_loss(
                column(X_SUPPORT)[:, 0] * theta[0] + theta[1], torch.tensor(Y_SUPPORT)
            )
            loss.backward()
            optimizer.step()
        found = final(on_a_line(Reptile, **arguments))
        np.testing.assert_allclose(found, theta.detach().numpy(), rtol=1e-7)


class TestMinibatches:
    def drawn(self, weight, size, n_steps):
        """Return the numbers of the rows that each step takes, by task."""
        weight = torch.tensor(weight, dtype=torch.float64)
        number = torch.arange(weight.shape[1], dtype=torch.float64).expand(weight.shape)[..., None]
        rows, order = (number, number, weight), spread_order(weight)
        steps = [minibatch(rows, order, step, size) for step in range(n_steps)]
        return [
            [X[task, w[task] > 0, 0].int().tolist() for X, _, w in steps]
            for task in range(len(weight))
        ]

    def test_every_row_has_its_turn_and_padding_has_none(self):
        weight = [[1, 1, 1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 0, 0, 0, 0]]
        steps = self.drawn(weight, 4, 6)
        for task, own in zip(steps, weight, strict=True):
            real = [i for i, w in enumerate(own) if w]
            counts = np.bincount(np.concatenate(task), minlength=8)
            assert counts[np.array(own) == 0].sum() == 0
            assert counts[real].min() > 0
            assert np.ptp(counts[real]) <= 1
            assert {len(batch) for batch in task} == {min(4, len(real))}

    def test_a_padded_task_has_the_batches_that_it_has_alone(self):
        padded = self.drawn([[1, 0, 1, 1, 0, 1, 1, 0, 0]], 2, 5)[0]
        alone = self.drawn([[1, 1, 1, 1, 1]], 2, 5)[0]
        place = [0, 2, 3, 5, 6]
        assert padded == [[place[i] for i in batch] for batch in alone]

    def test_rows_that_come_class_by_class_are_mixed(self):
        pool = TaskSet.from_arrays(torch.randn(60, 2), torch.zeros(60, 1), np.arange(60) // 10)
        sampler = ClassEpisodes(pool, n_way=3, n_shot=4, n_query=4, meta_batch_size=2)
        rows = all_rows(sampler.sample())
        order = spread_order(rows[2])
        for step in range(6):
            _, y, weight = minibatch(rows, order, step, 6)
            assert ((y * weight[..., None]).sum(1) >= 1).all()  # a row or more of each class


@pytest.mark.parametrize("inner_optimizer", ["sgd", "adam"])
def test_meta_training_makes_sinusoids_quick_to_learn(inner_optimizer):
    # Against as many steps from an initialisation that was not meta-trained.
    tasks = SinusoidTasks(amplitude=(1.0, 2.0)).sample(220, 30, random_state=0).task_set()
    train, test = tasks.select(np.arange(200)), tasks.select(np.arange(200, 220))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rate = {"sgd": 0.1, "adam": 0.02}[inner_optimizer]
        learner = Reptile(
            MLP((40, 40)).build((1,)),
            1,
            inner_optimizer=inner_optimizer,
            inner_lr=rate,
            test_adaptation_steps=30,
        )
    batch = TaskEpisodes(test, n_shot=10, n_query=20, meta_batch_size=20, random_state=0).sample()
    before = float(learner.eval().validation_loss(batch))
    sampler = TaskEpisodes(train, n_shot=10, n_query=10, random_state=0)
    plan = TrainingPlan(max_epochs=2, steps_per_epoch=75, lr_schedule="cosine", outer_lr=3e-3)
    meta_train(learner, sampler, plan)
    assert float(learner.eval().validation_loss(batch)) < 0.6 * before


def test_running_statistics_are_refused():
    body = Conv4(norm="batch", n_channels=8, n_blocks=1).build((1, 4, 4))
    with pytest.raises(BackboneError, match="must not keep running statistics where Reptile"):
        Reptile(body, 1)


def test_tasks_of_one_row_a_side_train():
    weight = torch.ones(2, 1)
    rows = torch.randn(2, 1, 1)
    loss = Reptile(MLP((4,)).build((1,)), 1).episode_loss(
        Episode(rows, rows, weight, rows, rows, weight)
    )
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_optimizer": "lbfgs"}, "inner_optimizer must be one of .*got 'lbfgs'"),
        ({"batch_size": 0}, "batch_size must be at least 1 or None, got 0"),
        ({"adaptation_steps": 0}, "adaptation_steps must be a whole number of at least 1, got 0"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Reptile(MLP(()).build((1,)), 1, **arguments)
