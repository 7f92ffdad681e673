"""Bandits and random tables: how much of the exact optimum one update reaches.

Beside it what is best done without meta-learning: 20 episodes at random, and then the best arm
or plan by what they tell, the distribution of the tasks being known. Intervals are over 600 new
tasks, at 95 %; differences are paired.

    python plugins/metaskl-rl/figures/exact.py
"""

import time

import torch

from metaskl_rl import BanditTasks, MAMLPolicyGradient, TabularTasks, roll_out
from metaskl_rl.policies import stacked

MODES = {"MAML": "fixed", "Meta-SGD": "per_parameter"}
# Rates chosen on other tasks of the same families.
CASES = ((BanditTasks(5), 5.0, 100), (TabularTasks(), 30.0, 300))


def at_random(meta, tasks):
    """Return what the untrained policy plays: all actions alike."""
    even = {name: torch.zeros_like(value) for name, value in meta.parameters_.items()}
    parameters = stacked(even, len(tasks))
    return roll_out(meta.family, tasks, meta.policy, parameters, meta.n_episodes, meta.generator())


def best_arm(meta, tasks):
    """Return the exact values of the arms that 20 pulls at random tell to be best."""
    played = at_random(meta, tasks)
    arms = torch.nn.functional.one_hot(played.actions[..., 0], meta.family.n_actions)
    won = (arms * played.rewards).sum(1)
    mean = (won + 1) / (arms.sum(1) + 2)  # of the chances, which were drawn evenly
    return tasks.gather(1, mean.argmax(1, keepdim=True))[:, 0]


def best_plan(meta, tasks):
    """Return the exact values of the plans that 20 episodes at random tell to be best."""
    played, n_states, n_actions = at_random(meta, tasks), *tasks.shape[1:3]
    state = played.observations.argmax(-1)
    cell = (state * n_actions + played.actions).flatten(1)
    n_tasks, size = len(tasks), n_states * n_actions
    count = torch.zeros(n_tasks, size).scatter_add_(1, cell, torch.ones(cell.shape))
    won = torch.zeros(n_tasks, size).scatter_add_(1, cell, played.rewards.flatten(1))
    # Mean rewards were drawn from N(1, 1) and are seen with unit variance, chances evenly.
    reward = (won + 1) / (count + 1)
    # Where the last step leads is not seen.
    move = cell.reshape(state.shape)[..., :-1] * n_states + state[..., 1:]
    moves = torch.zeros(n_tasks, size * n_states)
    moves.scatter_add_(1, move.flatten(1), torch.ones(n_tasks, move[0].numel()))
    moves = moves.reshape(n_tasks, size, n_states) + 1
    shape = n_tasks, n_states, n_actions
    guess = (moves / moves.sum(-1, keepdim=True)).reshape(*shape, n_states), reward.reshape(shape)
    truth = tasks[..., :-1], tasks[..., -1]
    hoped = value = torch.zeros(n_tasks, n_states)
    for _ in range(meta.family.horizon):
        worth, true = (
            r + (p @ v[:, None, :, None])[..., 0] for (p, r), v in ((guess, hoped), (truth, value))
        )
        hoped, best = worth.max(-1)
        value = true.gather(-1, best[..., None])[..., 0]
    return value[:, 0]


def interval(values):
    """Return mean and half the 95 % interval over tasks, as text."""
    return f"{values.mean():6.3f} ± {1.96 * values.std() / len(values) ** 0.5:.3f}"


def main():
    torch.set_num_threads(1)
    for family, inner_lr, n_steps in CASES:
        tasks = family.sample(600, torch.Generator().manual_seed(99))
        plain = best_arm if isinstance(family, BanditTasks) else best_plan
        optimum, by_hand = family.optimum(tasks), None
        for name, mode in MODES.items():
            start = time.process_time()
            meta = MAMLPolicyGradient(
                family, hidden_layer_sizes=(), inner_lr=inner_lr, inner_lr_mode=mode
            )

            def share(parameters, meta=meta, tasks=tasks, optimum=optimum):
                return meta.family.expected_return(tasks, meta.policy, parameters) / optimum

            if by_hand is None:
                by_hand = plain(meta, tasks) / optimum
                print(f"{type(family).__name__}: {interval(by_hand)} {plain.__name__}")
            shares = {"untrained, one update": share(meta.adapt(tasks))}
            meta.fit(n_steps)
            shares["no update"] = share(stacked(meta.parameters_, len(tasks)))
            shares["one update"] = share(meta.adapt(tasks))
            for what, values in shares.items():
                less = interval(values - by_hand)
                print(f"{name:9} {what:22} {interval(values)}   less the plain: {less}")
            print(f"{time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
