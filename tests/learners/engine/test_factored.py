"""Weights of each task's own as sums over rows: the same numbers, in less work where they pay."""

import pytest
import torch
import torch._inductor
from counting import Counted
from test_engines import DENSE, assert_same_gradient, batch_of, learner_of, loss_and_gradient

from metaskl.backbones import MLP
from metaskl.backbones.chain import Chain
from metaskl.learners.engine import plan as plans
from metaskl.learners.engine.compiled import Compiler
from metaskl.learners.engine.compiling import Shapes
from metaskl.learners.engine.dense import dense_of
from metaskl.learners.engine.factored import _Way, factored_gradient, factors_pay
from metaskl.learners.engine.factors import Factors, Scaled, Sum
from metaskl.learners.engine.memory import need_of
from metaskl.learners.engine.products import Matrices
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode

LEARNERS = ["MAML", "first order", "clipped", "rates by step", "multi-step"]


@pytest.fixture
def always(monkeypatch):
    """Take factors whatever the size; give how often they were taken."""
    taken = []
    monkeypatch.setattr(plans, "factors_pay", lambda *sizes, bare: True)

    def counted(*given, **how):
        taken.append(given)
        return factored_gradient(*given, **how)

    monkeypatch.setattr(plans, "factored_gradient", counted)
    return taken


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("backbone", [name for name in DENSE if name != "linear"])
def test_factors_give_the_gradient_of_the_loop(backbone, kind, name, always):
    spec, in_shape = DENSE[backbone]
    batch = batch_of(in_shape, kind)
    loop, auto = (learner_of(name, spec, in_shape, kind, e) for e in ("loop", "auto"))
    found = loss_and_gradient(auto, batch)
    assert len(always) == 1
    assert_same_gradient(found, loss_and_gradient(loop, batch), backbone)


@pytest.mark.parametrize(("name", "clip"), [("first order", 0.1), ("rates by step", 0.1)])
def test_shortened_gradients_and_learned_rates_go_together(name, clip, always):
    spec, in_shape = DENSE["skip"]
    batch = batch_of(in_shape, "regression")
    changes = {"inner_clip": clip, "inner_lr_mode": "per_step"}
    loop, auto = (
        learner_of(name, spec, in_shape, "regression", engine, **changes)
        for engine in ("loop", "auto")
    )
    assert_same_gradient(loss_and_gradient(auto, batch), loss_and_gradient(loop, batch), name)
    assert len(always) == 1


def test_what_is_compiled_of_one_step_gives_the_same_gradient(always, traced):
    spec, in_shape = DENSE["relu"]
    batch = batch_of(in_shape, "regression")
    loop, compiled = (
        learner_of("MAML", spec, in_shape, "regression", engine, adaptation_steps=1)
        for engine in ("loop", "compiled")
    )
    found = loss_and_gradient(compiled, batch)
    assert len(always) == 1
    assert_same_gradient(found, loss_and_gradient(loop, batch), "compiled")


@pytest.mark.parametrize("name", ["Meta-SGD", "ANIL", "BOIL"])
def test_what_is_no_sum_over_rows_is_left_to_matrices(name, always):
    spec, in_shape = DENSE["relu"]
    loss_and_gradient(
        learner_of(name, spec, in_shape, "regression", "auto"), batch_of(in_shape, "regression")
    )
    assert not always


def test_a_layer_of_factors_is_that_of_its_matrices():
    # One task, two rows: W + 2 (3 · d₁ h₁ᵀ + 1 · d₂ h₂ᵀ) with d₁ = 1, d₂ = 2, h₁ = (1, 0),
    # h₂ = (1, 1): W = (0, 1) becomes (0 + 2 · 5, 1 + 2 · 2) = (10, 5), b = 1 becomes
    # 1 + 2 (0 · 1 + 1 · 2) = 5.
    base = Matrices(torch.tensor([[0.0, 1.0]]), torch.tensor([1.0]))
    d = torch.tensor([[[1.0], [2.0]]])
    h = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    layer = Factors(base, d, h, torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0]), 2.0)
    row = torch.tensor([[[1.0, 2.0]]])
    assert layer.forward(row).item() == 10 + 2 * 5 + 5
    assert layer.add_to(torch.tensor([[[100.0]]]), row).item() == 120
    # Without weights of the rows: (0, 1) + 2 (3, 2) = (6, 5).
    assert layer._replace(of_weights=None).add_to(torch.zeros(1, 1, 1), row).item() == 16
    back = torch.tensor([[[2.0]]])
    torch.testing.assert_close(layer.back(back), torch.tensor([[[20.0, 10.0]]]))
    torch.testing.assert_close(layer.back(back, row), torch.tensor([[[21.0, 12.0]]]))


def test_a_direction_is_a_sum_over_rows():
    # Rows d = 1, h = (1, 2), and d = 3, h = (0, 1), the latter not in the bias: weights (1, 5),
    # bias 1; turned by -2, with rates 1 and 4 of weights and bias, these are (-2, -10) and -8.
    total = Sum()
    total.add(torch.ones(1, 1, 1), torch.tensor([[[1.0, 2.0]]]))
    total.add(torch.full((1, 1, 1), 3.0), torch.tensor([[[0.0, 1.0]]]), of_bias=False)
    weights, bias = total.summed()
    assert weights.tolist() == [[1.0, 5.0]]
    assert bias.tolist() == [1.0]
    row = torch.tensor([[[1.0, 1.0]]])
    turn = Scaled(total, -2.0, torch.tensor(1.0), torch.tensor(4.0), None)
    assert turn.forward(row).item() == -12 - 8
    assert Scaled(total, -2.0, None, None, None).forward(row).item() == -12 - 2
    assert turn.back(torch.ones(1, 1, 1), row).tolist() == [[[-1.0, -9.0]]]


