"""Meta-gradients and complete steps of MLPs, by metaskl and by others."""

import dataclasses

import torch

from speed.options import Options
from speed.peers import COMPILED, ROWS, made
from speed.problems import Problem, in_double, same_gradients
from speed.timing import Row, interleaved, show, table

# So many complete steps of metaskl are timed together that the start of a fit hardly counts.
_STEPS_OF_A_FIT = 400
_SLOW_STEPS = 4
TABULAR = Problem(
    n_features=20, hidden=(64, 64), n_tasks=16, n_shot=16, n_query=32, n_steps=5, rate=0.01
)


def _rows(options: Options) -> dict:
    return {name: row for name, row in ROWS.items() if options.compiled or name != COMPILED}


def _title(problem: Problem) -> str:
    sizes = "-".join(map(str, (problem.n_features, *problem.hidden, 1)))
    rows = f"{problem.n_shot} + {problem.n_query} rows"
    return f"MLP {sizes}, {problem.n_tasks} tasks, {rows}, {problem.n_steps} inner step(s)"


def checked(problem: Problem, options: Options) -> dict:
    """Return the rows of a problem, after all gave the same meta-gradient in float64."""
    episode = problem.sampler().sample()
    same_gradients(made(problem, torch.float64, _rows(options)), in_double(episode))
    rows = made(problem, torch.float32, _rows(options))  # JAX is in one precision at a time
    for row in rows.values():
        row.gradient(episode)
    return rows


def meta_gradient(problem: Problem, options: Options) -> None:
    """Print the table of the bare meta-gradient."""
    rows, episode = checked(problem, options), problem.sampler().sample()
    timed = [Row(name, lambda r=row: r.gradient(episode)) for name, row in rows.items()]
    times = interleaved(timed, options.rounds(20))
    show(table(f"Meta-gradient: {_title(problem)}", times))


def complete_step(problem: Problem, options: Options) -> None:
    """Print the table of steps with drawing, meta-gradient and Adam."""
    rows, timed = checked(problem, options), []
    long = max(_STEPS_OF_A_FIT // (problem.n_steps * max(problem.n_tasks // 25, 1)), 40)
    for name, row in rows.items():
        fast = hasattr(row, "sampler") and "loop" not in name
        n_steps = 1 if options.quick else long if fast else _SLOW_STEPS
        timed.append(Row(name, lambda r=row, n=n_steps: r.train(n), n_steps))
    times = interleaved(timed, options.rounds(10))
    show(table(f"Complete step: {_title(problem)}", times))


def gradients(options: Options) -> None:
    """Bare meta-gradients of the sinusoids."""
    for n_steps in (1,) if options.quick else (1, 5, 10):
        meta_gradient(Problem(n_steps=n_steps), options)


def sinusoids(options: Options) -> None:
    """Complete steps on 25 sinusoids."""
    for n_steps in (1,) if options.quick else (1, 5, 10):
        complete_step(Problem(n_steps=n_steps), options)


def many(options: Options) -> None:
    """Complete steps on 256 and 512 sinusoids."""
    for n_tasks in (256,) if options.quick else (256, 512):
        complete_step(Problem(n_tasks=n_tasks), options)


def tabular(options: Options) -> None:
    """Meta-gradient and complete step of a tabular network."""
    problem = dataclasses.replace(TABULAR, n_steps=1) if options.quick else TABULAR
    meta_gradient(problem, options)
    complete_step(problem, options)


def wide(options: Options) -> None:
    """Meta-gradients of wider networks with five labelled rows."""
    for width in (64,) if options.quick else (64, 128, 256):
        sizes = {"hidden": (width, width), "n_shot": 5, "n_query": 10}
        n_steps = 1 if options.quick else 5
        meta_gradient(dataclasses.replace(TABULAR, **sizes, n_steps=n_steps), options)
