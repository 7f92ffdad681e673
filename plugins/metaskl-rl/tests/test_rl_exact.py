"""Bandits and tables against their exact optima and gradients."""

import itertools

import pytest
import torch

from metaskl.errors import ParameterError
from metaskl_rl import (
    BanditTasks,
    MAMLPolicyGradient,
    NavigationTasks,
    Policy,
    TabularTasks,
    roll_out,
)
from metaskl_rl.policies import stacked
from metaskl_rl.surrogate import Collected, ascended, surrogate


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_best_plan_of_a_table_is_the_best_of_all_plans():
    family = TabularTasks(n_states=2, n_actions=2, horizon=3)
    (task,) = family.sample(1, chance()).double()
    chances, rewards = task[..., :-1], task[..., -1]
    returns = []
    for plan in itertools.product([0, 1], repeat=6):  # an action for each time and state
        value = torch.zeros(2, dtype=torch.float64)
        for t in reversed(range(3)):
            acts = plan[2 * t : 2 * t + 2]
            value = torch.stack([rewards[s, a] + chances[s, a] @ value for s, a in enumerate(acts)])
        returns.append(value[0].item())
    assert family.optimum(task[None]).item() == pytest.approx(max(returns))


def test_the_exact_return_is_the_mean_of_many_episodes():
    family = TabularTasks(n_states=3, n_actions=2, horizon=5)
    tasks, policy = family.sample(4, chance()), Policy(family, ())
    parameters = {
        name: torch.randn(4, *value.shape, generator=chance(1))
        for name, value in policy.initial(chance()).items()
    }
    played = roll_out(family, tasks, policy, parameters, 4000, chance(2)).returns()
    error = played.std(1) / 4000**0.5
    exact = family.expected_return(tasks, policy, parameters)
    assert ((played.mean(1) - exact).abs() < 4 * error).all()
    assert (exact <= family.optimum(tasks)).all()


def all_arms(policy, parameters, tasks):
    """Return every arm as a row, weighted by its share, so that nothing is left to chance."""
    n_tasks, n_arms = tasks.shape
    seen = torch.ones(n_tasks, n_arms, 1).to(tasks)
    actions = torch.arange(n_arms).expand(n_tasks, -1)
    logs = policy.log_probability(parameters, seen, actions).detach()
    return Collected(seen, actions, logs.exp(), tasks, logs)


def test_the_meta_gradient_of_a_bandit_is_the_exact_one():
    # With every arm weighted by its share the surrogate is the expected reward, and so one
    # inner step is exact gradient ascent, which can be differentiated by differences.
    family = BanditTasks(3)
    meta = MAMLPolicyGradient(family, hidden_layer_sizes=(), inner_lr=2.0)
    tasks = family.sample(4, chance(3)).double()
    rates = {name: rate.double() for name, rate in meta.rates_.items()}
    start = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)

    def exactly(bias):
        bias = bias.detach().requires_grad_()
        value = (torch.softmax(bias, -1) * tasks).sum(-1)
        slopes = torch.stack(
            [torch.autograd.grad(v, bias, retain_graph=True)[0] for v in value.unbind()]
        )
        # The constant observation lets weight and bias step alike: twice the step.
        share = torch.softmax(bias + 2 * 2.0 * slopes, -1)
        return (share * tasks).sum(-1).mean().detach()

    bias = start.clone().requires_grad_()
    parameters_ = {
        "weight0": torch.zeros(4, 1, 3).double().requires_grad_(),
        "bias0": bias.expand(4, 3),
    }
    rows = all_arms(meta.policy, parameters_, tasks)
    adapted = ascended(meta.policy, parameters_, rates, rows)
    value = family.expected_return(tasks, meta.policy, adapted).mean()
    assert value.item() == pytest.approx(exactly(start).item(), rel=1e-9)
    (slope,) = torch.autograd.grad(value, bias)
    eps = 1e-5
    for i in range(3):
        unit = torch.zeros(3, dtype=torch.float64)
        unit[i] = eps
        difference = (exactly(start + unit) - exactly(start - unit)) / (2 * eps)
        assert slope[i].item() == pytest.approx(difference.item(), rel=1e-6, abs=1e-9)


def gap(meta, n_tasks=300):
    """Return the mean shares of the optimum before and after adapting, exactly."""
    tasks = meta.family.sample(n_tasks, chance(99))
    best = meta.family.optimum(tasks)
    before = stacked(meta.parameters_, n_tasks)
    found = [before, meta.adapt(tasks)]
    returns = [meta.family.expected_return(tasks, meta.policy, p) for p in found]
    return [(value / best).mean().item() for value in returns]


@pytest.mark.parametrize("mode", ["fixed", "per_parameter"])
def test_adapting_brings_a_bandit_near_its_optimum(mode):
    meta = MAMLPolicyGradient(
        BanditTasks(5), hidden_layer_sizes=(), inner_lr=5.0, inner_lr_mode=mode
    )
    before, after = gap(meta.fit(10))
    assert before < 0.65  # it is 0.5 / (5/6) = 0.6 for any policy that knows nothing
    assert after > 0.8


