"""Recording for a GPU: what a recording asks of the code, and where there is one, its numbers."""

import gc
import weakref
from unittest.mock import MagicMock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metaskl import MAMLRegressor
from metaskl.backbones import MLP
from metaskl.learners.engine.compiled import Compiler
from metaskl.learners.engine.functions import gradient_function
from metaskl.learners.engine.recorded import recorded
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode, SinusoidTasks

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")

FORMS = [
    {},
    {"inner_lr_mode": "fixed"},
    {"inner_lr_mode": "per_parameter", "first_order": True},
    {"adapt_part": "head"},
    {"adapt_part": "body"},
    {"multi_step_loss": True},
    {"inner_clip": None, "kind": "classification"},
]


class OnOneDevice(TorchDispatchMode):
    """Refuses a tensor of another device: while a GPU records, nothing may be copied to it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        assert {t.device.type for t in tensors} == {"meta"}, function
        return result


def learner_and_batch(kind="regression", engine="auto", **form):
    n_outputs = 3 if kind == "classification" else 1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = MLP((6, 5), "tanh").build((2,))
        form = {"adaptation_steps": 3, **form}
        learner = MAML(body, n_outputs, kind=kind, engine=engine, **form).double().train()
        X = torch.randn(4, 7, 2, dtype=torch.float64)
        y = torch.eye(3).double()[X.argmax(2)] if n_outputs == 3 else X.sum(2, keepdim=True).sin()
        weight = torch.ones(4, 7, dtype=torch.float64)
    return learner, Episode(X, y, weight, X + 0.1, y, weight)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_nothing_is_read_from_the_host_or_by_it(form):
    learner, batch = learner_and_batch(**form)
    plan = learner._plan(batch[:3], batch[3:6])
    for name, value in vars(plan.rates).items():  # as they are where the learner is on the device
        if isinstance(value, torch.Tensor):
            setattr(plan.rates, name, value.to("meta"))
    weights = learner._step_weights()
    given = [*plan.start, *plan.rates.learned, *plan.problem.support_rows, *plan.problem.query_rows]
    given += [torch.tensor(weights)] if any(weights[:-1]) else []
    given = [tensor.detach().to("meta") for tensor in given]
    function = gradient_function(plan, [w != 0 for w in weights], second_order=True, n_kept=None)
    with torch.no_grad(), OnOneDevice():
        loss, *gradients = function(given)
    assert loss.shape == ()
    shapes = [tensor.shape for tensor in (*plan.start, *plan.rates.learned)]
    assert all(g is None or g.shape == s for g, s in zip(gradients, shapes, strict=False))


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it can be recorded")
def test_where_nothing_can_be_recorded_training_goes_on_and_it_is_said():
    compiler = Compiler()
    found = compiler._tried(recorded, lambda given: given, [torch.zeros(2)], "not recorded")
    assert found is None
    assert compiler.note.startswith("not recorded: ")


def test_a_recording_keeps_what_its_function_reads(monkeypatch):
    # Stand-ins for the device, whose graphs launch nothing.
    for name in ("Stream", "CUDAGraph", "device", "current_stream", "stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    own = torch.arange(3.0)
    there = weakref.ref(own)
    kept = recorded(lambda given, own=own: [given[0] * own], [torch.ones(3)])
    del own
    gc.collect()
    assert there() is not None  # the graph would read it again
    assert kept([torch.ones(3)])[0].tolist() == [0, 1, 2]


@on_gpu
@pytest.mark.parametrize("engine", ["auto", "compiled"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_recording_gives_the_meta_gradient_batch_after_batch(form, engine):
    learner, batch = learner_and_batch(engine=engine, **form)
    reference, _ = learner_and_batch(engine="loop", **form)
    learner.to("cuda").begin_training(10_000)
    for k in range(3):
        batch = batch._replace(X_support=batch.X_support + k)
        found, expected = [
            torch.autograd.grad(one.episode_loss(part), list(one.parameters()), allow_unused=True)
            for one, part in (
                (learner, Episode(*(None if t is None else t.to("cuda") for t in batch))),
                (reference, batch),
            )
        ]
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a.cpu(), b, rtol=1e-6, atol=1e-9)
    assert learner.compiler.note == ""


@on_gpu
def test_training_on_a_gpu_records():
    tasks = SinusoidTasks().sample(30, 20, random_state=0)
    model = MAMLRegressor(device="cuda", max_epochs=2, steps_per_epoch=100, random_state=0)
    model.fit(tasks.X, tasks.y, groups=tasks.groups)
    compiler = model.net_.module_.compiler
    assert compiler.note == ""
    assert compiler._functions
