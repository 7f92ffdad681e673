"""How much of a step is arithmetic that any library must do, and how fast it can be done."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from speed.timing import Row, interleaved, show

# The operators whose kernels do it.
_ARITHMETIC = ("convolution", "addmm", "bmm", "aten::mm")
_SIDE = 1024


def operations(call: Callable[[], Any]) -> int:
    """Return the operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def share(call: Callable[[], Any]) -> float:
    """Return which share of the time of torch's operators is in convolutions and products."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        call()
    found = profiled.key_averages()
    own = sum(e.self_cpu_time_total for e in found if any(n in e.key for n in _ARITHMETIC))
    return own / sum(e.self_cpu_time_total for e in found)


def show_limit(call: Callable[[], Any], n_rounds: int) -> None:
    """Print what the arithmetic of a step takes, and what it would at this core's best."""
    call()
    count = operations(call)
    A, B = torch.randn(_SIDE, _SIDE), torch.randn(_SIDE, _SIDE)
    timed = [Row("step", call), Row("product", lambda: A @ B)]
    times = interleaved(timed, n_rounds)
    seconds = min(times["step"])
    best = 2 * _SIDE**3 / min(times["product"])
    part = share(call)
    show(
        f"The step's convolutions and matrix products, {count / 1e9:.3g} · 10⁹ operations, take "
        f"{part:.0%} of the time of its operators. All of the step, {1e3 * seconds:.3g} ms at "
        f"its quickest, is {count / seconds / 1e9:.3g} · 10⁹ operations a second; a product of "
        f"{_SIDE} × {_SIDE} runs at {best / 1e9:.3g} · 10⁹, at which the same arithmetic alone "
        f"would take {1e3 * count / best:.3g} ms."
    )
