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
    "MAML": 130,
    "first order": 70,
    "clipped": 130,
    "rates by step": 143,
    "Meta-SGD": 141,
    "multi-step": 169,
    "ANIL": 103,
    "ANIL, first order": 64,
    "BOIL": 147,
}
# What only looks at a tensor in another way: it is no work once compiled.
VIEWS = {"view", "_unsafe_view", "t", "transpose", "permute", "expand", "detach", "unsqueeze"}
VIEWS |= {"squeeze", "split", "split_with_sizes", "slice", "select", "alias", "unbind", "getitem"}
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
        assert_one_graph(graphs, MOST[name] if backbone == "one layer" else 227)


def assert_one_graph(graphs, most):
    (graph,) = graphs
    calls = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert not {*calls} & {*READS}
    names = [getattr(call, "_opname", call.__name__) for call in calls]
    assert sum(name not in VIEWS for name in names) <= most


def test_a_whole_outer_step_is_one_graph(graphs):
    module = MAML(MLP((4,), "tanh").build((3,)), 2, adaptation_steps=1, engine="compiled")
    optimizer = torch.optim.Adam(module.parameters())
    for _ in range(3):
        batch = Episode(*(t.float() for t in batch_of((3,), "regression")[:6]))
        assert module.outer_step(batch, optimizer, 1.0).isfinite()
    assert module.compiler.note == ""
    assert_one_graph(graphs, 342)
