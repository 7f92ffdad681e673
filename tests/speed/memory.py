"""Peak memory of a meta-gradient: one inner step, and twenty.

Each is measured in a process of its own: how far the resident memory rises above what it was before
the call, at its highest. The call before it has compiled what is compiled and warmed up the rest;
the C library is told to give freed memory back, so that none of that call's hides the rise.
"""

import ctypes
import gc
import sys
from pathlib import Path

import torch

from speed.apart import GIVE_BACK, in_a_process
from speed.options import Options
from speed.peers import Metaskl
from speed.problems import Problem
from speed.timing import markdown, show


def status(key: str) -> int:
    """Return a number of kB that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def measured(engine: str, n_tasks: int, n_steps: int) -> float:
    """Return the MiB by which a meta-gradient raises the memory of this process."""
    torch.set_num_threads(1)
    problem = Problem(n_tasks=n_tasks, n_steps=n_steps)
    row, episode = Metaskl(problem, torch.float32, engine), problem.sampler().sample()
    row.gradient(episode)
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest so far
    before = status("VmRSS")
    row.gradient(episode)
    return (status("VmHWM") - before) / 1024


def memory(options: Options) -> None:
    """Peak memory of 20 inner steps against 1, on sinusoids."""
    if not Path("/proc/self/clear_refs").exists():
        show("Left out: it needs Linux's /proc.")
        return
    engines = ("auto", "compiled", "vmap") if options.compiled else ("auto", "vmap")
    lines = []
    for n_tasks in (25,) if options.quick else (25, 256, 512):
        for engine in ("auto",) if options.quick else engines:
            few, many = (in_a_process("memory", GIVE_BACK, engine, n_tasks, n) for n in (1, 20))
            ratio = f"{many / few:.2f}" if few else "–"
            lines.append((str(n_tasks), engine, f"{few:.1f}", f"{many:.1f}", ratio))
    show(markdown(("tasks", "engine", "1 step, MiB", "20 steps", "20 / 1"), lines))


if __name__ == "__main__":
    print(measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
