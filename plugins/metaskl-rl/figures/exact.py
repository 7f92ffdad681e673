"""Bandits and random tables: how much of the exact optimum one update reaches.

python plugins/metaskl-rl/figures/exact.py
"""

import time

import torch

from metaskl_rl import BanditTasks, MAMLPolicyGradient, TabularTasks
from metaskl_rl.policies import stacked

MODES = {"MAML": "fixed", "Meta-SGD": "per_parameter"}


def share(meta, parameters, tasks):
    """Return the mean share of the optimum, exactly, and half its 95 % interval over tasks."""
    value = meta.family.expected_return(tasks, meta.policy, parameters)
    shares = value / meta.family.optimum(tasks)
    return f"{shares.mean():.3f} ± {1.96 * shares.std() / len(shares) ** 0.5:.3f}"


def main():
    torch.set_num_threads(1)
    for family, inner_lr, n_steps in ((BanditTasks(5), 5.0, 100), (TabularTasks(), 3.0, 100)):
        tasks = family.sample(600, torch.Generator().manual_seed(99))
        for name, mode in MODES.items():
            start = time.process_time()
            meta = MAMLPolicyGradient(
                family, hidden_layer_sizes=(), inner_lr=inner_lr, inner_lr_mode=mode
            )
            before = share(meta, meta.adapt(tasks), tasks)
            meta.fit(n_steps)
            start_of_all = stacked(meta.parameters_, len(tasks))
            print(
                f"{type(family).__name__} {name}: before {share(meta, start_of_all, tasks)}, "
                f"after one update {share(meta, meta.adapt(tasks), tasks)} "
                f"(the same update untrained: {before}); "
                f"{time.process_time() - start:.0f} s of CPU",
                flush=True,
            )


if __name__ == "__main__":
    main()