def test_where_factors_pay():
    def pay(width, n_shot, n_query, n_steps, n_tasks=16, *, bare=False):
        shapes = [(width, 20), (width, width), (1, width)]
        return factors_pay(shapes, n_tasks, n_steps, n_shot, n_query, bare=bare)

    assert pay(256, 5, 10, 5)
    assert pay(128, 5, 10, 5)
    assert not pay(128, 25, 50, 5)  # more rows than units
    assert pay(64, 10, 10, 1)
    assert not pay(64, 5, 10, 5)
    assert not pay(64, 10, 10, 1, n_tasks=4)  # what there is are operations, not arithmetic
    assert pay(64, 10, 30, 1, bare=True)
    assert not pay(64, 10, 30, 1)


def wide(n_tasks=16, **arguments):
    learner = MAML(MLP((256, 256)).build((20,)), 1, **arguments)
    draw = torch.Generator().manual_seed(0)
    X, y = (torch.randn(n_tasks, 15, n, generator=draw) for n in (20, 1))
    ones = torch.ones(n_tasks, 15)
    return learner, Episode(X[:, :5], y[:, :5], ones[:, :5], X[:, 5:], y[:, 5:], ones[:, 5:])


FORMS = {
    "default": {},
    "first order": {"first_order": True, "inner_lr_mode": "fixed"},
    "multi-step": {"multi_step_loss": True},
    "first order, multi-step": {"multi_step_loss": True, "first_order": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_memory_of_factors_is_predicted(form):
    learner, batch = wide(**FORMS[form])
    weights, second_order = learner._step_weights(), not learner.annealing.first_order
    plan = learner._plan(batch[:3], batch[3:6]).formed(weights)
    assert plan.factored
    most = []
    for factored in (True, False):
        plan = plan._replace(factored=factored)
        with torch.no_grad(), Counted() as counted:
            plan.gradients(weights, second_order=second_order)
        most.append(counted.most)
        predicted = 16 * need_of(plan, weights, second_order=second_order).bytes_a_task(5)
        assert 0.55 * predicted < counted.most < 1.1 * predicted, factored
    if second_order:
        assert most[0] < (0.25 if form == "multi-step" else 0.14) * most[1]


def test_parts_are_taken_in_the_form_of_the_whole():
    learner, batch = wide(memory_budget=10**6)
    learner.episode_loss(batch)
    assert learner.memory_note.endswith("chunks of 2 tasks")
    with Counted() as counted:
        learner.episode_loss(batch)
    # The gradients of eight parts, 0.3 MB each, wait for their sum.
    assert counted.most < 5e6


def test_where_one_task_does_not_fit_its_steps_are_halved_by_matrices():
    learner, batch = wide(n_tasks=8)
    weights = learner._step_weights()
    small, _ = wide(n_tasks=8, memory_budget=10_000)
    small.load_state_dict(learner.state_dict())
    found, expected = (loss_and_gradient(each, batch) for each in (small, learner))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    plan = learner._plan(batch[:3], batch[3:6])
    predicted = need_of(plan, weights, second_order=True).said(1)
    assert small.memory_note == f"a meta-gradient of {predicted.partition(' of ')[2]}"


@pytest.mark.parametrize(
    ("engine", "n_steps", "compiled"),
    [("auto", 1, True), ("auto", 2, False), ("compiled", 2, True)],
)
def test_several_steps_of_factors_are_compiled_only_if_asked_for(
    engine, n_steps, compiled, monkeypatch
):
    made = []
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, _: made.append(graph) or graph)
    monkeypatch.setattr(Compiler, "repays", lambda *given: True)
    monkeypatch.setattr(Shapes, "pays", lambda *given: True)
    learner, batch = wide(adaptation_steps=n_steps, engine=engine)
    learner.begin_training(10**6)
    optimizer = torch.optim.Adam(learner.parameters(), fused=True)
    assert learner.outer_step(batch, optimizer, 10.0) is not None
    assert len(made) == compiled
    learner.episode_loss(batch).backward()
    assert len(made) == 2 * compiled


def test_the_norm_of_gradients_that_cancel_keeps_its_digits():
    # W = 0, b = 0, y = 1 and -1, h = (5000, 1) and (5000, 0): the mean of the squared errors has
    # δ = -1 and 1, so that the gradient is (0, -1), of the bias 0, and its norm 1. The products
    # of the rows, 25,000,001 among them, have more digits than single precision.
    dense = dense_of(Chain("relu", (2,), (), False), 1, "regression")
    X = torch.tensor([[[5000.0, 1.0], [5000.0, 0.0]]])
    y = torch.tensor([[[1.0], [-1.0]]])
    rows = dense.rows(X, y, torch.ones(1, 2))
    base = [Matrices(torch.zeros(1, 2), torch.zeros(1))]
    _, _, factor = _Way(dense, base, 0.1, 0.5, rows, 1).step(0, kept=False)
    assert factor.flatten().tolist() == [0.5]
