import math

import pytest
import torch

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.simpleshot import SimpleShot
from metaskl.tasks import BlobTasks, ClassEpisodes, Episode
from metaskl.training import TrainingPlan, meta_train


def rows_themselves(**arguments):
    return SimpleShot(MLP(()).build((2,)), 2, **arguments)


def episode(X, y, ways=None):
    """Return an episode of one task whose query is its support."""
    weight = torch.ones(1, len(X))
    return Episode(X[None], y[None], weight, X[None], y[None], weight, ways)


def test_centroids_are_means_of_centred_and_normalised_rows():
    learner = rows_themselves(private_labels=True, n_pool_classes=4)
    learner.feature_total.copy_(torch.tensor([[10.0, 20.0]]))
    learner.feature_count.fill_(10.0)  # the mean is (1, 2)
    X = torch.tensor(
        [[4.0, 6.0], [1.0, 5.0], [-1.0, 2.0]]
    )  # less the mean: (3, 4), (0, 3), (-2, 0)
    adapted = learner.adapt(X, torch.eye(2)[[0, 0, 1]])
    torch.testing.assert_close(adapted["centroids"], torch.tensor([[0.3, 0.9], [-1.0, 0.0]]))
    # (1, 0) after centring and scaling: squared distances 0.49 + 0.81 and 4.
    logits = learner.predict(adapted, torch.tensor([[8.0, 2.0]]))
    torch.testing.assert_close(logits, -10 * torch.tensor([[1.3, 4.0]]))


def test_training_keeps_a_running_mean_and_use_does_not():
    learner = rows_themselves(private_labels=True, n_pool_classes=4)
    ways = torch.tensor([[1, 3]])
    first = episode(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.eye(2), ways)
    second = episode(torch.tensor([[0.0, 4.0], [0.0, 4.0]]), torch.eye(2), ways)
    learner.eval().episode_loss(first)
    assert learner.feature_count.item() == 0
    learner.train().episode_loss(first)
    learner.episode_loss(second)
    # Four rows of mean (2, 0), forgotten by 5 %, and four of mean (0, 4).
    mean = learner.feature_total[0] / learner.feature_count[0]
    torch.testing.assert_close(mean, torch.tensor([2 * 0.95, 4.0]) / 1.95)


def test_training_tells_the_classes_of_the_pool_apart():
    learner = rows_themselves(private_labels=True, n_pool_classes=4)
    with torch.no_grad():
        learner.network.head.weight.zero_()
        learner.network.head.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 2.0]))
    drawn = episode(torch.zeros(2, 2), torch.eye(2), torch.tensor([[1, 3]]))
    total = math.log(1 + math.e + 1 + math.e**2)
    assert learner.episode_loss(drawn).item() == pytest.approx(((total - 1) + (total - 2)) / 2)


def test_a_shared_class_that_the_support_lacks_keeps_the_centroid_of_the_pool():
    learner = rows_themselves().train()
    X = torch.tensor([[2.0, 0.0], [-2.0, 0.0]])
    learner.episode_loss(episode(X, torch.eye(2)))
    torch.testing.assert_close(
        learner.initial()["centroids"], torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    )
    adapted = learner.adapt(torch.tensor([[0.0, 3.0]]), torch.eye(2)[:1])
    torch.testing.assert_close(adapted["centroids"], torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))


def test_features_are_learned_that_tell_new_classes_apart():
    family = BlobTasks(n_features=3)
    train, test = (family.sample_classes(30, 12, random_state=seed) for seed in (0, 1))
    draw = {"n_way": 3, "n_shot": 3, "n_query": 5, "random_state": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = SimpleShot(MLP((32,)).build((3,)), 3, private_labels=True, n_pool_classes=30)
    plan = TrainingPlan(outer_lr=3e-3, max_epochs=3, steps_per_epoch=50)
    net = meta_train(learner, ClassEpisodes(train, **draw), plan)
    drawn = ClassEpisodes(test, **draw, meta_batch_size=40).sample()
    with torch.no_grad():
        adapted = net.module_.eval().adapt_tasks(drawn.X_support, drawn.y_support)
        logits = net.module_.predict_tasks(adapted, drawn.X_query)
    right = logits.argmax(-1) == drawn.y_query.argmax(-1)
    assert right.float().mean() > 0.85  # by chance 1/3


def test_the_scale_is_positive():
    with pytest.raises(ParameterError, match="scale must be above 0, got 0"):
        rows_themselves(scale=0)
