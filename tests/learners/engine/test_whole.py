"""Outer steps that are taken as a whole in training, and when they are left to torch."""

import copy
import types

import pytest
import torch
from skorch.callbacks import Callback

from metaskl.backbones import MLP
from metaskl.errors import DivergenceError
from metaskl.learners.engine import compiling
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode, SinusoidTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train, runner
from metaskl.training.net import MetaNet

CLIP = 0.5


def learner(**arguments):
    torch.manual_seed(0)
    how = {"adaptation_steps": 2, "engine": "compiled", **arguments}
    return MAML(MLP((4,), "tanh").build((1,)), 1, **how)


def sampler(kind=TaskEpisodes):
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set()
    return kind(tasks, meta_batch_size=3, random_state=0)


def trained(module, **plan):
    return further(module, None, **plan)


def further(module, net, **plan):
    plan = TrainingPlan(max_epochs=3, steps_per_epoch=4, **plan)
    return meta_train(module, sampler(), plan, net=net)


@pytest.fixture
def eager(monkeypatch):
    """Let what is compiled be what it is made of: it writes to the same tensors."""
    monkeypatch.setattr(compiling, "compile_graph", lambda function, _: function)


def frozen_for_a_while(module):
    net = trained(module)
    module.network.head.bias.requires_grad_(False)
    net = further(module, net)
    module.network.head.bias.requires_grad_(True)
    return further(module, net)


def other_tensors(module):
    trained(module)
    values = {name: tensor + 0.1 for name, tensor in module.state_dict().items()}
    module.load_state_dict(values, assign=True)
    return trained(module)


def other_activation(module):
    trained(module)
    module.network.body.activation = "relu"
    return trained(module)


def masked(module):
    weight = module.network.head.weight
    weight.register_hook(lambda gradient: gradient * (torch.arange(4) % 2))
    return trained(module)


@pytest.mark.parametrize(
    "train", [trained, frozen_for_a_while, other_tensors, other_activation, masked]
)
def test_it_trains_as_other_engines_do(train, eager):
    found, expected = train(learner()), train(learner(engine="adjoint"))
    found, expected = found.module_.state_dict(), expected.module_.state_dict()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


class Opposed(TaskEpisodes):
    """Has the support say the opposite of the query, so that a step uphill is best."""

    def stream(self, n_stacks):
        for episode in super().stream(n_stacks):
            yield episode._replace(y_query=-episode.y_query)


@pytest.mark.parametrize("engine", ["compiled", "adjoint"])
def test_learned_rates_stay_at_zero_or_above(engine, eager):
    def lowest(**arguments):
        module = learner(engine=engine, inner_lr=1e-3, **arguments)
        plan = TrainingPlan(max_epochs=3, steps_per_epoch=4, outer_lr=0.01)
        meta_train(module, sampler(Opposed), plan)
        return min(float(rate.detach().min()) for rate in module.rates.values())

    assert lowest() == 0
    assert lowest(negative_rates=True) < 0


def lost(episode):
    return episode._replace(y_query=episode.y_query * float("nan"))


def test_a_loss_that_is_no_number_leaves_all_as_it_was(eager):
    assert_a_lost_loss_changes_nothing(learner())


def assert_a_lost_loss_changes_nothing(module):
    optimizer = torch.optim.Adam(module.parameters())
    assert module.outer_step(sampler().sample(), optimizer, CLIP).isfinite()
    kept = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
    assert module.outer_step(lost(sampler().sample()), optimizer, CLIP).isnan()
    found = module.state_dict(), optimizer.state_dict()
    torch.testing.assert_close(found, kept, rtol=0, atol=0)


@pytest.mark.slow
def test_a_compiled_step_is_an_outer_step(monkeypatch):
    bare = {"adaptation_steps": 1, "inner_lr_mode": "fixed", "inner_clip": None}
    assert_a_whole_step_is_an_outer_step(monkeypatch, **bare)


def test_a_traced_step_of_the_multi_step_loss_is_an_outer_step(monkeypatch, traced):
    assert_a_whole_step_is_an_outer_step(monkeypatch, multi_step_loss=True, multi_step_epochs=4)


