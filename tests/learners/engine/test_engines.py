"""All engines give the same outer loss and gradient."""

import inspect
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

from metaskl import backbones
from metaskl.backbones import (
    MLP,
    Backbone,
    Conv1D,
    Conv4,
    DeepSets,
    EpisodeDropout,
    FromModule,
    Recurrent,
    ResNet12,
    Tabular,
    Trained,
    episode_masks,
)
from metaskl.errors import ParameterError
from metaskl.learners.cavia import CAVIA
from metaskl.learners.engine.plan import ENGINES
from metaskl.learners.imaml import IMAML
from metaskl.learners.maml import MAML
from metaskl.learners.mann import MANN
from metaskl.learners.reptile import Reptile
from metaskl.tasks import Episode
from metaskl.testing import registered_learners


class Normed(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 4), norm(4), nn.Linear(4, 4)

    def forward(self, X):
        return torch.tanh(self.second(torch.tanh(self.norm(self.first(X)))))


def normed(norm):
    return FromModule(Normed, {"norm": norm}), (3,)


DENSE = {
    "linear": (MLP(()), (3,)),
    "one layer": (MLP((5,), activation="tanh"), (3,)),
    "skip": (MLP((5, 4), activation="silu", skip=True), (3,)),
    "residual": (MLP((3, 3, 4), activation="gelu", residual=True), (3,)),
    "residual and skip": (MLP((4, 4, 4), activation="elu", residual=True, skip=True), (3,)),
    "relu": (MLP((6, 5), activation="relu"), (3,)),
}
OTHER = {
    "layer norm in an MLP": (MLP((4, 4), activation="tanh", norm="layer", residual=True), (3,)),
    "layer norm": normed(nn.LayerNorm),
    "group norm": normed(lambda n: nn.GroupNorm(2, n)),
    "batch statistics": normed(lambda n: nn.BatchNorm1d(n, track_running_stats=False)),
    "convolutions": (Conv4(n_channels=8, n_blocks=1), (1, 4, 4)),
}
# Where nothing but the network is new, so that one kind of task says it all.
FURTHER = {
    "convolutions with strides": (Conv4(n_channels=8, n_blocks=1, stride=True), (1, 4, 4)),
    "convolutions beside pixels": (Conv4(n_channels=8, n_blocks=1, skip=True), (1, 4, 4)),
    "residual convolutions": (ResNet12((8,)), (1, 2, 2)),
    "convolutions in time": (Conv1D(8, n_blocks=1), (2, 3)),
    "LSTM": (Recurrent(3, "lstm"), (2, 2)),
    "GRU": (Recurrent(3, "gru"), (2, 2)),
    "deep sets": (DeepSets((4,), (3,)), (3, 2)),
    # Rounded, a column of the rows below holds the codes 0 to 2 and what is unknown.
    "categories": (Tabular({1: 3}, embedding_size=2, body=MLP((4,), activation="tanh")), (3,)),
}
NETWORKS = {**DENSE, **OTHER, **FURTHER}
COMPARED = ("auto", "vmap", "adjoint")  # with "loop"; "compiled" is compared in test_traced.py
LEARNERS = {
    "MAML": (MAML, {"inner_lr_mode": "fixed"}),
    "first order": (MAML, {"inner_lr_mode": "fixed", "first_order": True}),
    "clipped": (MAML, {"inner_lr_mode": "fixed", "inner_clip": 0.1}),
    "rates by step": (MAML, {"inner_lr_mode": "per_step"}),
    "Meta-SGD": (MAML, {"inner_lr_mode": "per_parameter", "inner_clip": 0.5}),
    "multi-step": (MAML, {"multi_step_loss": True, "multi_step_epochs": 3, "inner_clip": 0.5}),
    "ANIL": (MAML, {"adapt_part": "head", "inner_clip": 0.5}),
    "ANIL, first order": (MAML, {"adapt_part": "head", "first_order": True}),
    "BOIL": (MAML, {"adapt_part": "body", "inner_clip": 0.5}),
    "CAVIA": (CAVIA, {"inner_clip": 0.5, "inner_lr": 0.5}),
    "CAVIA, first order": (CAVIA, {"first_order": True}),
    "Reptile": (Reptile, {"batch_size": 4, "inner_clip": 0.5}),
    "Reptile, Adam": (Reptile, {"batch_size": None, "inner_optimizer": "adam", "inner_lr": 0.01}),
    "implicit": (IMAML, {"cg_steps": 2}),
}


