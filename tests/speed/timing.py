"""Interleaved rounds on one thread, and tables of ratios.

Times are of the process's CPU, so that other work on the machine counts little. In each round all
rows run in turn, quick ones so often that they run for a while, as they do in training: a single
call after another row's would find none of its data in the cache, which made the quickest rows
three times slower. A ratio is taken within the round; told are the median over rounds and its
quartiles.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch


class Row(NamedTuple):
    """What is timed.

    Attributes
    ----------
    name : str
        As in the table.
    call : callable
        The work.
    count : int
        How many units (steps, tasks) a call does; times are of one unit.
    """

    name: str
    call: Callable[[], Any]
    count: int = 1


Times = dict[str, list[float]]
# A row runs at least so long at a time.
_SECONDS_OF_A_TURN = 0.05


Clock = Callable[[], float]


def interleaved(rows: Sequence[Row], n_rounds: int, clock: Clock = time.process_time) -> Times:
    """Return the seconds of a unit of each row, round by round: of the CPU, unless said."""
    turns = {row.name: _repeats(row, clock) for row in rows}
    times: Times = {row.name: [] for row in rows}
    for turn in range(n_rounds):
        first = turn % len(rows)  # no row always follows the same one
        for row in [*rows[first:], *rows[:first]]:
            n_calls = turns[row.name]
            times[row.name].append(seconds_of(row.call, n_calls, clock) / (row.count * n_calls))
    return times


def seconds_of(
    call: Callable[[], Any], n_calls: int = 1, clock: Clock = time.process_time
) -> float:
    """Return the seconds of so many calls."""
    start = clock()
    for _ in range(n_calls):
        call()
    return clock() - start


def clock_of(device: str) -> Clock:
    """Return what tells the time: of the CPU, or on a GPU of the wall once all is done there."""
    if device == "cpu":
        return time.process_time

    def wall() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return wall


def _repeats(row: Row, clock: Clock) -> int:
    """Return how often to call a row in a turn, after calls that warm it up."""
    seconds_of(row.call, 1, clock)
    seconds = max(seconds_of(row.call, 1, clock), 1e-6)
    return max(1, min(1000, math.ceil(_SECONDS_OF_A_TURN / seconds)))


def ratios(times: Times, name: str, reference: str | None = None) -> list[float]:
    """Return how many times as fast as the reference (the first row) a row was, by round."""
    base = times[next(iter(times)) if reference is None else reference]
    return [a / b for a, b in zip(base, times[name], strict=True)]


def middle(values: Sequence[float]) -> str:
    """Return the median and the quartiles of some values."""
    if len(values) < 2:
        return f"{values[0]:.3g} | –"
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.3g} | {low:.3g} to {high:.3g}"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    every = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in every)


def table(title: str, times: Times, unit: str = "a step", kind: str = "CPU ms") -> str:
    """Return a table of how fast each row is against the first, under a heading."""
    lines = [
        (name, middle(ratios(times, name)), f"{1e3 * statistics.median(own):.3g}")
        for name, own in times.items()
    ]
    rounds = len(next(iter(times.values())))
    head = ("", "times as fast | quartiles", f"{kind} {unit}")
    text = markdown(head, lines).replace("| --- | --- | --- |", "| --- | --- | --- | --- |")
    return f"### {title}\n\n{text}\n\n({rounds} rounds)"


def show(text: str) -> None:
    """Print a part of the report as soon as it is there."""
    print(f"\n{text}", flush=True)