def test_meta_training_improves_what_one_step_brings_on_tables():
    # From a uniform start and a small rate, the start and the rates are what can be learned.
    meta = MAMLPolicyGradient(
        TabularTasks(4, 3, 5), hidden_layer_sizes=(), inner_lr=1.0, inner_lr_mode="per_parameter"
    )
    untrained = gap(meta)
    trained = gap(meta.fit(30))
    assert trained[1] > untrained[1] + 0.03
    assert trained[1] > trained[0]


def test_the_slope_of_the_surrogate_is_that_of_the_exact_return():
    family = TabularTasks(n_states=3, n_actions=2, horizon=3)
    tasks, policy = family.sample(1, chance()), Policy(family, ())
    parameters = {
        name: torch.randn(1, *value.shape, generator=chance(1)).requires_grad_()
        for name, value in policy.initial(chance()).items()
    }
    exact = torch.autograd.grad(
        family.expected_return(tasks, policy, parameters).sum(), list(parameters.values())
    )
    found = []
    for seed in range(40):
        played = roll_out(family, tasks, policy, parameters, 500, chance(seed))
        to_come = played.rewards.flip(-1).cumsum(-1).flip(-1)
        seen, actions, weight = played.rows()
        logs = policy.log_probability(parameters, seen, actions).detach()
        rows = Collected(seen, actions, weight, to_come.flatten(1, 2), logs)
        # A mean over rows, of which an episode has three.
        value = 3 * surrogate(policy, parameters, rows).sum()
        slopes = torch.autograd.grad(value, list(parameters.values()))
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    found = torch.stack(found)
    error = found.std(0) / len(found) ** 0.5
    expected = torch.cat([slope.flatten() for slope in exact])
    assert (expected.abs() > 10 * error).any()  # it could be told from nothing
    assert ((found.mean(0) - expected).abs() < 4 * error).all()


def test_fitting_in_parts_is_fitting_at_once():
    def made():
        return MAMLPolicyGradient(BanditTasks(3), hidden_layer_sizes=())

    assert made().fit(1).fit(2).history_ == made().fit(3).history_


def test_the_same_seed_gives_the_same_policy_and_a_fit_goes_on():
    def made(**arguments):
        return MAMLPolicyGradient(BanditTasks(3), hidden_layer_sizes=(4,), **arguments)

    once, twice, other = made().fit(3), made().fit(3), made(random_state=1).fit(3)
    assert once.history_ == twice.history_ != other.history_
    assert all(torch.equal(once.parameters_[n], twice.parameters_[n]) for n in once.parameters_)
    assert len(once.fit(2).history_) == 5


def test_first_order_leaves_the_second_derivatives_out():
    found = [
        MAMLPolicyGradient(
            BanditTasks(3), hidden_layer_sizes=(), inner_lr=5.0, first_order=first
        ).fit(1)
        for first in (False, True)
    ]
    assert not torch.equal(found[0].parameters_["bias0"], found[1].parameters_["bias0"])


def test_more_steps_than_in_training():
    meta = MAMLPolicyGradient(BanditTasks(3), hidden_layer_sizes=(), inner_lr=5.0).fit(1)
    returns = meta.returns(meta.family.sample(200, chance(5)), n_steps=3).mean(0)
    assert returns.shape == (4,)
    assert returns[3] > returns[0]


def test_steps_beyond_those_of_training_are_half_as_long():
    # A table without a hidden layer, so that a step is the rate times a slope at the same point.
    def reached(adaptation_steps):
        meta = MAMLPolicyGradient(
            TabularTasks(3, 2, 4), hidden_layer_sizes=(), adaptation_steps=adaptation_steps
        )
        tasks = meta.family.sample(5, chance(5))
        return [meta.adapt(tasks, n)["weight0"] for n in (1, 2)]

    (first, shorter), (same, whole) = reached(1), reached(2)
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    torch.testing.assert_close(shorter - first, (whole - first) / 2, rtol=1e-4, atol=1e-6)
    assert not torch.equal(first, shorter)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: BanditTasks(1), "n_arms must be at least 2, got 1"),
        (lambda: TabularTasks(n_actions=1), "n_actions must be at least 2"),
        (lambda: TabularTasks(horizon=0), "horizon must be at least 1"),
        (lambda: NavigationTasks(horizon=0), "horizon must be at least 1"),
    ],
)
def test_families_too_small_are_refused(made, message):
    with pytest.raises(ParameterError, match=message):
        made()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inner_lr_mode": "adam"}, "inner_lr_mode must be one of"),
        ({"inner_lr": 0.0}, "inner_lr and trust must be above 0"),
        ({"discount": 1.5}, "discount in"),
        ({"n_episodes": 1}, "n_episodes at least 2"),
    ],
)
def test_bad_parameters_are_named(wrong, message):
    with pytest.raises(ParameterError, match=message):
        MAMLPolicyGradient(BanditTasks(), **wrong)
