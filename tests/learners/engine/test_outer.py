"""Adam as a part of an outer step, and when it is left to the optimiser."""

import pytest
import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from metaskl.learners.engine.memory import Need
from metaskl.learners.engine.outer import (
    adam_of,
    rates_of,
    settings_of,
    state_of,
    taken_at_once,
    why_apart,
)

CLIP = 0.5


def weights():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in [(3, 2), (4,)]]


def groups_of(own, decay):
    """Return one group, or one a weight, the last first, where each has a decay of its own."""
    if isinstance(decay, float):
        return [{"params": own, "weight_decay": decay}]
    each = zip(own, decay, strict=True)
    return [{"params": [weight], "weight_decay": d} for weight, d in each][::-1]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1, (0.1, 0.0), (0.0, 0.1)])
@pytest.mark.parametrize("clip", [None, CLIP, 1e6])
def test_it_is_torchs_adam(kind, weight_decay, clip):
    own, expected = weights(), [torch.nn.Parameter(w) for w in weights()]
    how = {"lr": 0.1, "betas": (0.8, 0.95)}
    ours, theirs = (kind(groups_of(w, weight_decay), **how) for w in (own, expected))
    assert why_apart(ours) == ""
    adam = adam_of(ours, own, clip)
    draw = torch.Generator().manual_seed(1)
    for k in range(4):
        for optimizer in (ours, theirs):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (k + 1)
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


@pytest.mark.parametrize("named", [True, False])
def test_adamw_decouples_where_its_groups_do_not_say_so(named):
    own = weights()
    optimizer = torch.optim.AdamW(own)
    if not named:  # as before torch 2.7
        optimizer.param_groups[0].pop("decoupled_weight_decay", None)
    assert adam_of(optimizer, own, CLIP).decoupled


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_its_state_begins_as_torchs_does(default, fused):
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(default)
        own, expected = weights(), weights()
        ours, theirs = (torch.optim.Adam(w, fused=fused) for w in (own, expected))
        state_of(ours, own)
        for weight in expected:
            weight.grad = torch.ones_like(weight)
        theirs.step()
    finally:
        torch.set_default_dtype(before)
    kinds = [
        {name: (t.dtype, t.device, t.shape) for name, t in kept.items()}
        for optimizer in (ours, theirs)
        for kept in optimizer.state.values()
    ]
    assert kinds[:2] == kinds[2:]


def test_what_is_compiled_in_is_part_of_the_settings():
    own = weights()
    optimizers = [
        torch.optim.Adam(own),
        torch.optim.AdamW(own),
        torch.optim.Adam(own, betas=(0.5, 0.9)),
        torch.optim.Adam(own, eps=1e-3),
        torch.optim.Adam(own, weight_decay=0.1),
        torch.optim.Adam(own[:1]),
        torch.optim.Adam(weights()),
    ]
    settings = [settings_of(optimizer) for optimizer in optimizers]
    decoupled = torch.optim.Adam(own)
    decoupled.param_groups[0]["decoupled_weight_decay"] = True
    settings.append(settings_of(decoupled))
    own[0].requires_grad_()
    settings.append(settings_of(optimizers[0]))
    own[0].data = own[0].data.float()
    settings.append(settings_of(optimizers[0]))
    assert len(set(settings)) == len(settings)
    assert settings_of(torch.optim.Adam(own, lr=0.5)) == settings[-1]


class NotAdam(torch.optim.Adam):
    """It may do anything."""


@pytest.mark.parametrize(
    "make",
    [
        lambda w: torch.optim.SGD(w),
        lambda w: NotAdam(w),
        lambda w: torch.optim.Adam(w, amsgrad=True),
        lambda w: torch.optim.Adam(w, maximize=True),
        lambda w: torch.optim.Adam(w, lr=torch.tensor(0.1)),
        lambda w: torch.optim.Adam(w, betas=(torch.tensor(0.9), torch.tensor(0.99))),
        lambda w: torch.optim.Adam([{"params": w[:1]}, {"params": w[1:], "lr": 0.5}]),
    ],
    ids=["sgd", "subclass", "amsgrad", "maximize", "lr", "betas", "groups"],
)
def test_other_optimisers_run_apart(make):
    own = weights()
    assert why_apart(torch.optim.Adam(own)) == ""
    assert why_apart(make(own)) == "it is no plain Adam of all that is learned"


