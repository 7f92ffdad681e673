"""Memory and work of a meta-step, counted."""

import gc
import weakref

import pytest
import torch
from test_engines import DENSE, batch_of, learner_of, loss_and_gradient
from torch.utils._python_dispatch import TorchDispatchMode

from metaskl.backbones import MLP
from metaskl.learners.engine.memory import need_of
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode


class Counted(TorchDispatchMode):
    """Counts operations, and the most bytes that their results held at once."""

    def __init__(self):
        super().__init__()
        self.n_calls = 0
        self.most = self.held = 0
        self.storages = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.n_calls += 1
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor)
        return result

    def _watch(self, tensor):
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.storages:
            return
        self.storages[key] = storage.nbytes()
        self.held += storage.nbytes()
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._release, key)

    def _release(self, key):
        self.held -= self.storages.pop(key)


def sinusoid_batch(n_tasks, n_rows=10):
    draw = torch.Generator().manual_seed(0)
    X, y = (torch.randn(n_tasks, 2 * n_rows, 1, generator=draw) for _ in "Xy")
    ones = torch.ones(n_tasks, n_rows)
    return Episode(X[:, :n_rows], y[:, :n_rows], ones, X[:, n_rows:], y[:, n_rows:], ones)


def work_of(n_steps, engine="auto", **arguments):
    learner = MAML(
        MLP((40, 40)).build((1,)), 1, adaptation_steps=n_steps, engine=engine, **arguments
    )
    batch = sinusoid_batch(25)
    with Counted() as counted:
        learner.episode_loss(batch).backward()
    return counted


def test_the_work_of_a_meta_step_does_not_creep_up():
    assert work_of(1).n_calls <= 215
    by_step = (work_of(6).n_calls - work_of(1).n_calls) / 5
    assert by_step <= 100
    first_order = (work_of(6, first_order=True).n_calls - work_of(1, first_order=True).n_calls) / 5
    assert first_order <= 0.55 * by_step
    assert work_of(6).n_calls < work_of(6, engine="vmap").n_calls / 1.5


def test_the_bytes_of_a_meta_step_do_not_creep_up():
    assert work_of(1).most <= 1.55e6
    assert (work_of(6).most - work_of(1).most) / 5 <= 0.72e6
    assert work_of(20, adapt_part="head").most <= 0.65e6


def test_the_head_alone_is_cheaper_than_all_weights():
    assert work_of(6, adapt_part="head").n_calls < 0.6 * work_of(6).n_calls


@pytest.mark.parametrize("name", ["MAML", "Meta-SGD", "ANIL", "ANIL, first order", "multi-step"])
def test_parts_add_up_to_the_whole(name):
    spec, in_shape = DENSE["skip"]
    batch = batch_of(in_shape, "regression")
    whole, parts = (learner_of(name, spec, in_shape, "regression", "auto") for _ in "ab")
    parts.memory_budget = 2 * need_of(parts._plan(batch[:3], batch[3:6])).bytes_a_task
    torch.testing.assert_close(loss_and_gradient(parts, batch), loss_and_gradient(whole, batch))


def test_the_prediction_is_said():
    plan = MAML(MLP((40, 40)).build((1,)), 1)._plan(*halves(sinusoid_batch(1024)))
    need = need_of(plan)
    budget = 100 * need.bytes_a_task
    assert need.said(budget).endswith(" GiB, in parts of 100 tasks")
    assert need.said(2**40).endswith(" GiB, at once")
    assert need.n_in_a_part(1) == 1


def halves(batch):
    return batch[:3], batch[3:6]


@pytest.mark.parametrize("n_steps", [1, 5, 20])
def test_the_predicted_memory_is_that_of_the_tensors(n_steps):
    learner = MAML(MLP((40, 40)).build((1,)), 1, adaptation_steps=n_steps)
    batch = sinusoid_batch(64)
    need = need_of(learner._plan(*halves(batch)))
    with Counted() as counted:
        learner.episode_loss(batch)
    predicted = need.bytes_a_task * need.n_tasks
    assert 0.75 * predicted < counted.most < 1.1 * predicted


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
