"""Outer steps whose gradient goes straight to the optimiser."""

import pytest
import torch
from skorch.callbacks import Callback
from test_whole import (
    CLIP,
    assert_a_lost_loss_changes_nothing,
    learner,
    masked,
    sampler,
    trained,
)

PLANS = {
    "as it is": {},
    "never shortened": {"gradient_clip": None},
    "shortened": {"gradient_clip": 0.05, "optimizer": "sgd", "outer_lr": 0.1},
    "decayed": {"optimizer": "adamw", "weight_decay": 0.1, "lr_schedule": "cosine"},
    "other": {"optimizer": "rmsprop"},
}
LEARNERS = {
    "rates by step": {},
    "fixed rates": {"inner_lr_mode": "fixed", "inner_clip": 0.1},
    "first order": {"first_order": True},
    "multi-step": {"multi_step_loss": True, "multi_step_epochs": 2},
    "parts": {"memory_budget": 100},
}
CASES = [(plan, {}) for plan in PLANS.values()] + [({}, how) for how in LEARNERS.values()]


@pytest.mark.parametrize(("plan", "how"), CASES, ids=[*PLANS, *LEARNERS])
def test_it_is_a_step_by_autograd(plan, how, monkeypatch):
    # A callback may look at gradients, so that these are taken by autograd.
    expected = trained(learner(engine="adjoint", **how), callbacks=[("any", Callback())], **plan)
    monkeypatch.setattr(torch.Tensor, "backward", None)
    found = trained(learner(engine="adjoint", **how), **plan)
    close = {"rtol": 1e-5, "atol": 1e-6}
    losses = [net.history[:, "train_loss"] for net in (found, expected)]
    torch.testing.assert_close(*losses, **close)
    weights = [net.module_.state_dict() for net in (found, expected)]
    torch.testing.assert_close(*weights, **close)
    states = [net.optimizer_.state_dict()["state"] for net in (found, expected)]
    torch.testing.assert_close(*states, **close)


def test_a_hook_sees_the_gradient():
    module = learner(engine="adjoint")
    before = module.network.head.weight.detach().clone()
    masked(module)
    unchanged = torch.arange(4) % 2 == 0
    assert torch.equal((module.network.head.weight == before).flatten(), unchanged)


def test_what_is_frozen_stays():
    module = learner(engine="adjoint")
    optimizer = torch.optim.Adam(module.parameters())
    module.outer_step(sampler().sample(), optimizer, CLIP)
    bias = module.network.head.bias.requires_grad_(False)
    before = bias.clone()
    module.outer_step(sampler().sample(), optimizer, CLIP)
    assert torch.equal(bias, before)
    assert bias.grad is None


def test_a_loss_that_is_no_number_leaves_all_as_it_was():
    assert_a_lost_loss_changes_nothing(learner(engine="adjoint"))
