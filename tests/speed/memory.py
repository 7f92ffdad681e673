"""Peak memory of a meta-gradient: one inner step, and twenty, free and with a memory_budget.

Each is measured in a process of its own: how far the resident memory rises above what it was before
the call, at its highest. The call before it has compiled what is compiled and warmed up the rest;
the C library is told to give freed memory back, so that none of that call's hides the rise.
"""

import ctypes
import gc
import json
import sys
from pathlib import Path

import torch

from speed.apart import GIVE_BACK, in_a_process
from speed.options import Options
from speed.peers import Metaskl
from speed.problems import Problem
from speed.timing import Row, interleaved, markdown, middle, ratios, show

# The memory of twenty steps over that of one.
GOAL = 1.5


def status(key: str) -> int:
    """Return a number of kB that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def measured(engine: str, n_tasks: int, n_steps: int, budget: int) -> tuple[float, str]:
    """Return the MiB by which a meta-gradient raises the memory of this process, and its time.

    The time is that with the budget, in bytes, over that without (median and quartiles); 0 is no
    budget, and not timed.
    """
    torch.set_num_threads(1)
    problem = Problem(n_tasks=n_tasks, n_steps=n_steps)
    row, episode = Metaskl(problem, torch.float32, engine), problem.sampler().sample()
    found = "–"
    if budget:
        free = Metaskl(problem, torch.float32, engine)
        row.module.memory_budget = budget
        rows = [
            Row("budget", lambda: row.gradient(episode)),
            Row("free", lambda: free.gradient(episode)),
        ]
        found = middle(ratios(interleaved(rows, 11), "free"))
    row.gradient(episode)
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest so far
    before = status("VmRSS")
    row.gradient(episode)
    return (status("VmHWM") - before) / 1024, found


def memory(options: Options) -> None:
    """Peak memory of 20 inner steps against 1, on sinusoids."""
    if not Path("/proc/self/clear_refs").exists():
        show("Left out: it needs Linux's /proc.")
        return
    engines = ("auto", "compiled", "vmap") if options.compiled else ("auto", "vmap")
    lines, bounded = [], []
    for n_tasks in (25,) if options.quick else (25, 256, 512):
        for engine in ("auto",) if options.quick else engines:
            few, many = (
                in_a_process("memory", GIVE_BACK, engine, n_tasks, n, 0)[0] for n in (1, 20)
            )
            ratio = f"{many / few:.2f}" if few else "–"
            lines.append((str(n_tasks), engine, f"{few:.1f}", f"{many:.1f}", ratio))
            if engine == "auto" and few:
                budget = int(GOAL * few * 2**20)
                many, slower = in_a_process("memory", GIVE_BACK, engine, n_tasks, 20, budget)
                sizes = f"{budget / 2**20:.1f}", f"{many:.1f}", f"{many / few:.2f}"
                bounded.append((str(n_tasks), *sizes, *slower.split(" | ")))
    show(markdown(("tasks", "engine", "1 step, MiB", "20 steps", "20 / 1"), lines))
    show(f"By `memory_budget`, {GOAL} times what one step takes (`auto`), and how much longer:")
    header = ("tasks", "budget, MiB", "20 steps, MiB", "20 / 1", "time", "quartiles")
    show(markdown(header, bounded))


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], *map(int, sys.argv[2:]))))
