"""Outer steps that are compiled as a whole: Adam, and when it is left to the optimiser."""

import copy
import types

import pytest
import torch
from skorch.callbacks import Callback

from metaskl.backbones import MLP
from metaskl.errors import DivergenceError
from metaskl.learners.engine.memory import Need
from metaskl.learners.engine.outer import adam_of, rates_of, settings_of, state_of
from metaskl.learners.maml import MAML
from metaskl.tasks import SinusoidTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train

CLIP = 0.5


def weights():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in [(3, 2), (4,)]]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [None, CLIP, 1e6])
def test_it_is_torchs_adam(kind, weight_decay, clip):
    own, expected = weights(), [torch.nn.Parameter(w) for w in weights()]
    how = {"lr": 0.1, "weight_decay": weight_decay, "betas": (0.8, 0.95)}
    ours, theirs = kind(own, **how), kind(expected, **how)
    adam = adam_of(ours, own, clip)
    draw = torch.Generator().manual_seed(1)
    for k in range(4):
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
        gradients = [torch.randn(w.shape, generator=draw, dtype=torch.float64) for w in own]
        state = state_of(ours, own)
        adam.update(own, gradients, state, rates_of(ours, state))
        torch._foreach_add_(state.steps, 1)
        for parameter, gradient in zip(expected, gradients, strict=True):
            parameter.grad = gradient
        if clip is not None:
            torch.nn.utils.clip_grads_with_norm_(
                expected, clip, torch.nn.utils.get_total_norm(gradients)
            )
        theirs.step()
    torch.testing.assert_close(own, [p.detach() for p in expected])
    found, wanted = ours.state_dict(), theirs.state_dict()
    torch.testing.assert_close(found["state"], wanted["state"])
    assert found["param_groups"] == wanted["param_groups"]


def test_what_is_compiled_in_is_part_of_the_settings():
    optimizers = [
        torch.optim.Adam(weights()),
        torch.optim.AdamW(weights()),
        torch.optim.Adam(weights(), betas=(0.5, 0.9)),
        torch.optim.Adam(weights(), eps=1e-3),
        torch.optim.Adam(weights(), weight_decay=0.1),
        torch.optim.Adam(weights(), amsgrad=True),
        torch.optim.Adam(weights(), lr=torch.tensor(0.1)),
        torch.optim.Adam(weights()[:1]),
        torch.optim.Adam([{"params": [w]} for w in weights()]),
    ]
    assert len({settings_of(optimizer) for optimizer in optimizers}) == len(optimizers)


class NotAdam(torch.optim.Adam):
    """It may do anything."""


@pytest.mark.parametrize(
    "make",
    [
        lambda w: torch.optim.SGD(w),
        lambda w: NotAdam(w),
        lambda w: torch.optim.Adam(w, amsgrad=True),
        lambda w: torch.optim.Adam(w, maximize=True),
        lambda w: torch.optim.Adam([{"params": w[:1]}, {"params": w[1:]}]),
        lambda w: torch.optim.Adam(w[:1]),
        lambda w: torch.optim.Adam([*w, torch.zeros(1)]),
    ],
    ids=["sgd", "subclass", "amsgrad", "maximize", "groups", "fewer", "more"],
)
def test_other_optimisers_run_apart(make):
    own = weights()
    assert adam_of(torch.optim.Adam(own), own, CLIP) is not None
    assert adam_of(make(own), own, CLIP) is None


def test_weights_of_different_ages_run_apart():
    own = weights()
    optimizer = torch.optim.Adam(own)
    own[0].grad = torch.ones_like(own[0])
    optimizer.step()
    assert adam_of(optimizer, own, CLIP) is None


def test_what_fits_at_once():
    # Two tasks of 10 bytes, and 5 for each of 3 steps, are 50.
    need = Need(once=10, a_step=5, a_point=1, n_steps=3, n_tasks=2)
    assert need.fits(50)
    assert not need.fits(49)


def learner(**arguments):
    torch.manual_seed(0)
    how = {"adaptation_steps": 2, "engine": "compiled", **arguments}
    return MAML(MLP((4,), "tanh").build((1,)), 1, **how)


def sampler():
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set()
    return TaskEpisodes(tasks, meta_batch_size=3, random_state=0)


def trained(module, **plan):
    return meta_train(module, sampler(), TrainingPlan(max_epochs=3, steps_per_epoch=4, **plan))


@pytest.mark.slow
@pytest.mark.parametrize("multi_step", [False, True])
def test_a_compiled_step_is_an_outer_step(multi_step, monkeypatch):
    plan = {"optimizer": "adamw", "weight_decay": 0.1, "gradient_clip": 1.0, "outer_lr": 0.01}
    plan |= {"lr_schedule": "cosine"}
    annealed = {"multi_step_loss": True, "multi_step_epochs": 4} if multi_step else {}
    expected = trained(learner(engine="loop", **annealed), **plan)
    # If a step were taken in any other way, this would raise.
    monkeypatch.setattr(MAML, "loss_of", None)
    found = trained(learner(**annealed), **plan)
    assert found.module_.compiler.note == ""
    assert "all at once" in found.module_.memory_note
    losses = [net.history[:, "train_loss"] for net in (found, expected)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        found.module_.state_dict(), expected.module_.state_dict(), rtol=1e-4, atol=1e-6
    )
    states = [net.optimizer_.state_dict()["state"] for net in (found, expected)]
    torch.testing.assert_close(*states, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_what_is_frozen_between_two_trainings_stays():
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
        ({"memory_budget": 100}, ""),
        ({"adapt_part": "head"}, ""),
        ({"optimizer": torch.optim.SGD}, "the optimiser runs apart: it is no plain Adam"),
    ],
    ids=["network", "parts", "features", "optimizer"],
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


def test_a_diverging_whole_step_is_told():
    module = recorded()
    module.outer_step = types.MethodType(lambda *_: torch.tensor(float("nan")), module)
    with pytest.raises(DivergenceError, match="meta-training diverged: the outer loss is nan"):
        trained(module)
