"""How the time of a meta-gradient grows: with tasks, inner steps and rows."""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch

from speed.apart import GIVE_BACK, in_a_process
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
    adaptations(options)
    if Path("/proc/self/clear_refs").exists():
        peaks(options)
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


def adaptations(options: Options) -> None:
    """Print what adapting to a task takes, of so many that are adapted to together."""
    lines = []
    for n_tasks in (1, 4) if options.quick else (1, 4, 16, 64, 256, 1000):
        problem = Problem(n_tasks=n_tasks)
        learner, episode = problem.learner("auto").eval(), problem.sampler().sample()

        def adapt(learner: Any = learner, episode: Any = episode) -> None:
            with torch.no_grad():
                adapted = learner.adapt_tasks(*episode[:3])
                learner.predict_tasks(adapted, episode.X_query)

        own = interleaved([Row("adapt", adapt, n_tasks)], options.rounds(7))["adapt"]
        lines.append((str(n_tasks), f"{1e6 * statistics.median(own):.3g}"))
    show(f"Adapting and predicting\n\n{markdown(('tasks at once', 'CPU µs a task'), lines)}")


def peaks(options: Options) -> None:
    """Print how the peak of memory of a meta-gradient grows with the inner steps."""
    counts = (1, 2) if options.quick else AXES["n_steps"][1]
    lines = []
    for n_tasks in (25,) if options.quick else (25, 256):
        found = [in_a_process("memory", GIVE_BACK, "auto", n_tasks, n, 0)[0] for n in counts]
        lines.append((str(n_tasks), *(f"{mib:.1f}" for mib in found)))
    header = ("tasks", *(f"{n} step(s)" for n in counts))
    show(f"Peak MiB of a meta-gradient, engine='auto'\n\n{markdown(header, lines)}")


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