def learner_of(name, spec, in_shape, kind, engine, **changes):
    cls, arguments = LEARNERS[name]
    arguments = {"inner_lr": 0.3, "adaptation_steps": 3, **arguments, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = cls(spec.build(in_shape), 2, kind=kind, engine=engine, **arguments).double()
        for parameter in learner.parameters():  # so that no rate equals another
            parameter.data += 0.02 * torch.rand_like(parameter)
    learner.begin_epoch(1)
    return learner


def batch_of(in_shape, kind, *, padded=True):
    draw = torch.Generator().manual_seed(1)
    X = torch.randn(3, 11, *in_shape, dtype=torch.float64, generator=draw)
    y = torch.randn(3, 11, 2, dtype=torch.float64, generator=draw)
    if kind == "classification":
        y = F.one_hot(y.argmax(-1), 2).double()
    weight = torch.ones(3, 11, dtype=torch.float64)
    if padded:
        weight[1, 4], weight[2, 9:] = 0.0, 0.0
        X, y = X * weight.reshape(3, 11, *[1] * len(in_shape)), y * weight[..., None]
    return Episode(X[:, :5], y[:, :5], weight[:, :5], X[:, 5:], y[:, 5:], weight[:, 5:])


def loss_and_gradient(learner, batch, nothing=1e-12):
    learner.zero_grad()
    loss = learner.episode_loss(batch)
    loss.backward()
    gradients = {n: p.grad for n, p in learner.named_parameters() if p.grad is not None}
    # Of a bias that a norm takes out again, rounding may be left, or nothing.
    return loss.detach(), {n: g for n, g in gradients.items() if (g.abs() > nothing).any()}


def assert_same_gradient(found, expected, engine):
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    torch.testing.assert_close(loss, expected_loss, rtol=1e-9, atol=0, msg=engine)
    assert set(gradients) == set(expected_gradients), engine
    for parameter, value in expected_gradients.items():
        close = torch.allclose(gradients[parameter], value, rtol=1e-6, atol=1e-9)
        assert close, (engine, parameter, gradients[parameter], value)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(
    ("backbone", "kind"),
    [
        *itertools.product([*DENSE, *OTHER], ["regression", "classification"]),
        *itertools.product(FURTHER, ["regression"]),
    ],
)
def test_engines_give_the_same_meta_gradient(backbone, name, kind):
    spec, in_shape = NETWORKS[backbone]
    if backbone == "linear" and name == "BOIL":
        pytest.skip("no body to adapt")
    batch = batch_of(in_shape, kind, padded=backbone != "batch statistics")
    # Adam divides the rounding of a gradient of zero by 1e-8 at the least.
    nothing = 1e-7 if "Adam" in name else 1e-12
    expected = loss_and_gradient(learner_of(name, spec, in_shape, kind, "loop"), batch, nothing)
    for engine in COMPARED:
        found = loss_and_gradient(learner_of(name, spec, in_shape, kind, engine), batch, nothing)
        assert_same_gradient(found, expected, engine)


def test_every_backbone_learner_and_engine_is_compared():
    found = [getattr(backbones, name) for name in backbones.__all__]
    specs = [spec for spec in found if isinstance(spec, type) and issubclass(spec, Backbone)]
    public = {*specs} - {Backbone, Trained}  # Trained builds one of the others
    assert {type(spec) for spec, _ in NETWORKS.values()} == public
    own = {c for c in registered_learners().values() if c.__module__.startswith("metaskl.")}
    have = {cls for cls in own if "engine" in inspect.signature(cls).parameters}
    # A memory network has engines of its own, compared in tests/learners/test_mann.py.
    assert {cls for cls, _ in LEARNERS.values()} | {MANN} == have
    assert {*COMPARED, "loop", "compiled"} == {*ENGINES}


@pytest.mark.parametrize("name", ["MAML", "clipped", "Meta-SGD", "ANIL", "BOIL", "rates by step"])
@pytest.mark.parametrize("backbone", ["skip", "layer norm in an MLP"])
def test_engines_adapt_alike(backbone, name):
    spec, in_shape = {**DENSE, **OTHER}[backbone]
    batch = batch_of(in_shape, "regression")
    ends = []
    for engine in ("loop", "auto", "adjoint"):
        learner = learner_of(name, spec, in_shape, "regression", engine)
        with torch.no_grad():
            ends.append(learner.adapt_tasks(*batch[:3]))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-9, atol=1e-12)


class Asks(nn.Module):
    """Looks at a value, which torch.func.vmap cannot."""

    def __init__(self):
        super().__init__()
        self.layer, self.n_features_out = nn.Linear(3, 4), 4

    def forward(self, X):
        X = torch.tanh(self.layer(X))
        return 2 * X if X.sum().item() > 0 else X


