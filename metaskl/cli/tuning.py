"""``metaskl tune``: the best model for the tasks of a table, within a time budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metaskl.cli import options
from metaskl.cli.comparing import check_report, print_comparison, title_of
from metaskl.cli.models import Output, check_folder, remember_table
from metaskl.cli.output import Notes, print_json

_Names = list[str] | None


def tune(
    table: Annotated[Path, typer.Argument(help="csv, csv.gz or parquet file.", show_default=False)],
    target: options.Target,
    output: Output,
    task: options.Task = None,
    time_budget: Annotated[
        float, typer.Option(help="Seconds after which nothing further is tried.", min=1)
    ] = 300,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Trials of the search after the first candidates; 0 for none.",
            min=0,
            show_default="as many as there is time for",
        ),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(help="URL of the Optuna storage that holds the studies; none to keep none."),
    ] = "sqlite:///metaskl-study.db",
    study_name: Annotated[
        str | None,
        typer.Option(
            help="Name of the study; one that is in the storage goes on.",
            show_default="made from the table and the settings",
        ),
    ] = None,
    n_shot: Annotated[
        _Names,
        typer.Option(
            help="Labelled rows of a new task; rows of each class with --label-space task.",
            show_default="5,10,20",
        ),
    ] = None,
    learners: Annotated[
        _Names,
        typer.Option(help="Names of learners, all or none.", show_default="a few strong ones"),
    ] = None,
    baselines: Annotated[
        _Names, typer.Option(help="Names of baselines, or all.", show_default="all")
    ] = None,
    scoring: Annotated[
        str | None, typer.Option(help="A scikit-learn scorer, such as roc_auc.")
    ] = None,
    cv: Annotated[int, typer.Option(help="Folds over tasks.", min=2)] = 3,
    repeats: Annotated[int, typer.Option(help="Draws of labelled rows for each task.", min=1)] = 1,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="End with an ensemble of the best.")
    ] = False,
    drop: options.Drop = None,
    sep: options.Sep = ",",
    kind: options.Kind = options.Kinds.auto,
    label_space: options.LabelSpace = options.LabelSpaces.shared,
    n_way: options.NWay = 5,
    max_epochs: options.Epochs = None,
    param: options.Params = None,
    jobs: Annotated[int, typer.Option(help="Fits in parallel; -1 uses all cores.")] = 1,
    seed: options.Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the best model for the tasks of a table, and save it; Ctrl-C keeps the best so far."""
    import metaskl
    from metaskl.cli.features import take_apart
    from metaskl.cli.tables import read_table

    notes = Notes(quiet=quiet)
    options.require_task(task, label_space)
    check_folder(output)
    if out is not None:
        check_report(out)
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
    settings: dict[str, Any] = {
        "time_budget": time_budget,
        "n_trials": trials,
        "learners": options.names(learners) if options.listed(learners) else "auto",
        "baselines": options.names(baselines),
        "n_shot": shots,
        "n_repeats": repeats,
        "cv": cv,
        "scoring": scoring,
        "learner_params": options.learner_params(param, max_epochs),
        "preprocess": data.preprocess(),
        "ensemble": ensemble,
        "storage": None if storage == "none" else storage,
        "study_name": study_name,
        "n_jobs": jobs,
        "random_state": seed,
        "verbose": 0 if quiet else 1,
    }
    if data.kind == "regression":
        auto: Any = metaskl.AutoMetaRegressor(**settings)
    else:
        auto = metaskl.AutoMetaClassifier(label_space=label_space.value, n_way=n_way, **settings)
    auto.fit(data.X, data.y, groups=data.groups)
    if auto.interrupted_:
        notes.say("Stopped early: what follows is the best so far.")
    metaskl.save(remember_table(auto.best_estimator_, data, target, task), output)
    if as_json:
        found = {"best": auto.best_name_, "best_score": auto.best_score_}
        print_json(found | auto.comparison_.as_dict())
    else:
        print_comparison(auto.comparison_)
        typer.echo(f"\nBest on meta-validation: {_best(auto)}.")
    notes.say(f"Model: {output}")
    if out is not None:
        _write(auto, out, title_of(table, target, task))
        notes.say(f"Report: {out}")


def _best(auto: Any) -> str:
    """Say which is best, how good, and by what settings."""
    trials, sign = auto.search_.trials, -1.0 if auto.verdict_.lower_is_better else 1.0
    same = trials["candidate"] == auto.best_name_.partition(" #")[0]
    rows = trials[same & (trials["score"] == auto.best_score_)]
    settings: dict[str, Any] = next((params for params in rows["params"] if params), {})
    text = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
    score = f"{auto.verdict_.metric} {sign * auto.best_score_:.4g}"
    return f"{auto.best_name_}, {score}{f'; {text}' if text else ''}"


def _write(auto: Any, out: Path, title: str) -> None:
    """Write the report, with the search in it."""
    from metaskl.report import write_report

    write_report(auto.comparison_, out, title=title, search=auto.search_)