def test_an_optimiser_of_other_weights_runs_apart():
    own = weights()
    assert adam_of(torch.optim.Adam(own), own, CLIP) is not None
    assert adam_of(torch.optim.Adam(own[:1]), own, CLIP) is None
    assert adam_of(torch.optim.Adam([*own, torch.zeros(1)]), own, CLIP) is None


def test_weights_of_different_ages_run_apart():
    own = weights()
    optimizer = torch.optim.Adam(own)
    own[0].grad = torch.ones_like(own[0])
    optimizer.step()
    assert why_apart(optimizer) == "not all that is learned has taken as many steps"
    assert len(optimizer.state) == 1


def test_strided_weights_run_apart():
    assert why_apart(torch.optim.Adam([torch.zeros(3, 2).T])) == "it is strided"


@pytest.mark.parametrize(
    "hook",
    [
        lambda w, _: w.register_hook(torch.zeros_like),
        lambda w, _: w.register_post_accumulate_grad_hook(print),
        lambda _, optimizer: optimizer.register_step_pre_hook(print),
        lambda _, optimizer: optimizer.register_step_post_hook(print),
        lambda *_: register_optimizer_step_pre_hook(print),
        lambda *_: register_optimizer_step_post_hook(print),
    ],
    ids=["gradient", "accumulated", "before", "after", "before any", "after any"],
)
def test_what_is_hooked_runs_apart(hook):
    own = [torch.nn.Parameter(w) for w in weights()]
    optimizer = torch.optim.Adam(own)
    handle = hook(own[1], optimizer)
    try:
        assert why_apart(optimizer) == "hooks of the gradients or of its steps want to be called"
    finally:
        handle.remove()
    assert why_apart(optimizer) == ""


def test_what_fits_at_once():
    # Two tasks of 10 bytes, and 5 for each of 3 steps, are 50.
    need = Need(once=10, a_step=5, a_point=1, n_steps=3, n_tasks=2)
    assert need.fits(50)
    assert not need.fits(49)


def adams(kind, decay, **how):
    pair = [[torch.nn.Parameter(w) for w in weights()] for _ in "ab"]
    return pair, [kind(groups_of(own, decay), lr=0.1, betas=(0.8, 0.95), **how) for own in pair]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("weight_decay", [0.0, (0.1, 0.0)])
def test_a_step_by_the_function_alone_is_the_optimisers(kind, weight_decay):
    pair, (ours, theirs) = adams(kind, weight_decay, fused=True)
    draw = torch.Generator().manual_seed(1)
    for k in range(3):
        for own, other in zip(*pair, strict=True):
            own.grad = torch.randn(own.shape, generator=draw, dtype=own.dtype)
            other.grad = own.grad.clone()
        assert taken_at_once(ours) == (k > 0)  # the first step is the optimiser's, with its state
        if k == 0:
            ours.step()
        theirs.step()
    torch.testing.assert_close(*([p.detach() for p in own] for own in pair), rtol=0, atol=0)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("what", ["not fused", "no gradient", "a hook"])
def test_other_steps_are_left_to_the_optimiser(what):
    (own, _), (optimizer, _) = adams(torch.optim.Adam, 0.0, fused=what != "not fused")
    for weight in own:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    if what == "no gradient":
        own[0].grad = None
    if what == "a hook":
        optimizer.register_step_post_hook(lambda *given: None)
    before = [weight.detach().clone() for weight in own]
    assert not taken_at_once(optimizer)
    torch.testing.assert_close([weight.detach() for weight in own], before, rtol=0, atol=0)
