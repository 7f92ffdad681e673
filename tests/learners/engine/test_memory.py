"""Memory and work of a meta-step, counted."""

import gc
import math
import re

import pytest
import torch
from counting import Counted
from test_engines import DENSE, OTHER, batch_of, learner_of, loss_and_gradient
from torch import nn

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.cavia import CAVIA
from metaskl.learners.engine.memory import Need, need_of, prediction
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode


def sinusoid_batch(n_tasks, n_rows=10):
    draw = torch.Generator().manual_seed(0)
    X, y = (torch.randn(n_tasks, 2 * n_rows, 1, generator=draw) for _ in "Xy")
    ones = torch.ones(n_tasks, n_rows)
    return Episode(X[:, :n_rows], y[:, :n_rows], ones, X[:, n_rows:], y[:, n_rows:], ones)


def work_of(n_steps, engine="auto", n_tasks=25, **arguments):
    learner = MAML(
        MLP((40, 40)).build((1,)), 1, adaptation_steps=n_steps, engine=engine, **arguments
    )
    batch = sinusoid_batch(n_tasks)
    with Counted() as counted:
        learner.episode_loss(batch).backward()
    return counted


def test_the_work_of_a_meta_step_does_not_creep_up():
    assert work_of(1).n_calls <= 215
    by_step = (work_of(6).n_calls - work_of(1).n_calls) / 5
    assert by_step <= 92
    first_order = (work_of(6, first_order=True).n_calls - work_of(1, first_order=True).n_calls) / 5
    assert first_order <= 0.55 * by_step
    assert work_of(6).n_calls < work_of(6, engine="vmap").n_calls / 1.5


def test_the_bytes_of_a_meta_step_do_not_creep_up():
    assert work_of(1).most <= 1.15e6
    assert (work_of(6).most - work_of(1).most) / 5 <= 0.58e6
    assert work_of(6).most <= 4.0e6
    assert work_of(20, adapt_part="head").most <= 0.65e6


def test_the_head_alone_is_cheaper_than_all_weights():
    assert work_of(6, adapt_part="head").n_calls < 0.6 * work_of(6).n_calls


@pytest.mark.parametrize("name", ["MAML", "Meta-SGD", "ANIL", "ANIL, first order", "multi-step"])
def test_parts_add_up_to_the_whole(name):
    spec, in_shape = DENSE["skip"]
    batch = batch_of(in_shape, "regression")
    whole, parts = (learner_of(name, spec, in_shape, "regression", "auto") for _ in "ab")
    parts.memory_budget = 2 * need(parts, batch).bytes_a_task(3)
    torch.testing.assert_close(loss_and_gradient(parts, batch), loss_and_gradient(whole, batch))


BY_GRAPH = {
    "layer norm": ("MAML", "layer norm in an MLP"),
    "multi-step": ("multi-step", "layer norm"),
    "first order": ("ANIL, first order", "group norm"),
    "batch statistics": ("Meta-SGD", "batch statistics"),
    "convolutions": ("BOIL", "convolutions"),
    "CAVIA": ("CAVIA", "skip"),
}


@pytest.mark.parametrize("case", BY_GRAPH)
def test_parts_of_a_graph_add_up_to_the_whole(case):
    name, backbone = BY_GRAPH[case]
    spec, in_shape = {**DENSE, **OTHER}[backbone]
    batch = batch_of(in_shape, "regression", padded=case != "batch statistics")
    engine = "vmap" if case == "first order" else "auto"
    whole, parts = (learner_of(name, spec, in_shape, "regression", engine) for _ in "ab")
    expected = loss_and_gradient(whole, batch)
    (a_task,) = whole._graph_bytes.values()
    parts.memory_budget = 2 * a_task
    torch.testing.assert_close(loss_and_gradient(parts, batch), expected)
    assert whole.memory_note.endswith("all at once")
    assert parts.memory_note.endswith("chunks of 2 tasks")


