"""The compiled engine, and what happens where it cannot be used."""

import copy
import math
import pickle
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import torch._inductor.config

from metaskl import MAMLRegressor
from metaskl.backbones import MLP
from metaskl.learners.engine.compiled import Compiler
from metaskl.learners.engine.compiling import Shapes
from metaskl.learners.maml import MAML
from metaskl.tasks import SinusoidTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train


def learner(engine, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arguments = {"adaptation_steps": 1, **arguments}
        return MAML(MLP((5,), "tanh").build((1,)), 1, engine=engine, **arguments).double()


def draws(**draw):
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set()
    sampler = TaskEpisodes(tasks, meta_batch_size=3, random_state=0, **draw)
    while True:
        yield type(e := sampler.sample())(*(part.double() for part in e[:6]))


def gradients(learner, batch):
    learner.zero_grad()
    loss = learner.episode_loss(batch)
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in learner.parameters())]


@pytest.mark.slow
def test_it_gives_the_meta_gradient_batch_after_batch():
    # The annealed weights of the steps' losses change from epoch to epoch, not the function.
    how = {"adaptation_steps": 2, "multi_step_loss": True, "multi_step_epochs": 10}
    how |= {"inner_lr_mode": "fixed", "inner_clip": None}  # half of the time to compile
    compiled, reference = learner("compiled", **how), learner("loop", **how)
    batches = draws(n_shot=4, n_query=5)
    for epoch in range(4):
        compiled.begin_epoch(epoch)
        reference.begin_epoch(epoch)
        batch = next(batches)
        found, expected = gradients(compiled, batch), gradients(reference, batch)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert compiled.compiler.note == ""
    assert len(compiled.compiler._functions) == 1
    for copied in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert copied.compiler.note == ""


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="there is no C++ compiler here"
)
def test_a_later_run_takes_it_from_the_disk():
    # First order and the head alone: next to nothing to compile.
    how = {"adapt_part": "head", "first_order": True, "inner_lr_mode": "fixed"}
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from torch._dynamo.utils import counters
        from test_compiled import draws, gradients, learner
        one = learner("compiled", **{how})
        gradients(one, next(draws()))
        assert one.compiler.note == "", one.compiler.note
        print({{k: v for k, v in counters["inductor"].items() if k.startswith("fxgraph_cache")}})
    """
    gradients(learner("compiled", **how), next(draws()))
    later = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(later, capture_output=True, text=True, check=True).stdout.strip()
    assert found == "{'fxgraph_cache_hit': 1}"


def test_without_a_compiler_it_runs_uncompiled_and_says_why(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled = learner("compiled", inner_lr=0.0371)  # compiled by nobody before
    batch = next(draws())
    caplog.set_level("INFO", logger="metaskl")
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        found = gradients(compiled, batch)
    expected = gradients(learner("loop", inner_lr=0.0371), batch)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert compiled.compiler.note.startswith("compiling failed, so it runs uncompiled: ")
    # A plan that were kept would hold on to its rows, for every shape of the episodes.
    assert [*compiled.compiler._functions.values()] == [None]
    begun = [record.getMessage() for record in caplog.records if "takes a while" in record.message]
    assert begun == [
        "engine='compiled': compiling for a shape of the episodes, which takes a while"
    ]


def test_other_networks_run_uncompiled_and_say_why():
    compiled = MAML(MLP((4,), norm="layer").build((1,)), 1, engine="compiled").double()
    gradients(compiled, next(draws()))
    assert "only chains of linear layers" in compiled.compiler.note


def test_only_shapes_that_come_often_enough_are_compiled():
    shapes = Shapes()
    # Of fifty steps forty have the shape a, seven b and three c; 1,000 are planned.
    for number in range(50):
        shape = "a" if number < 40 else "b" if number < 47 else "c"
        assert not shapes.pays(shape, 1000, 100)
    assert shapes.pays("a", 1000, 100)  # about 800 to come
    assert shapes.pays("b", 1000, 100)  # about 140
    assert not shapes.pays("c", 1000, 100)  # about 60
    assert not shapes.pays("new", 1000, 100)
    assert Shapes().pays("c", math.inf, 100)  # asked for


def test_long_training_compiles_after_fifty_steps(traced):
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set()
    trained = learner("auto").float()
    sampler = TaskEpisodes(tasks, meta_batch_size=3, n_shot=4, n_query=5, random_state=0)
    net = meta_train(trained, sampler, TrainingPlan(max_epochs=1, steps_per_epoch=1))
    trained.begin_training(25_000)
    for _ in range(49):
        assert net.train_step(sampler.sample())["loss"].isfinite()
    assert not any(trained.compiler._steps.values())
    for _ in range(3):
        assert net.train_step(sampler.sample())["loss"].isfinite()
    assert any(trained.compiler._steps.values())


def test_only_long_training_repays_compiling():
    assert not Compiler.repays(24_999, torch.device("cpu"))
    assert Compiler.repays(25_000, torch.device("cpu"))
    assert not Compiler.repays(199, torch.device("cuda"))
    assert Compiler.repays(200, torch.device("cuda:1"))
    assert not Compiler.repays(10**9, torch.device("mps"))


def test_training_tells_the_learner_how_long_it_is():
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set()
    trained = learner("auto").float()
    plan = TrainingPlan(max_epochs=2, steps_per_epoch=3)
    sampler = TaskEpisodes(tasks, meta_batch_size=3, random_state=0)
    net = meta_train(trained, sampler, plan)
    assert trained.planned_steps == 6
    assert trained.compiler.note == ""
    meta_train(trained, sampler, plan, net=net)
    assert trained.planned_steps == 6  # of this call


def test_training_further_plans_what_it_adds():
    # Many short calls are no long one: each would compile for itself.
    waves = SinusoidTasks().sample(20, 12, random_state=0)
    meta = MAMLRegressor(
        backbone=MLP((5,)), meta_batch_size=3, max_epochs=2, steps_per_epoch=3, random_state=0
    ).fit(waves.X, waves.y, groups=waves.groups)
    meta.partial_fit(waves.X, waves.y, groups=waves.groups)
    assert len(meta.history_) == 4
    assert meta.net_.module_.planned_steps == 6