@pytest.mark.parametrize("name", ["MAML", "CAVIA", "Reptile", "implicit"])
def test_what_cannot_be_mapped_over_tasks_goes_task_by_task(name):
    batch = batch_of((3,), "regression", padded=False)
    learner = learner_of(name, FromModule(Asks), (3,), "regression", "loop")
    together = loss_and_gradient(learner, batch)
    each = [
        loss_and_gradient(learner, Episode(*(part[t : t + 1] for part in batch[:6])))
        for t in range(3)
    ]
    torch.testing.assert_close(together[0], torch.stack([loss for loss, _ in each]).mean())
    for parameter, value in together[1].items():
        torch.testing.assert_close(value, sum(found[parameter] for _, found in each) / 3)
    with pytest.raises(RuntimeError, match=r"vmap.*\.item\(\)"):
        loss_and_gradient(learner_of(name, FromModule(Asks), (3,), "regression", "auto"), batch)


def test_more_steps_than_learned_rates_add_to_the_last():
    spec, in_shape = DENSE["skip"]
    batch = batch_of(in_shape, "regression")
    found = []
    for engine in ("loop", "adjoint"):
        learner = MAML(
            spec.build(in_shape), 2, adaptation_steps=2, test_adaptation_steps=4, engine=engine
        )
        learner.load_state_dict(found[0][0].state_dict() if found else learner.state_dict())
        learner = learner.double().eval()
        found.append((learner, *loss_and_gradient(learner, batch)))
    torch.testing.assert_close(found[0][1:], found[1][1:])


class Thinned(nn.Module):
    """A network whose units are dropped by hand."""

    def __init__(self, mask):
        super().__init__()
        self.layer, self.mask, self.n_features_out = nn.Linear(3, 6), mask, 6

    def forward(self, X):
        return torch.relu(self.layer(X)) * self.mask


@pytest.mark.parametrize("engine", ["loop", "vmap", "adjoint", "auto"])
@pytest.mark.parametrize("name", LEARNERS)
def test_support_query_and_all_steps_see_one_thinned_network(name, engine):
    batch = batch_of((3,), "regression")
    learner = learner_of(name, MLP((6,), dropout=0.5), (3,), "regression", engine)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        with episode_masks(learner):
            (mask,) = [m.mask for m in learner.modules() if isinstance(m, EpisodeDropout)]
            loss, found = loss_and_gradient(learner, batch)
    assert 0 < int((mask == 0).sum()) < 6
    cls, arguments = LEARNERS[name]
    arguments = {"inner_lr": 0.3, "adaptation_steps": 3, **arguments}
    plain = cls(Thinned(mask.double()), 2, engine="loop", **arguments).double()
    values = zip(plain.parameters(), learner.parameters(), strict=True)
    with torch.no_grad():
        for own, value in values:
            own.copy_(value)
    plain.begin_epoch(1)
    expected_loss, expected = loss_and_gradient(plain, batch)
    torch.testing.assert_close(loss, expected_loss)
    expected = {n.replace("body.layer.", "body.layers.0."): g for n, g in expected.items()}
    expected = {n.replace("body__layer__", "body__layers__0__"): g for n, g in expected.items()}
    torch.testing.assert_close(found, expected)


def test_dropout_by_value_is_drawn_alike_forth_and_back():
    batch = batch_of((3,), "regression")
    spec = FromModule(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.5)))
    learner = learner_of("MAML", spec, (3,), "regression", "adjoint")
    other = learner_of("MAML", spec, (3,), "regression", "vmap")
    found = []
    for each in (learner, other):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            found.append(loss_and_gradient(each, batch))
    torch.testing.assert_close(found[0], found[1])


def test_a_loss_of_ones_own_is_not_replaced():
    class Huber(MAML):
        def row_loss(self, output, y):
            return F.huber_loss(output, y, reduction="none").mean(-1)

    batch = batch_of((3,), "regression")
    found = []
    for engine in ("loop", "auto", "adjoint"):
        torch.manual_seed(0)
        learner = Huber(MLP((4,)).build((3,)), 2, engine=engine, adaptation_steps=2).double()
        found.append(loss_and_gradient(learner, batch))
    torch.testing.assert_close(found[1:], [found[0]] * 2)


@pytest.mark.parametrize("part", ["all", "head"])
def test_predictions_of_ones_own_are_not_replaced(part):
    class Doubled(MAML):
        def predict_tasks(self, adapted, X_query):
            return 2 * super().predict_tasks(adapted, X_query)

    batch = batch_of((3,), "regression")
    found = []
    for engine in ("loop", "auto", "adjoint"):
        torch.manual_seed(0)
        spec = MLP((4,), activation="tanh")
        learner = Doubled(spec.build((3,)), 2, engine=engine, adapt_part=part).double()
        with torch.no_grad():
            adapted = learner.adapt_tasks(*batch[:3])
            after = learner.predict_tasks(adapted, batch.X_query)
        found.append((after, loss_and_gradient(learner, batch)))
    torch.testing.assert_close(found[1:], [found[0]] * 2)
    output = found[0][0]
    direct = learner.task_loss(output, batch.y_query, batch.weight_query).mean()
    torch.testing.assert_close(found[0][1][0], direct)


