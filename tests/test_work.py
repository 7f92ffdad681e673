"""How much is called for fixed workloads: what is counted here does not depend on the machine.

The meta-gradient of a dense network is counted in learners/engine/test_memory.py, the graph that
is compiled in learners/engine/test_traced.py.
"""

import numpy as np
import pytest
import torch
from counting import Called, Counted

from metaskl import MAMLRegressor
from metaskl.backbones import MLP, Conv4
from metaskl.learners.imaml import IMAML
from metaskl.learners.maml import MAML
from metaskl.learners.mann import MANN
from metaskl.learners.protonet import ProtoNet
from metaskl.learners.reptile import Reptile
from metaskl.learners.ridge_head import RidgeHead
from metaskl.tasks import ClassEpisodes, Episode, SinusoidTasks, TaskEpisodes, TaskSet


def batch_of(n_tasks, n_rows, in_shape, n_classes):
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(n_tasks, 2 * n_rows, *in_shape, generator=draw)
    y = X.flatten(2).sum(2, keepdim=True)
    if n_classes:
        y = torch.eye(n_classes)[torch.arange(2 * n_rows) % n_classes].expand(n_tasks, -1, -1)
    ones = torch.ones(n_tasks, n_rows)
    return Episode(X[:, :n_rows], y[:, :n_rows], ones, X[:, n_rows:], y[:, n_rows:], ones)


def n_calls(learner, n_tasks, n_rows=6, in_shape=(2,)):
    """Return how many operations a meta-gradient takes."""
    n_classes = learner.n_outputs if learner.kind == "classification" else 0
    batch = batch_of(n_tasks, n_rows, in_shape, n_classes)
    learner.episode_loss(batch).backward()  # the first of a shape is measured, too
    with Counted() as counted:
        learner.episode_loss(batch).backward()
    return counted.n_calls


def network():
    return MLP((8,)).build((2,))


def memory_network():
    sizes = {"n_slots": 16, "slot_size": 8, "n_reads": 2, "controller_size": 16}
    return MANN(network(), 3, kind="classification", **sizes)


WORK = {
    "MANN": (memory_network, 1870),
    "ProtoNet": (lambda: ProtoNet(network(), 3, private_labels=True), 140),
    "ProtoNet, Mahalanobis": (
        lambda: ProtoNet(network(), 3, distance="mahalanobis", private_labels=True),
        410,
    ),
    "ridge head": (lambda: RidgeHead(network(), 1), 360),
    "ridge head, classes": (lambda: RidgeHead(network(), 3, kind="classification"), 280),
    "Reptile": (lambda: Reptile(network(), 1, adaptation_steps=5), 520),
    "implicit MAML": (lambda: IMAML(network(), 1, adaptation_steps=3), 910),
    "ANIL": (lambda: pictures(5, adapt_part="head"), 440),
}


def pictures(n_steps, **arguments):
    body = Conv4(8, n_blocks=2).build((1, 4, 4))
    return MAML(body, 3, kind="classification", adaptation_steps=n_steps, **arguments)


@pytest.mark.parametrize("name", WORK)
def test_the_work_of_a_meta_gradient_is_that_of_its_stack(name):
    make, most = WORK[name]
    learner = make()
    in_shape = (1, 4, 4) if name == "ANIL" else (2,)
    found = n_calls(learner, 3, in_shape=in_shape)
    assert found <= most
    assert n_calls(learner, 9, in_shape=in_shape) == found  # no loop over tasks


def test_the_work_of_steps_and_rows_does_not_creep_up():
    by_row = (n_calls(memory_network(), 3, 10) - n_calls(memory_network(), 3, 5)) / 5
    assert by_row <= 226
    reptile = [n_calls(Reptile(network(), 1, adaptation_steps=n), 3) for n in (5, 10)]
    assert (reptile[1] - reptile[0]) / 5 <= 95


def test_the_work_of_pictures_does_not_creep_up():
    # Convolutions with weights of their own run task by task on a CPU.
    once = [n_calls(pictures(1), n_tasks, in_shape=(1, 4, 4)) for n_tasks in (2, 4)]
    assert once[0] <= 1360
    assert (once[1] - once[0]) / 2 <= 500
    assert n_calls(pictures(2), 2, in_shape=(1, 4, 4)) - once[0] <= 1200


def ragged_tasks(n_tasks):
    draw = np.random.default_rng(0)
    ids = np.repeat(np.arange(n_tasks), draw.integers(2, 30, n_tasks))
    return TaskSet.from_arrays(draw.normal(size=(len(ids), 1)), ids.astype(float), ids)


SAMPLERS = {
    "even": lambda **draw: TaskEpisodes(
        SinusoidTasks().sample(200, 20, random_state=0).task_set(), **draw
    ),
    "ragged": lambda **draw: TaskEpisodes(ragged_tasks(200), n_shot=(2, 8), **draw),
    "classes": lambda **draw: ClassEpisodes(ragged_tasks(200), shuffle=True, **draw),
}


@pytest.mark.parametrize(
    ("kind", "most_torch", "most"), [("even", 5, 45), ("ragged", 19, 145), ("classes", 45, 200)]
)
def test_drawing_does_not_go_task_by_task(kind, most_torch, most):
    found = []
    for n_tasks in (16, 64):
        sampler = SAMPLERS[kind](meta_batch_size=n_tasks, random_state=0)
        [*sampler.stream(4)]
        with Called() as called:
            [*sampler.stream(4)]
        with Counted() as counted:
            [*sampler.stream(4)]
        found.append((counted.n_calls / 4, called.n_calls / 4))
    for few, many, bound in zip(*found, (most_torch, most), strict=True):
        assert many <= 1.1 * few  # whether anything is padded is chance
        assert many <= bound


def test_adapting_many_small_tasks_goes_stack_by_stack(monkeypatch):
    tasks = SinusoidTasks().sample(30, 20, random_state=0)
    meta = MAMLRegressor(
        backbone=MLP((4,)), adaptation_steps=2, max_epochs=1, steps_per_epoch=1, random_state=0
    ).fit(tasks.X, tasks.y, groups=tasks.groups)
    stacks = []

    def adapt_tasks(learner, X, *rest):
        with Counted() as counted:
            adapted = plain(learner, X, *rest)
        stacks.append((len(X), counted.n_calls))
        return adapted

    plain = MAML.adapt_tasks
    monkeypatch.setattr(MAML, "adapt_tasks", adapt_tasks)
    groups = np.repeat(np.arange(1000), np.random.default_rng(0).integers(1, 9, 1000))
    X = np.linspace(-1, 1, len(groups))[:, None]
    with Counted() as counted:
        copies = meta.adapt_groups(X, X[:, 0], groups)
    assert len(copies) == sum(size for size, _ in stacks) == 1000
    assert len(stacks) <= 17
    assert max(n_calls for _, n_calls in stacks) <= 100
    # Each task's own four weights are cut out and copied: nothing else is done for each.
    apart = counted.n_calls - sum(n_calls for _, n_calls in stacks)
    assert apart - 2 * 4 * 1000 <= 14 * len(stacks)
