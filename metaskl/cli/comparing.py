"""``metaskl compare``: does meta-learning pay on this table, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metaskl.cli import options
from metaskl.cli.output import Notes, print_json, print_table
from metaskl.errors import ParameterError


def compare(
    table: Annotated[Path, typer.Argument(help="csv, csv.gz or parquet file.", show_default=False)],
    target: options.Target,
    task: options.Task,
    n_shot: Annotated[str, typer.Option(help="Labelled rows of a new task.")] = "5,10,20",
    learners: Annotated[str, typer.Option(help="Names of learners, all or none.")] = "all",
    baselines: Annotated[str, typer.Option(help="Names of baselines, all or none.")] = "all",
    holdout: options.Holdout = options.Holdouts.tasks,
    scoring: Annotated[
        str | None, typer.Option(help="A scikit-learn scorer, such as roc_auc.")
    ] = None,
    cv: Annotated[int, typer.Option(help="Folds over tasks.")] = 3,
    repeats: Annotated[int, typer.Option(help="Draws of labelled rows for each task.")] = 3,
    drop: options.Drop = None,
    sep: options.Sep = ",",
    kind: options.Kind = options.Kinds.auto,
    label_space: options.LabelSpace = options.LabelSpaces.shared,
    n_way: options.NWay = 5,
    max_epochs: options.Epochs = None,
    jobs: Annotated[int, typer.Option(help="Fits in parallel; -1 uses all cores.")] = -1,
    seed: options.Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare meta-learners with ordinary models on held-out tasks, and say whether it pays."""
    from metaskl.cli.features import take_apart
    from metaskl.cli.tables import read_table
    from metaskl.evaluation import compare as compare_candidates
    from metaskl.report import write_report

    notes = Notes(quiet=quiet)
    if out is not None:
        _check_report(out)
    shots = options.shot_counts(n_shot)
    data = take_apart(
        read_table(table, sep), table, target=target, task=task, drop=drop or (), kind=kind.value
    )
    notes.say(*data.notes)
    parameters: dict[str, Any] = {} if max_epochs is None else {"max_epochs": max_epochs}
    comparison = compare_candidates(
        data.X,
        data.y,
        data.groups,
        learners=options.names(learners),
        baselines=options.names(baselines),
        n_shot=shots,
        n_repeats=repeats,
        cv=cv,
        holdout=holdout.value,
        scoring=scoring,
        kind=data.kind,
        label_space=label_space.value,
        n_way=n_way,
        learner_params=parameters,
        preprocess=data.preprocess(),
        n_jobs=jobs,
        random_state=seed,
        verbose=0 if quiet else 1,
    )
    if as_json:
        print_json(comparison.as_dict())
    else:
        _print(comparison)
    if out is None:
        return
    if label_space == "task":
        parameters |= {"label_space": "task", "n_way": n_way}
    try:
        adaptation = _one_task(comparison, data, parameters, seed)
    except ValueError as error:
        adaptation = None
        notes.say(f"The report shows no task: {error}")
    write_report(comparison, out, title=f"{table.name}: {target} by {task}", adaptation=adaptation)
    notes.say(f"Report: {out}")


def _check_report(out: Path) -> None:
    """Raise now what would be raised after minutes of work."""
    from metaskl.report.display import require

    require("matplotlib")
    require("jinja2")
    if not out.parent.is_dir() or out.is_dir():
        raise ParameterError(
            f"--out must be a file in a folder that exists, got {str(out)!r}. Make the folder, or "
            "give another name."
        )


def _print(comparison: Any) -> None:
    """Print leaderboard and verdict."""
    from metaskl.report.display import four_digits

    board = comparison.leaderboard()
    shots = sorted(set(comparison.scores.dropna(subset="score")["n_shot"].tolist()))
    heads = [f"{k:.0%} of rows" if isinstance(k, float) else f"{k} rows" for k in shots]
    rows = []
    for name, row in board.iterrows():
        numbers = [[four_digits(row[(k, of)]) for of in ("mean", "low", "high")] for k in shots]
        cells = [f"{mean} [{low}, {high}]" for mean, low, high in numbers]
        rows.append([str(name), str(row[("", "family")]), f"{row[('', 'rank')]:.2f}", *cells])
    better = "lower" if comparison.lower_is_better else "higher"
    title = f"{comparison.metric} ({better} is better), mean [95 % interval over tasks]"
    print_table(title, ["candidate", "family", "rank", *heads], rows)
    typer.echo(f"\n{comparison.verdict}")
    for name, reason in comparison.failures.items():
        typer.echo(f"{name} failed: {' '.join(reason.split())}", err=True)


def _one_task(comparison: Any, data: Any, parameters: dict[str, Any], seed: int) -> Any:
    """Return what the best learner makes of one task, if there is a learner."""
    from sklearn.pipeline import make_pipeline

    from metaskl.evaluation.candidates import make_learners
    from metaskl.report import AdaptationDisplay

    board = comparison.leaderboard()
    best = next((name for name in board.index if comparison.families[name] == "learner"), None)
    if best is None:
        return None
    shot = min(comparison.protocol["n_shot"])
    if isinstance(shot, float):  # a part of a task's rows
        shot = max(1, round(shot * len(data.y) / comparison.protocol["n_tasks"]))
    learner = make_learners([best], kind=data.kind, random_state=seed, **parameters)[best]
    display = AdaptationDisplay.from_task(
        make_pipeline(data.preprocess(), learner),
        data.X,
        data.y,
        data.groups,
        n_shot=shot,
        random_state=seed,
    )
    display.title += f" ({best})"
    return display
