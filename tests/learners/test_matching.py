import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.matching import Matching
from metaskl.tasks import Episode, GaussianProcessTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train

# Two numbers on a line: 1 at 0 and 3 at 1.
X, Y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]])
AT_0 = torch.tensor([[0.0]])


def numbers(**arguments):
    return Matching(MLP(()).build((1,)), 1, **{"distance": "euclidean", **arguments})


def classes(n_outputs=2, **arguments):
    learner = Matching(MLP(()).build((2,)), n_outputs, kind="classification", **arguments)
    with torch.no_grad():
        learner.log_scale.zero_()  # the paper's plain cosine
    return learner


def smoothed(p, n_classes=2):
    return (1 - 1e-4) * p + 1e-4 / n_classes


def test_a_class_is_as_probable_as_its_share_of_the_cosines():
    learner = classes(private_labels=True)
    adapted = learner.adapt(
        torch.tensor([[3.0, 0.0], [0.0, 7.0], [0.0, 1.0]]), torch.eye(2)[[0, 1, 1]]
    )
    logits = learner.predict(adapted, torch.tensor([[2.0, 0.0]]))
    # Cosines 1, 0 and 0, whatever the lengths.
    p = math.e / (math.e + 2)
    torch.testing.assert_close(logits.exp(), torch.tensor([[smoothed(p), smoothed(1 - p)]]))


def test_a_shared_class_counts_as_more_rows_and_has_common_logits():
    learner = classes()
    with torch.no_grad():
        learner.log_prior_count.copy_(torch.tensor([2.0, 0.5]).log())
        learner.common.bias.copy_(torch.tensor([0.3, -0.3]))
    adapted = learner.adapt(torch.tensor([[3.0, 0.0]]), torch.eye(2)[:1])
    logits = learner.predict(adapted, torch.tensor([[2.0, 0.0]]))
    p = torch.tensor([2 + math.e, 0.5]) / (2.5 + math.e)
    expected = smoothed(p).log() + torch.tensor([0.3, -0.3])
    torch.testing.assert_close(logits, expected[None])
    before = learner.predict(learner.initial(), torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(
        before, (smoothed(torch.tensor([0.8, 0.2])).log() + torch.tensor([0.3, -0.3]))[None]
    )


def test_numbers_are_averaged_by_their_distance():
    learner = numbers()
    near = math.exp(-1)  # the weight of the row at 1, seen from 0
    mean = learner.predict(learner.adapt(X, Y), AT_0)
    # One more row stands for what is common, which is 0 here.
    assert mean.item() == pytest.approx((1 + 3 * near) / (1 + 1 + near))


def test_the_support_corrects_the_common_mean():
    learner = numbers()
    with torch.no_grad():
        learner.common.weight.fill_(2.0)
        learner.common.bias.fill_(1.0)
        learner.log_prior_count.fill_(math.log(3.0))
    # y = 1 + 2x holds at 0 and at 1: nothing to correct.
    assert learner.predict(learner.adapt(X, Y), torch.tensor([[5.0]])).item() == pytest.approx(11.0)
    # Two more everywhere: the correction at 0 is 2 (1 + 1/e) / (3 + 1 + 1/e).
    mean = learner.predict(learner.adapt(X, Y + 2), AT_0).item()
    near = math.exp(-1)
    assert mean == pytest.approx(1 + 2 * (1 + near) / (4 + near))
    assert learner.predict(learner.initial(), AT_0).item() == pytest.approx(1.0)


def test_the_standard_deviation_is_that_of_the_mixture():
    learner = numbers()
    with torch.no_grad():
        learner.log_noise.fill_(math.log(0.1))
        learner.log_spread.fill_(math.log(0.7))
    share = np.array([1, 1, math.exp(-1)]) / (2 + math.exp(-1))
    mean = share @ [0, 1, 3]
    variance = share @ [0, 1, 9] - mean**2 + share[0] * 0.7**2 + 0.1**2
    std = learner.predict_std(learner.adapt(X, Y), AT_0)
    assert std.item() == pytest.approx(math.sqrt(variance))
    before = learner.predict_std(learner.initial(), AT_0)
    assert before.item() == pytest.approx(math.sqrt(0.7**2 + 0.1**2))
    parts = [X, Y, torch.ones(2), AT_0, torch.tensor([[2.0]]), torch.ones(1)]
    loss = learner.episode_loss(Episode(*(part[None] for part in parts)))
    assert loss.item() == pytest.approx(-norm.logpdf(2.0, mean, math.sqrt(variance)), rel=1e-5)


def test_private_classes_know_nothing_before_a_support():
    assert classes(private_labels=True).initial() is None


def test_curves_are_learned():
    family = GaussianProcessTasks(length_scale=1.0)
    train, test = (family.sample(60, 30, random_state=seed) for seed in (0, 1))
    draw = {"n_shot": 10, "meta_batch_size": 16, "random_state": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = Matching(MLP((32, 32)).build((1,)), 1)
    plan = TrainingPlan(outer_lr=3e-3, max_epochs=3, steps_per_epoch=50)
    tasks = [sample.task_set() for sample in (train, test)]
    net = meta_train(learner, TaskEpisodes(tasks[0], **draw), plan)
    episode = TaskEpisodes(tasks[1], **{**draw, "meta_batch_size": 60}).sample()
    with torch.no_grad():
        error = float(net.module_.eval().validation_loss(episode))
    # The prior variance, which no constant can beat, is 1.
    assert error < 0.25


def test_an_unknown_distance_is_refused():
    with pytest.raises(ParameterError, match=r"distance must be one of .*got 'manhattan'"):
        numbers(distance="manhattan")
