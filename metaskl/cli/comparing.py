"""``metaskl compare``: does meta-learning pay on this table, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metaskl.cli import options
from metaskl.cli.faults import FAILED
from metaskl.cli.output import Notes, print_json, print_table
from metaskl.cli.wording import in_options
from metaskl.errors import ParameterError

_Names = list[str] | None


def compare(
    table: Annotated[Path, typer.Argument(help="csv, csv.gz or parquet file.", show_default=False)],
    target: options.Target,
    task: options.Task = None,
    n_shot: Annotated[
        _Names,
        typer.Option(
            help="Labelled rows of a new task; rows of each class with --label-space task.",
            show_default="5,10,20",
        ),
    ] = None,
    learners: Annotated[
        _Names,
        typer.Option(
            help="Names of learners, recommended, all or none.", show_default="recommended"
        ),
    ] = None,
    baselines: Annotated[
        _Names, typer.Option(help="Names of baselines, all or none.", show_default="all")
    ] = None,
    holdout: options.Holdout = options.Holdouts.tasks,
    scoring: Annotated[
        str | None, typer.Option(help="A scikit-learn scorer, such as roc_auc.")
    ] = None,
    cv: Annotated[int, typer.Option(help="Folds over tasks.", min=1)] = 3,
    repeats: Annotated[int, typer.Option(help="Draws of labelled rows for each task.", min=1)] = 3,
    drop: options.Drop = None,
    sep: options.Sep = ",",
    kind: options.Kind = options.Kinds.auto,
    label_space: options.LabelSpace = options.LabelSpaces.shared,
    n_way: options.Ways = "5",
    max_epochs: options.Epochs = None,
    param: options.Params = None,
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
    options.require_task(task, label_space)
    ways = options.ways(n_way)
    if out is not None:
        check_report(out)
    _check_names(listed := options.names(learners, "recommended"))
    shots = options.shot_counts(n_shot, (5, 10, 20))
    data = take_apart(
        read_table(table, sep),
        table,
        target=target,
        task=task,
        drop=drop or (),
        kind=options.kind_of(kind, label_space),
    )
    notes.say(*data.notes)
    parameters = options.learner_params(param, max_epochs)
    comparison = compare_candidates(
        data.X,
        data.y,
        data.groups,
        learners=listed,
        baselines=options.names(baselines),
        n_shot=shots,
        n_repeats=repeats,
        cv=cv,
        holdout=holdout.value,
        scoring=scoring,
        kind=data.kind,
        label_space=label_space.value,
        n_way=ways,
        learner_params=parameters,
        preprocess=data.preprocess(),
        n_jobs=jobs,
        random_state=seed,
        verbose=0 if quiet else 1,
    )
    if as_json:
        print_json(comparison.as_dict())
    else:
        print_comparison(comparison)
    # The verdict names them where nothing could be compared.
    told = not as_json and not comparison.compared
    for name, reason in () if told else comparison.failures.items():
        typer.echo(f"{name} failed: {in_options(reason)}", err=True)
    if out is not None:
        if label_space == "task":
            parameters |= {"label_space": "task"} | ({} if ways == "all" else {"n_way": ways})
        try:
            adaptation = _one_task(comparison, data, parameters, seed)
        except ValueError as error:
            adaptation = None
            notes.say(f"The report shows no task: {in_options(str(error))}")
        title = title_of(table, target, task)
        write_report(comparison, out, title=title, adaptation=adaptation)
        notes.say(f"Report: {out}")
    _require_comparison(comparison, listed, options.names(baselines))


def title_of(table: Path, target: str, task: str | None) -> str:
    """Return what a report is called."""
    return f"{table.name}: {target}" + ("" if task is None else f" by {task}")


def _require_comparison(comparison: Any, learners: Any, baselines: Any) -> None:
    """Exit as failed if one of the two sides that were to be compared failed as a whole."""
    sides = {
        "learner": (learners, [f for f in comparison.families.values() if f == "learner"]),
        "baseline": (baselines, [f for f in comparison.families.values() if f != "learner"]),
    }
    for side, (asked, left) in sides.items():
        if asked and comparison.failures and not left:
            typer.echo(f"Error: every {side} failed, so there is nothing to compare.", err=True)
            raise typer.Exit(FAILED)


def _check_names(learners: Any) -> None:
    """Raise where names of learners, which have no spaces, were not separated by commas."""
    for name in () if isinstance(learners, str) else learners:
        if " " in name:
            raise ParameterError(
                f"--learners must be names separated by commas, got {name!r}. Give --learners "
                f"{','.join(name.split())}."
            )


def check_report(out: Path) -> None:
    """Raise now what would be raised after minutes of work."""
    from metaskl.report.display import require
    from metaskl.report.page import check_suffix

    require("matplotlib")
    require("jinja2")
    if not out.parent.is_dir() or out.is_dir():
        raise ParameterError(
            f"--out must be a file in a folder that exists, got {str(out)!r}. Make the folder, or "
            "give another name."
        )
    check_suffix(out)


def print_comparison(comparison: Any) -> None:
    """Print leaderboard and verdict."""
    from metaskl.evaluation.comparison import four_digits
    from metaskl.report.display import shots_text

    board = comparison.leaderboard()
    shots = sorted(set(comparison.scores.dropna(subset="score")["n_shot"].tolist()))
    heads = [shots_text(k, per_class=comparison.per_class) for k in shots]
    rows = []
    for name, row in board.iterrows():
        numbers = [[four_digits(row[(k, of)]) for of in ("mean", "low", "high")] for k in shots]
        cells = [f"{mean} [{low}, {high}]" for mean, low, high in numbers]
        rows.append([str(name), str(row[("", "family")]), f"{row[('', 'rank')]:.2f}", *cells])
    better = "lower" if comparison.lower_is_better else "higher"
    over = comparison.held_out
    title = f"{comparison.metric} ({better} is better), mean [95 % interval over {over}]"
    print_table(title, ["candidate", "family", "rank", *heads], rows)
    typer.echo(f"\n{comparison.verdict}")


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
    display.candidate = best
    return display