@pytest.mark.parametrize(
    ("cls", "norm", "arguments"),
    [
        (MAML, "layer", {}),
        (MAML, "layer", {"first_order": True}),
        (MAML, "none", {"engine": "vmap"}),
        (MAML, "none", {"engine": "loop"}),
        (CAVIA, "none", {}),
    ],
)
def test_the_measured_memory_of_a_graph_is_that_of_the_tensors(cls, norm, arguments):
    learner = cls(MLP((40, 40), norm=norm).build((1,)), 1, **arguments)
    batch = sinusoid_batch(16)
    learner.episode_loss(batch)
    with Counted() as counted:
        learner.episode_loss(batch).backward()
    (a_task,) = learner._graph_bytes.values()
    assert 0.5 * counted.most < 16 * a_task < 1.6 * counted.most
    learner.memory_budget = 4 * a_task
    with Counted() as parts:
        learner.episode_loss(batch).backward()
    assert parts.most < 0.45 * counted.most


def test_running_statistics_are_of_all_tasks_together():
    body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3))
    body.n_features_out = 3
    learner = CAVIA(body, 2).double()
    learner.memory_budget = 1
    learner.episode_loss(batch_of((3,), "regression", padded=False)).backward()
    assert body[1].num_batches_tracked == 6  # five steps and the query, each of all tasks at once


def test_the_prediction_is_said_and_logged_once(caplog):
    learner = MAML(MLP((40, 40)).build((1,)), 1, memory_budget=2**20)
    with caplog.at_level("INFO", logger="metaskl"):
        for _ in range(3):
            learner.episode_loss(sinusoid_batch(64))
    # By test_the_predicted_memory_is_that_of_the_tensors.
    a_task = need(learner, sinusoid_batch(64)).bytes_a_task(5)
    said = f"64 tasks takes about {64 * a_task / 2**20:.1f} MiB: chunks of {2**20 // a_task} tasks"
    assert learner.memory_note == f"a meta-gradient of {said}"
    assert [record.getMessage() for record in caplog.records] == [learner.memory_note]
    assert prediction(13 * 2**20, 256, 64).endswith(
        "256 tasks takes about 3.2 GiB: chunks of 64 tasks"
    )
    assert prediction(2**20, 4, 1).endswith("4 tasks takes about 4.0 MiB: one task at a time")


def test_a_whole_float_is_a_number_of_bytes():
    learner = MAML(MLP((40, 40)).build((1,)), 1, memory_budget=1e6)
    learner.episode_loss(sinusoid_batch(64)).backward()
    assert learner.memory_budget == 10**6
    assert re.search(r"chunks of \d+ tasks$", learner.memory_note)


@pytest.mark.parametrize("budget", [0, 0.5, -1e9, 1.5, "1GiB", None, True, math.nan, math.inf])
def test_a_budget_that_is_no_number_of_bytes_is_refused(budget):
    said = f"memory_budget must be a whole number of bytes above 0, got {budget!r}. 2**30"
    with pytest.raises(ParameterError, match=re.escape(said)):
        MAML(MLP((4,)).build((1,)), 1, memory_budget=budget)


def need(learner, batch, *, second_order=True):
    plan = learner._plan(batch[:3], batch[3:6])
    return need_of(plan, learner._step_weights(), second_order=second_order)


@pytest.mark.parametrize("name", ["MAML", "Meta-SGD", "ANIL", "BOIL", "multi-step", "first order"])
@pytest.mark.parametrize("n_kept", [1, 2])
def test_halving_gives_the_same_gradient(name, n_kept):
    spec, in_shape = DENSE["residual and skip"]
    batch = batch_of(in_shape, "classification")
    learner = learner_of(name, spec, in_shape, "classification", "auto")
    plan, weights = learner._plan(batch[:3], batch[3:6]), learner._step_weights()
    second_order = learner._second_order()
    with torch.no_grad():
        expected = plan.gradients(weights, second_order=second_order)
        found = plan.gradients(weights, second_order=second_order, n_kept=n_kept)
    torch.testing.assert_close(found, expected)


