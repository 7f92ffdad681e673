"""An iteration of `fit` against the bare meta-step: one batch, gradient, fused Adam.

Each size is measured in a process of its own that keeps freed memory: of the same steps on 256
tasks, some took a third longer than others by pages that were given back and asked for again.
"""

import json
import statistics
import sys
from typing import Any

import numpy as np
import torch

from metaskl.backbones import MLP
from metaskl.learners import MetaLearner
from metaskl.learners.maml import MAML
from metaskl.tasks import ClassEpisodes, EpisodeSampler, TaskEpisodes, TaskSet
from metaskl.training import TrainingPlan, meta_train
from speed.apart import KEEP, in_a_process
from speed.options import Options
from speed.problems import Problem
from speed.timing import Row, Times, interleaved, markdown, middle, ratios, show


def fit(options: Options) -> None:
    """An iteration of fit against a bare meta-step, engine="auto"."""
    lines = []
    sizes = [("sinusoids", 25, 1)]
    if not options.quick:
        sizes = [("sinusoids", n_tasks, n_steps) for n_tasks in (25, 256) for n_steps in (1, 5, 10)]
        sizes += [(data, n, 1) for data in ("ragged", "classes") for n in (25, 256)]
    for data, n_tasks, n_steps in sizes:
        times = in_a_process("fitting", KEEP, data, n_tasks, n_steps, options.rounds(20))
        ms = (f"{1e3 * statistics.median(own):.3g}" for own in times.values())
        longer = middle(ratios(times, "bare", reference="fit"))
        drawn = statistics.median(ratios(times, "fit", reference="draw"))
        numbers = (data, str(n_tasks), str(n_steps), *ms, f"{drawn:.0%}")
        lines.append((*numbers, *longer.split(" | ")))
    header = ("episodes", "tasks", "inner steps", "bare, CPU ms", "drawing", "fit")
    show(markdown((*header, "drawing / fit", "fit / bare", "quartiles"), lines))


def work(data: str, n_tasks: int, n_steps: int) -> tuple[MetaLearner, EpisodeSampler]:
    """Return a learner and its episodes."""
    if data == "sinusoids":
        problem = Problem(n_tasks=n_tasks, n_steps=n_steps)
        return problem.learner("auto"), problem.sampler()
    draw = np.random.default_rng(0)
    how: dict[str, Any] = {"meta_batch_size": n_tasks, "random_state": 0}
    if data == "ragged":  # the same network; tasks of other sizes give what they have
        groups = np.repeat(np.arange(1000), draw.integers(5, 51, 1000))
        X = draw.normal(size=(len(groups), 1)).astype(np.float32)
        tasks = TaskSet.from_arrays(X, np.sin(X[:, 0]), groups)
        return Problem(n_steps=n_steps).learner("auto"), TaskEpisodes(
            tasks, n_shot=10, n_query=10, **how
        )
    X = draw.normal(size=(200 * 20, 20)).astype(np.float32)
    classes = TaskSet.from_arrays(X, np.zeros(len(X)), np.repeat(np.arange(200), 20))
    torch.manual_seed(0)
    learner = MAML(
        MLP((40, 40)).build((20,)),
        5,
        kind="classification",
        private_labels=True,
        adaptation_steps=n_steps,
    )
    return learner, ClassEpisodes(classes, n_way=5, n_shot=2, n_query=2, **how)


def iterations(data: str, n_tasks: int, n_inner: int, n_rounds: int) -> Times:
    """Return the CPU seconds of a bare meta-step, of drawing its episodes, and of `fit`."""
    module, sampler = work(data, n_tasks, n_inner)
    batch = sampler.sample()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    n_steps = max(400 // (n_inner * n_tasks // 25), 50)
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
    data, *numbers = sys.argv[1:]
    print(json.dumps(iterations(data, *map(int, numbers))))
