"""How the time of a meta-gradient grows: with tasks, inner steps and rows."""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch

from speed.options import Options
from speed.peers import AUTO, CLONE, COMPILED, JAX, ROWS, made
from speed.problems import Problem, in_double, same_gradients
from speed.timing import Row, interleaved, markdown, show

AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "n_tasks": ("tasks of a meta-batch", (1, 4, 16, 64, 256, 512)),
    "n_steps": ("inner steps", (1, 2, 5, 10, 20)),
    "n_shot": ("support rows of a task", (1, 5, 10, 20, 50)),
}
Curves = dict[str, list[float]]


def scaling(options: Options) -> None:
    """Growth of the meta-gradient with tasks, inner steps and rows."""
    names = [CLONE, JAX, AUTO] + [COMPILED] * options.compiled
    every = {}
    for axis, (title, values) in AXES.items():
        values = values[:2] if options.quick else values
        curves: Curves = {}
        for value in values:
            problem = dataclasses.replace(Problem(), **{axis: value})
            for name, ms in point(problem, names, options).items():
                curves.setdefault(name, []).append(ms)
        lines = [(str(v), *(f"{c[i]:.3g}" for c in curves.values())) for i, v in enumerate(values)]
        show(f"CPU ms of a meta-gradient\n\n{markdown((title, *curves), lines)}")
        every[axis] = (title, values, curves)
    if options.figures:
        draw(every, options.figures / "speed_scaling.svg")


def point(problem: Problem, names: list[str], options: Options) -> dict[str, float]:
    """Return the milliseconds of each row.

    All agree in double precision, but for the compiled one, which is compared in single: compiling
    takes longer than all else.
    """
    rows, episode = {name: ROWS[name] for name in names}, problem.sampler().sample()
    exact = {name: row for name, row in rows.items() if name != COMPILED}
    same_gradients(made(problem, torch.float64, exact), in_double(episode))
    found: dict[str, Any] = made(problem, torch.float32, rows)
    same_gradients(found, episode, rtol=1e-2)
    timed = [Row(name, lambda r=row: r.gradient(episode)) for name, row in found.items()]
    times = interleaved(timed, options.rounds(7))
    return {name: 1e3 * statistics.median(own) for name, own in times.items()}


def draw(every: dict[str, Any], path: Path) -> None:
    """Draw the curves, side by side."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams |= {"svg.hashsalt": "metaskl", "svg.fonttype": "none", "font.size": 9}
    figure, panels = plt.subplots(1, len(every), figsize=(11, 3.6), sharey=True, squeeze=False)
    for panel, (title, values, curves) in zip(panels[0], every.values(), strict=True):
        for name, ms in curves.items():
            panel.loglog(values, ms, marker="o", markersize=3, label=name)
        panel.set_xlabel(title)
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("CPU ms of a meta-gradient")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    show(f"Drawn to {path}.")