def assert_a_whole_step_is_an_outer_step(monkeypatch, **arguments):
    plan = {"optimizer": "adamw", "weight_decay": 0.1, "gradient_clip": 1.0, "outer_lr": 0.01}
    plan |= {"lr_schedule": "cosine"}
    expected = trained(learner(engine="loop", **arguments), **plan)
    # If a step were taken in any other way, this would raise.
    monkeypatch.setattr(MAML, "loss_of", None)
    found = trained(learner(**arguments), **plan)
    assert found.module_.compiler.note == ""
    assert "all at once" in found.module_.memory_note
    losses = [net.history[:, "train_loss"] for net in (found, expected)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        found.module_.state_dict(), expected.module_.state_dict(), rtol=1e-4, atol=1e-6
    )
    states = [net.optimizer_.state_dict()["state"] for net in (found, expected)]
    torch.testing.assert_close(*states, rtol=1e-3, atol=1e-6)
    kept = copy.deepcopy((found.module_.state_dict(), found.optimizer_.state_dict()))
    loss = found.module_.outer_step(lost(sampler().sample()), found.optimizer_, 1.0)
    assert loss.isnan()
    found = found.module_.state_dict(), found.optimizer_.state_dict()
    torch.testing.assert_close(found, kept, rtol=0, atol=0)


def test_what_is_frozen_between_two_trainings_stays(eager):
    module = learner(adaptation_steps=1)
    trained(module)
    bias = module.network.head.bias
    before = bias.detach().clone()
    trained(module.requires_grad_(True))
    assert not torch.equal(bias, before)
    bias.requires_grad_(False)
    before = bias.detach().clone()
    weight = module.network.head.weight.detach().clone()
    trained(module)
    assert torch.equal(bias, before)
    assert not torch.equal(module.network.head.weight, weight)


class Looks(Callback):
    """Sees gradients."""

    def __init__(self):
        self.seen = 0

    def on_grad_computed(self, net, **kwargs):
        self.seen += all(p.grad is not None for p in net.module_.parameters())


class Recorded(MAML):
    """Counts who takes the outer step."""

    steps = 0

    def outer_step(self, *args):
        self.steps += 1
        return super().outer_step(*args)


def recorded(**arguments):
    torch.manual_seed(0)
    return Recorded(MLP((4,)).build((1,)), 1, adaptation_steps=1, engine="auto", **arguments)


def test_where_a_callback_may_look_at_gradients_they_are_there():
    looks = Looks()
    net = trained(recorded(), callbacks=[("looks", looks)])
    assert (looks.seen, net.module_.steps) == (12, 0)


def test_where_a_net_of_ones_own_looks_at_gradients_they_are_there(monkeypatch):
    class Sees(MetaNet):
        seen = 0

        def on_grad_computed(self, net, **kwargs):
            self.seen += all(p.grad is not None for p in net.module_.parameters())

    monkeypatch.setattr(runner, "MetaNet", Sees)
    net = trained(recorded())
    assert (net.seen, net.module_.steps) == (12, 0)


def test_the_learner_is_asked_for_a_whole_step_and_may_decline():
    assert trained(recorded()).module_.steps == 12


def test_a_loss_of_ones_own_is_differentiated():
    class OwnLoss(MAML):
        def episode_loss(self, episode):
            return super().episode_loss(episode) * 2

    module = OwnLoss(MLP((4,)).build((1,)), 1, engine="compiled")
    optimizer = torch.optim.Adam(module.parameters())
    assert module.outer_step(sampler().sample(), optimizer, None) is None


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"backbone": MLP((4,), norm="layer")}, ""),
        ({"adapt_part": "head"}, ""),
        ({"optimizer": torch.optim.Adadelta}, "the optimiser runs apart: it is no plain Adam"),
    ],
    ids=["network", "features", "optimizer"],
)
def test_what_cannot_be_compiled_as_a_whole_is_left_as_it_was(given, note):
    given = dict(given)
    backbone = given.pop("backbone", MLP((4,)))
    kind = given.pop("optimizer", torch.optim.Adam)
    module = MAML(backbone.build((1,)), 1, engine="compiled", **given)
    before = copy.deepcopy(module.state_dict())
    optimizer = kind(module.parameters())
    assert module.outer_step(sampler().sample(), optimizer, None) is None
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    assert module.compiler.note.startswith(note)
    assert bool(module.compiler.note) == bool(note)


def test_off_a_cpu_no_whole_step_is_taken():
    # A recording for a GPU would change copies of the weights, and leave the weights.
    module = learner()
    episode = Episode(*(None if t is None else t.to("meta") for t in sampler().sample()))
    assert module.compiles(episode.X_support.device)
    optimizer = torch.optim.Adam(module.parameters())
    assert module.outer_step(episode, optimizer, None) is None
    assert module.compiler._steps == {}


def test_a_diverging_whole_step_is_told():
    module = recorded()
    module.outer_step = types.MethodType(lambda *_: torch.tensor(float("nan")), module)
    with pytest.raises(DivergenceError, match="meta-training diverged: the outer loss is nan"):
        trained(module)
