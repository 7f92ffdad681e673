"""An iteration of `fit` against the bare meta-step: one batch, gradient, fused Adam.

Each size is measured in a process of its own that keeps freed memory: of the same steps on 256
tasks, some took a third longer than others by pages that were given back and asked for again.
"""

import json
import statistics
import sys

import torch

from metaskl.training import TrainingPlan, meta_train
from speed.apart import KEEP, in_a_process
from speed.options import Options
from speed.problems import Problem
from speed.timing import Row, Times, interleaved, markdown, middle, ratios, show


def fit(options: Options) -> None:
    """An iteration of fit against a bare meta-step, engine="auto"."""
    lines = []
    for n_tasks in (25,) if options.quick else (25, 256):
        for n_steps in (1,) if options.quick else (1, 5, 10):
            n_rounds = options.rounds(20)
            times = in_a_process("fitting", KEEP, n_tasks, n_steps, n_rounds)
            ms = (f"{1e3 * statistics.median(own):.3g}" for own in times.values())
            longer = middle(ratios(times, "bare", reference="fit"))
            lines.append((str(n_tasks), str(n_steps), *ms, *longer.split(" | ")))
    header = ("tasks", "inner steps", "bare, CPU ms", "drawing", "fit", "fit / bare", "quartiles")
    show(markdown(header, lines))


def iterations(problem: Problem, n_rounds: int) -> Times:
    """Return the CPU seconds of a bare meta-step, of drawing its episodes, and of `fit`."""
    module, sampler = problem.learner("auto"), problem.sampler()
    batch = sampler.sample()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    n_steps = max(400 // (problem.n_steps * problem.n_tasks // 25), 50)
    plan = TrainingPlan(max_epochs=1, steps_per_epoch=n_steps)

    def bare() -> None:
        for _ in range(n_steps):
            optimizer.zero_grad()
            module.episode_loss(batch).backward()
            optimizer.step()

    def draw() -> None:
        for _ in sampler.stream(n_steps):
            pass

    rows = [
        Row("bare", bare, n_steps),
        Row("draw", draw, n_steps),
        Row("fit", lambda: meta_train(module, sampler, plan), n_steps),
    ]
    return interleaved(rows, n_rounds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    n_tasks, n_steps, n_rounds = map(int, sys.argv[1:])
    print(json.dumps(iterations(Problem(n_tasks=n_tasks, n_steps=n_steps), n_rounds)))