def test_what_is_taken_at_once():
    # once 10, a step 6, a point 2; eight steps: 10 + 8 * 6 = 58 bytes a task
    small = Need(10, 6, 2, n_steps=8, n_tasks=4)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert small.bytes_a_task(8) == 58
    assert small.bytes_a_task(2) == 10 + 2 * 6 + 2 * 2  # 8 steps are halved twice
    assert small.fitted(10**9, gpu) == small.fitted(10**9, cpu) == (4, 8)
    assert small.fitted(120, gpu) == small.fitted(120, cpu) == (2, 8)
    assert small.fitted(40, gpu) == (1, 4)  # 10 + 4 * 6 + 2 = 36
    assert small.fitted(1, gpu) == (1, 1)
    large = Need(10 * 2**14, 6 * 2**14, 2 * 2**14, n_steps=8, n_tasks=40)
    assert large.fitted(2**40, gpu) == (40, 8)
    # 8 MiB hold 8 of 58 * 2^14 bytes: five parts.
    assert large.fitted(2**40, cpu) == (8, 8)
    # Three tasks of 8 MiB are below 32 MiB, of 16 MiB two are.
    assert Need(2**23, 0, 0, n_steps=1, n_tasks=6).fitted(2**40, cpu) == (3, 1)
    assert Need(2**24, 0, 0, n_steps=1, n_tasks=6).fitted(2**40, cpu) == (2, 1)


def test_many_steps_take_hardly_more_than_one_where_memory_is_short():
    learner = MAML(MLP((40, 40)).build((1,)), 1, adaptation_steps=20, inner_lr_mode="fixed")
    batch = sinusoid_batch(1)
    one = work_of(1, n_tasks=1, inner_lr_mode="fixed").most
    learner.memory_budget = need(learner, batch).bytes_a_task(1)
    with Counted() as counted:
        learner.episode_loss(batch).backward()
    assert counted.most < 1.9 * one
    assert work_of(20, n_tasks=1, inner_lr_mode="fixed").most > 4 * one


@pytest.mark.parametrize("n_steps", [1, 5, 20])
@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [
        (MLP((40, 40)), {}),
        (MLP((40, 40)), {"inner_lr_mode": "fixed"}),
        (MLP((30, 30), activation="silu", residual=True, skip=True), {}),
        (MLP((200,)), {"adapt_part": "head"}),
        (MLP((40, 40)), {"first_order": True}),
        (MLP((40, 40)), {"first_order": True, "multi_step_loss": True}),
    ],
    ids=["per step", "fixed", "residual", "head", "first order", "first order, multi-step"],
)
def test_the_predicted_memory_is_that_of_the_tensors(backbone, arguments, n_steps):
    learner = MAML(backbone.build((1,)), 1, adaptation_steps=n_steps, **arguments)
    batch, second_order = sinusoid_batch(64), not learner.annealing.first_order
    plan = learner._plan(batch[:3], batch[3:6])
    with torch.no_grad(), Counted() as counted:
        plan.gradients(learner._step_weights(), second_order=second_order)
    predicted = 64 * need(learner, batch, second_order=second_order).bytes_a_task(n_steps)
    assert 0.6 * predicted < counted.most < 1.1 * predicted


def test_hundreds_of_adaptations_leave_nothing_behind():
    learner = MAML(MLP((8,)).build((1,)), 1, adaptation_steps=3)
    batch = sinusoid_batch(2)

    def held():
        gc.collect()
        tensors = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
        return sum(t.untyped_storage().nbytes() for t in tensors)

    def run(times):
        for _ in range(times):
            learner.zero_grad()
            learner.episode_loss(batch).backward()
            with torch.no_grad():
                learner.adapt_tasks(*batch[:3])

    run(3)
    before = held()
    run(200)
    assert held() == before
