"""The command: `make speed`, or `make speed SPEED="gradients fit --rounds 5"`."""

import argparse
import os
import time
import warnings
from pathlib import Path

import torch

from speed.options import Options
from speed.packages import use_learn2learn, versions
from speed.timing import show
from speed.workloads import WORKLOADS


def main() -> None:
    told = "\n".join(f"  {name:<10} {work.__doc__}" for name, work in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="make speed",
        description="Time metaskl against others.",
        epilog=f"workloads:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="by default all")
    parser.add_argument("--rounds", type=int, help="of every workload, instead of its own number")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, one round")
    parser.add_argument("--not-compiled", action="store_true", help="leave engine='compiled' out")
    parser.add_argument("--any-core", action="store_true", help="do not stay on one core")
    parser.add_argument("--learn2learn", type=Path, help="folder of its unpacked source archive")
    parser.add_argument("--figures", type=Path, help="folder for the drawings of 'scaling'")
    parser.add_argument("--device", default="cpu", help="'cuda': the pictures, on a GPU")
    given = parser.parse_args()
    if unknown := {*given.workloads} - {*WORKLOADS}:
        parser.error(f"no workload {sorted(unknown)}; there are {list(WORKLOADS)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    if given.device != "cpu":
        if {*given.workloads} - {"pictures"}:
            parser.error(f"--device {given.device} is for the workload 'pictures' alone")
        if not torch.cuda.is_available():
            parser.error(f"--device {given.device} needs a CUDA device, and torch finds none here")
        given.workloads = ["pictures"]
    if given.learn2learn:
        use_learn2learn(given.learn2learn)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity") and not given.any_core:  # else JAX takes more threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warnings.simplefilter("ignore")
    show(f"Versions: {versions()}.")
    compiled = not given.not_compiled
    options = Options(given.rounds, given.quick, compiled, given.figures, given.device)
    for name in given.workloads or WORKLOADS:
        start, cpu = time.monotonic(), sum(os.times()[:4])
        show(f"## {name}: {WORKLOADS[name].__doc__}")
        WORKLOADS[name](options)
        took, own = time.monotonic() - start, sum(os.times()[:4]) - cpu
        show(f"<!-- {name}: {took:.0f} s on the clock, {own:.0f} s of the CPU -->")


if __name__ == "__main__":
    main()