class Centred(MAML):
    def adapt_tasks(self, X_support, y_support, weight=None):
        X_support = X_support - X_support.mean(1, keepdim=True)
        return super().adapt_tasks(X_support, y_support, weight)


class Shortened(MAML):
    def clipped(self, gradients):
        return {name: g / 2 for name, g in gradients.items()}


class CentredCAVIA(CAVIA):
    def adapt_tasks(self, X_support, y_support, weight=None):
        X_support = X_support - X_support.mean(1, keepdim=True)
        return super().adapt_tasks(X_support, y_support, weight)


@pytest.mark.parametrize("cls", [Centred, Shortened, CentredCAVIA])
def test_inner_steps_of_ones_own_are_not_replaced(cls):
    batch = batch_of((3,), "regression")
    found = []
    for engine in ("loop", "auto", "adjoint"):
        torch.manual_seed(0)
        learner = cls(MLP((4,), activation="tanh").build((3,)), 2, engine=engine).double()
        found.append((*loss_and_gradient(learner, batch), learner.query_loss(batch)))
        torch.testing.assert_close(found[-1][0], found[-1][2])
        with torch.no_grad():
            torch.testing.assert_close(learner.query_loss(batch), found[-1][0])
    torch.testing.assert_close(found[1:], [found[0]] * 2)


@pytest.mark.parametrize("cls", [Reptile, IMAML])
def test_weights_are_trained_by_predictions_of_ones_own(cls):
    class Own(cls):
        def predict_tasks(self, adapted, X_query):
            return self.network.forward_tasks(adapted, X_query) - 3.0

    batch = batch_of((3,), "regression")
    raised = batch._replace(y_support=batch.y_support + 3.0)
    found = []
    for each, rows in ((Own, batch), (cls, raised)):  # a shift is the same on either side
        torch.manual_seed(0)
        learner = each(MLP((4,), activation="tanh").build((3,)), 2).double()
        found.append(learner.adapt_tasks(*rows[:3]))
    torch.testing.assert_close(*found)


class Half(nn.Module):
    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize("name", ["Meta-SGD", "BOIL", "CAVIA"])
def test_weights_that_are_computed(name):
    class Computed(MLP):
        def build(self, in_shape):
            body = super().build(in_shape)
            for layer in body.layers:
                register_parametrization(layer, "weight", Half())
            return body

    batch = batch_of((3,), "regression")
    found = []
    for engine in ("loop", "auto", "vmap", "adjoint"):
        learner = learner_of(name, Computed((4, 4)), (3,), "regression", engine)
        with torch.no_grad():
            ends = learner.adapt_tasks(*batch[:3])
        found.append((ends, loss_and_gradient(learner, batch)))
    torch.testing.assert_close(found[1:], [found[0]] * 3)


def test_a_network_with_a_chain_of_its_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.n_features_out = 4
            self.chain = nn.Sequential(nn.Linear(3, 4), nn.Tanh())

        def forward(self, X):
            return self.chain(X)

    loss, found = loss_and_gradient(MAML(Own(), 2).double(), batch_of((3,), "regression"))
    assert loss.isfinite()
    assert "network.body.chain.0.weight" in found


class Halved(MAML):
    def predict_tasks(self, adapted, X_query):
        return super().predict_tasks(adapted, X_query) / 2


@pytest.mark.parametrize(("cls", "arguments"), [(CAVIA, {}), (Halved, {"adapt_part": "head"})])
@pytest.mark.parametrize("engine", ["vmap", "adjoint"])
def test_a_step_counts_once_in_running_statistics(engine, cls, arguments):
    body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3))
    body.n_features_out = 3
    learner = cls(body, 2, adaptation_steps=4, engine=engine, **arguments).double()
    batch = batch_of((3,), "regression", padded=False)
    loss_and_gradient(learner, batch)
    assert body[1].num_batches_tracked == 5  # four on the support, one on the query


def test_the_meta_gradient_is_not_differentiated_again_unnoticed():
    learner = learner_of("MAML", *DENSE["skip"], "regression", "adjoint")
    loss = learner.episode_loss(batch_of((3,), "regression"))
    weight = learner.network.head.weight
    (gradient,) = torch.autograd.grad(loss**2, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_an_unknown_engine_is_refused():
    with pytest.raises(ParameterError, match=r"engine must be one of .*got 'jax'"):
        MAML(MLP((4,)).build((3,)), 1, engine="jax")
