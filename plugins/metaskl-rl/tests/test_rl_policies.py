import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from metaskl_rl import BanditTasks, NavigationTasks, Policy, TabularTasks
from metaskl_rl.policies import stacked


def made(family, n_tasks=3):
    policy, chance = Policy(family, (7,)), torch.Generator().manual_seed(0)
    own = {n: [] for n in policy.initial(chance)}
    for _ in range(n_tasks):
        for name, value in policy.initial(chance).items():
            own[name].append(value + 0.3 * torch.randn(value.shape, generator=chance))
    return policy, {name: torch.stack(values) for name, values in own.items()}


def distribution(policy, parameters, seen):
    output = policy.outputs(parameters, seen)
    if policy.discrete:
        return Categorical(logits=output)
    std = parameters["log_std"].exp()[:, None].expand_as(output)
    return Independent(Normal(output, std), 1)


@pytest.mark.parametrize("family", [NavigationTasks(), TabularTasks(4, 3)])
def test_densities_and_divergences_are_torchs(family):
    policy, old = made(family)
    new = {name: value + 0.1 for name, value in old.items()}
    seen = torch.randn(3, 5, family.n_observations, generator=torch.Generator().manual_seed(1))
    actions = policy.draw(old, seen, torch.Generator().manual_seed(2))
    before, after = distribution(policy, old, seen), distribution(policy, new, seen)
    torch.testing.assert_close(policy.log_probability(old, seen, actions), before.log_prob(actions))
    torch.testing.assert_close(
        policy.divergence(old, new, seen), kl_divergence(before, after), rtol=1e-4, atol=1e-6
    )


def test_tasks_have_policies_of_their_own():
    policy, parameters = made(NavigationTasks())
    seen = torch.ones(3, 1, 2)
    together = policy.outputs(parameters, seen)
    for task in range(3):
        alone = {name: value[task : task + 1] for name, value in parameters.items()}
        torch.testing.assert_close(policy.outputs(alone, seen[:1])[0], together[task])


def test_choices_are_drawn_by_their_share():
    policy = Policy(BanditTasks(2), ())
    parameters = stacked(
        {"weight0": torch.zeros(1, 2), "bias0": torch.tensor([0.0, 3.0]).log1p()}, 1
    )
    drawn = policy.draw(parameters, torch.ones(1, 4000, 1), torch.Generator().manual_seed(0))
    assert drawn.float().mean().item() == pytest.approx(0.8, abs=4 * (0.16 / 4000) ** 0.5)
