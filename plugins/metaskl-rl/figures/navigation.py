"""Two-dimensional navigation with one policy-gradient step: MAML and Meta-SGD.

Published (fixed start, 600 new tasks, one update): MAML −9.12 ± 0.66, Meta-SGD −8.64 ± 0.68
(Z. Li et al., 2017). The second update is half as long, as in the published program.

    python plugins/metaskl-rl/figures/navigation.py --mode fixed
    python plugins/metaskl-rl/figures/navigation.py --mode per_parameter
"""

import argparse
import time

import torch

from metaskl_rl import MAMLPolicyGradient, NavigationTasks

EVERY = 40  # outer steps from one line to the next


def line(returns):
    """Return the means over goals before and after each update, with their intervals."""
    half = 1.96 * returns.std(0) / len(returns) ** 0.5
    return ", ".join(f"{m:.2f} ± {h:.2f}" for m, h in zip(returns.mean(0), half, strict=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("fixed", "per_parameter"), default="fixed")
    parser.add_argument("--inner-lr", type=float, default=0.1)
    parser.add_argument("--iterations", type=int, default=120)
    parser.add_argument(
        "--test-episodes", type=int, nargs="*", default=[], help="of the update, on 200 goals"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    tasks = NavigationTasks().sample(600, torch.Generator().manual_seed(99))
    print(f"who knows the goal gets {NavigationTasks().optimum(tasks).mean():.2f}")
    meta = MAMLPolicyGradient(
        NavigationTasks(),
        inner_lr=args.inner_lr,
        inner_lr_mode=args.mode,
        curvature_episodes=2,
        random_state=args.seed,
    )
    for done in range(0, args.iterations, EVERY):
        meta.fit(min(EVERY, args.iterations - done))
        text = line(meta.returns(tasks, n_steps=2))
        print(
            f"{len(meta.history_):4} outer steps, {time.process_time() - start:.0f} s of CPU: "
            f"return after 0, 1, 2 updates {text}",
            flush=True,
        )
    for meta.n_episodes in args.test_episodes:
        print(
            f"updates from {meta.n_episodes} episodes: {line(meta.returns(tasks[:200], n_steps=2))}"
        )


if __name__ == "__main__":
    main()
