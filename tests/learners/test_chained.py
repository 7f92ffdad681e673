"""A memory network's compiled rows: the same numbers, and what happens where there are none."""

import copy
import pickle

import pytest
import torch
import torch._inductor.config

from metaskl import MANNRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.chained import RowCompiler
from metaskl.learners.mann import MANN
from metaskl.tasks import Episode, SinusoidTasks


def learner(engine, n_slots=12):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        how = {"n_slots": n_slots, "slot_size": 4, "n_reads": 2, "controller_size": 5}
        return MANN(MLP((3,), "tanh").build((2,)), 2, engine=engine, **how).double()


def batch(seed, weight=None):
    draw = torch.Generator().manual_seed(seed)
    X = torch.randn(3, 7, 2, generator=draw, dtype=torch.float64)
    y = torch.randn(3, 7, 2, generator=draw, dtype=torch.float64)
    real = torch.ones(3, 7).double() if weight is None else torch.tensor(weight).double()
    return Episode(X[:, :5], y[:, :5], real[:, :5], X[:, 5:], y[:, 5:], real[:, 5:])


def loss_and_gradient(learner, episode):
    learner.zero_grad()
    loss = learner.episode_loss(episode)
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in learner.named_parameters()}


@pytest.mark.parametrize("n_slots", [12, 4])
def test_traced_rows_give_the_same_loss_and_gradient(n_slots, traced):
    compiled, loop = learner("compiled", n_slots), learner("loop", n_slots)
    padded = [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 1, 0], [0, 1, 0, 1, 0, 1, 1]]
    for episode in (batch(0), batch(1, padded), batch(2)):
        found, expected = loss_and_gradient(compiled, episode), loss_and_gradient(loop, episode)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert compiled.compiler.note == ""
    assert len(compiled.compiler._rows) == 1
    for copied in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert copied.compiler._rows == {}


def test_adapting_compiles_nothing():
    compiled = learner("compiled")
    with torch.no_grad():
        compiled.adapt_tasks(*batch(0)[:3])
    assert compiled.compiler._rows == {}


def test_without_a_compiler_rows_run_uncompiled_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled = learner("compiled", n_slots=11)  # compiled by nobody before
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        found = loss_and_gradient(compiled, batch(0))
    torch.testing.assert_close(found, loss_and_gradient(learner("loop", n_slots=11), batch(0)))
    assert compiled.compiler.note.startswith("compiling failed, so it runs uncompiled: ")


def test_only_many_rows_repay_compiling():
    assert not RowCompiler.repays(99_999, torch.device("cpu"))
    assert RowCompiler.repays(100_000, torch.device("cpu"))
    assert not RowCompiler.repays(10**9, torch.device("cuda"))


def test_engines_have_names():
    with pytest.raises(ParameterError, match=r"engine must be one of .*, got 'vmap'"):
        learner("vmap")


@pytest.mark.slow
def test_an_estimator_trains_alike_with_compiled_rows():
    waves = SinusoidTasks().sample(30, 20, random_state=0)
    models = [
        MANNRegressor(engine=e, max_epochs=1, steps_per_epoch=20, n_slots=9, random_state=0)
        for e in ("loop", "compiled")
    ]
    rows = waves.X[:5], waves.y[:5], waves.X[5:9]
    found = [
        m.fit(waves.X, waves.y, groups=waves.groups).adapt(*rows[:2]).predict(rows[2])
        for m in models
    ]
    torch.testing.assert_close(*map(torch.as_tensor, found), rtol=1e-3, atol=1e-4)
    assert models[1].net_.module_.compiler.note == ""
    assert models[1].net_.module_.compiler._rows
