"""Padding of tasks of unequal size is no data for batch normalisation."""

import pytest
import torch
from torch import nn

from metaskl.backbones import FromModule
from metaskl.learners.protonet import ProtoNet
from metaskl.learners.ridge_head import RidgeHead
from metaskl.learners.transfer import Transfer
from metaskl.tasks import TaskEpisodes, TaskSet
from metaskl.training import TrainingPlan, meta_train

# Tasks of 6 and 12 rows: one gives 4 rows of support and 2 of query, the other 6 and 6.
GENERATOR = torch.Generator().manual_seed(0)
X = 5 + torch.randn(18, 2, generator=GENERATOR)
CLASSES = torch.eye(2)[torch.arange(18) % 2]
TASKS = TaskSet.from_arrays(X, CLASSES, [0] * 6 + [1] * 12)
DRAW = {"n_shot": 6, "n_query": 6, "meta_batch_size": 2, "random_state": 0}
STEP = TrainingPlan(
    outer_lr=1e-12, optimizer="sgd", max_epochs=1, steps_per_epoch=1, lr_schedule="constant"
)


def after_one_step(learner_class, norm, **parameters):
    backbone = FromModule(norm).build((2,))
    learner = learner_class(backbone, 2, kind="classification", **parameters)
    return meta_train(learner, TaskEpisodes(TASKS, **DRAW), STEP)


def real_rows():
    episode = TaskEpisodes(TASKS, **DRAW).sample()
    support = episode.X_support[episode.weight_support > 0]
    query = episode.X_query[episode.weight_query > 0]
    assert (len(support), len(query)) == (10, 8)
    return support, query


def running_mean(net):
    (mean,) = [v for n, v in net.module_.named_buffers() if n.endswith("running_mean")]
    return mean


@pytest.mark.parametrize("learner_class", [ProtoNet, RidgeHead])
def test_running_statistics_are_those_of_rows(learner_class):
    net = after_one_step(learner_class, nn.BatchNorm1d(2))
    support, query = real_rows()
    # Momentum 0.1 from 0: the support's mean first, then the query's.
    expected = 0.9 * (0.1 * support.mean(0)) + 0.1 * query.mean(0)
    torch.testing.assert_close(running_mean(net), expected)


def test_those_of_transfer_too():
    net = after_one_step(Transfer, nn.BatchNorm1d(2), strategy="head")
    torch.testing.assert_close(running_mean(net), 0.1 * torch.cat(real_rows()).mean(0))


def test_statistics_of_the_call_are_those_of_each_tasks_rows():
    norm = nn.BatchNorm1d(2, track_running_stats=False)
    net = after_one_step(ProtoNet, norm)
    learner, episode = net.module_.train(), TaskEpisodes(TASKS, **DRAW).sample()
    losses = []
    for t in range(2):
        s, q = episode.weight_support[t] > 0, episode.weight_query[t] > 0
        adapted = learner.adapt(episode.X_support[t][s], episode.y_support[t][s])
        output = learner.predict(adapted, episode.X_query[t][q])
        losses.append(learner.row_loss(output, episode.y_query[t][q]).mean())
    expected = torch.stack(losses).mean().item()
    assert net.history[0, "train_loss"] == pytest.approx(expected, rel=1e-4)
