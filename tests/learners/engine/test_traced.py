"""What the compiler is given: one graph a shape, with the numbers of other engines, in no more
operations than it had."""

import pytest
import torch
import torch._inductor
from test_engines import (
    DENSE,
    LEARNERS,
    assert_same_gradient,
    batch_of,
    learner_of,
    loss_and_gradient,
)

from metaskl.backbones import MLP
from metaskl.learners.cavia import CAVIA
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode

# The most operations of the graph of two inner steps of a network of one layer.
MOST = {
    "MAML": 240,
    "first order": 145,
    "clipped": 240,
    "rates by step": 265,
    "Meta-SGD": 265,
    "multi-step": 310,
    "ANIL": 175,
    "ANIL, first order": 120,
    "BOIL": 270,
}
# Here the value of a tensor is read: a compiled function would end, and another begin.
READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)


@pytest.fixture
def graphs(monkeypatch):
    """Run the graph that would be compiled, operation by operation."""
    made = []
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, _: made.append(graph) or graph)
    return made


@pytest.mark.parametrize(
    ("backbone", "kind", "name"),
    [
        *(("one layer", "classification", name) for name in [*MOST, "CAVIA"]),
        ("residual and skip", "regression", "Meta-SGD"),
    ],
)
def test_what_is_compiled_gives_the_same_meta_gradient(backbone, kind, name, graphs):
    spec, in_shape = DENSE[backbone]
    loop, compiled = (
        learner_of(name, spec, in_shape, kind, engine, adaptation_steps=2)
        for engine in ("loop", "compiled")
    )
    batch = batch_of(in_shape, kind)
    other = batch._replace(X_support=batch.X_support + 1, y_query=batch.y_query.flip(1))
    for rows in (batch, other):  # of one shape
        found, expected = loss_and_gradient(compiled, rows), loss_and_gradient(loop, rows)
        assert_same_gradient(found, expected, "compiled")
    if LEARNERS[name][0] is CAVIA:
        assert compiled.compiler.note.startswith("only chains of linear layers")
        assert graphs == []
    else:
        assert compiled.compiler.note == ""
        assert_one_graph(graphs, MOST[name] if backbone == "one layer" else 485)


def assert_one_graph(graphs, most):
    (graph,) = graphs
    calls = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert not {*calls} & {*READS}
    assert len(calls) <= most


def test_a_whole_outer_step_is_one_graph(graphs):
    module = MAML(MLP((4,), "tanh").build((3,)), 2, adaptation_steps=1, engine="compiled")
    optimizer = torch.optim.Adam(module.parameters())
    for _ in range(3):
        batch = Episode(*(t.float() for t in batch_of((3,), "regression")[:6]))
        assert module.outer_step(batch, optimizer, 1.0).isfinite()
    assert module.compiler.note == ""
    assert_one_graph(graphs, 440)
