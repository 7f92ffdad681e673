import math

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from metaskl_rl import (
    MAMLPolicyGradient,
    NavigationEnv,
    NavigationTasks,
    Policy,
    Rollouts,
    roll_out,
)
from metaskl_rl.policies import stacked
from metaskl_rl.rollouts import advantages


def towards(velocity):
    """Return a policy that moves by a fixed velocity, all but surely."""
    policy = Policy(NavigationTasks(), ())
    parameters = {
        "weight0": torch.zeros(2, 2),
        "bias0": torch.tensor(velocity),
        "log_std": torch.full((2,), -20.0),
    }
    return policy, stacked(parameters, 1)


def test_an_episode_ends_at_the_goal_and_brings_nothing_more():
    # The goal is 0.3 away along the first axis: distances 0.2, 0.1, 0 and the end.
    policy, parameters = towards([1.0, 0.0])
    goal = torch.tensor([[0.3, 0.0]])
    played = roll_out(NavigationTasks(), goal, policy, parameters, 2, torch.Generator())
    assert played.returns().tolist() == [pytest.approx([-0.3, -0.3], abs=0.02)]
    assert played.alive[0, 0].sum().item() == 3
    assert played.rewards[0, 0, 3:].abs().sum().item() == 0.0


def test_velocities_are_cut_to_the_largest():
    policy, parameters = towards([50.0, -50.0])
    played = roll_out(
        NavigationTasks(3), torch.ones(1, 2), policy, parameters, 1, torch.Generator()
    )
    torch.testing.assert_close(played.observations[0, 0, 2], torch.tensor([0.2, -0.2]))


def test_squared_distances_are_the_other_published_reward():
    family, state = NavigationTasks(squared=True), torch.zeros(1, 1, 2)
    _, reward, _ = family.step(torch.tensor([[0.3, 0.4]]), state, state, torch.Generator())
    assert reward.item() == pytest.approx(-0.25)


@pytest.mark.parametrize(("squared", "expected"), [(False, -0.2), (True, -0.025)])
def test_who_knows_the_goal_gets_the_optimum(squared, expected):
    # From (0, 0) to (0.25, −0.1): distances 0.15, 0.05, 0, along the first axis alone.
    family, goal = NavigationTasks(squared=squared), torch.tensor([[0.25, -0.1]])
    assert family.optimum(goal).item() == pytest.approx(expected)
    state, total = torch.zeros(1, 1, 2), 0.0
    for _ in range(4):
        action = 10 * (goal[:, None] - state)
        state, reward, _ = family.step(goal, state, action, torch.Generator())
        total += reward.item()
    assert total == pytest.approx(expected, abs=1e-6)


def test_the_environment_is_a_task_of_the_family():
    goal = (0.2, -0.3)
    env = NavigationEnv(goal, NavigationTasks(horizon=4))
    check_env(env, skip_render_check=True)
    assert isinstance(env, gymnasium.Env)
    rng, total = np.random.default_rng(0), 0.0
    observed, _ = env.reset(seed=0)
    at = np.zeros(2)
    for step in range(4):
        action = rng.uniform(-1, 1, 2).astype(np.float32)
        observed, reward, terminated, truncated, _ = env.step(action)
        at = at + 0.1 * action
        np.testing.assert_allclose(observed, at, atol=1e-6)
        assert reward == pytest.approx(-math.dist(at, goal), abs=1e-6)
        assert (terminated, truncated) == (False, step == 3)
        total += reward
    assert total < 0


def drawn(n_steps=6):
    chance = torch.Generator().manual_seed(0)
    alive = torch.ones(2, 3, n_steps)
    alive[0, 0, 4:] = 0.0
    rewards = torch.randn(2, 3, n_steps, generator=chance) * alive
    seen = torch.randn(2, 3, n_steps, 2, generator=chance)
    return Rollouts(seen, torch.zeros(2, 3, n_steps, 2), rewards, alive)


def test_advantages_are_standardised_where_the_episode_lives():
    played = drawn()
    found = advantages(played)
    assert found[0, 0, 4:].tolist() == [0.0, 0.0]
    for task in range(2):
        lived = found[task][played.alive[task] > 0]
        assert lived.mean().item() == pytest.approx(0.0, abs=1e-5)
        assert lived.std(correction=0).item() == pytest.approx(1.0, abs=1e-4)


def test_what_is_expected_is_the_regression_on_state_and_time():
    played = drawn()
    one = Rollouts(*(part[1:] for part in vars(played).values()))  # a task without an early end
    n, steps = 3, 6
    to_come = np.zeros((n, steps))
    for t in reversed(range(steps)):
        later = to_come[:, t + 1] if t + 1 < steps else 0.0
        to_come[:, t] = one.rewards[0, :, t].numpy() + 0.9 * later
    seen, time = one.observations[0].double().numpy(), np.arange(steps) / 100
    parts = [seen, seen**2, *(np.tile(time**p, (n, 1))[..., None] for p in (1, 2, 3, 0))]
    A, b = np.concatenate(parts, -1).reshape(n * steps, -1), to_come.ravel()
    held = 1e-5 * np.trace(A.T @ A) / A.shape[1] * np.eye(A.shape[1])
    left = b - A @ np.linalg.solve(A.T @ A + held, A.T @ b)
    expected = (left - left.mean()) / left.std()
    np.testing.assert_allclose(advantages(one, 0.9)[0].ravel(), expected, atol=1e-4)


def test_the_seed_that_draws_a_task_does_not_explore_it():
    # Both begin with the same bits, if from the same source: the goal would decide the noise.
    meta = MAMLPolicyGradient(NavigationTasks(horizon=1), hidden_layer_sizes=(), n_episodes=4)
    goals = meta.family.sample(10, meta.generator())
    adapted = meta.adapt(goals)
    assert torch.equal(adapted["bias0"], meta.adapt(goals)["bias0"])  # the same at each call
    assert not torch.equal(adapted["bias0"], meta.adapt(goals, None, meta.generator())["bias0"])
