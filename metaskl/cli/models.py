"""``metaskl fit``, ``adapt`` and ``predict``: a model of many tasks, then of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metaskl.cli import options
from metaskl.cli.output import Notes, as_json, counted
from metaskl.errors import ModelFileError, ParameterError

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]


def fit(
    table: Annotated[Path, typer.Argument(help="csv, csv.gz or parquet file.", show_default=False)],
    target: options.Target,
    output: Output,
    task: options.Task = None,
    learner: Annotated[str, typer.Option(help="Name of a learner.")] = "ridge_head",
    n_shot: Annotated[
        list[str] | None,
        typer.Option(
            help="Labelled rows of a new task: a number, or the least,most; rows of each class "
            "with --label-space task.",
            show_default="5",
        ),
    ] = None,
    drop: options.Drop = None,
    sep: options.Sep = ",",
    kind: options.Kind = options.Kinds.auto,
    label_space: options.LabelSpace = options.LabelSpaces.shared,
    n_way: options.NWay = 5,
    max_epochs: options.Epochs = None,
    param: options.Params = None,
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
) -> None:
    """Meta-train a learner over the tasks of a table, and save it."""
    from sklearn.pipeline import make_pipeline

    import metaskl
    from metaskl.cli.features import take_apart
    from metaskl.cli.tables import read_table
    from metaskl.evaluation.candidates import make_learners
    from metaskl.evaluation.cross_validate import fit_on_tasks

    notes = Notes(quiet=quiet)
    options.require_task(task, label_space)
    check_folder(output)
    rows = options.shot_range(n_shot, 5)
    data = take_apart(
        read_table(table, sep),
        table,
        target=target,
        task=task,
        drop=drop or (),
        kind=options.kind_of(kind, label_space),
    )
    notes.say(*data.notes)
    parameters: dict[str, Any] = {"n_shot": rows} | options.learner_params(param, max_epochs)
    if label_space != "shared":
        parameters |= {"label_space": label_space.value, "n_way": n_way}
    parameters |= {"random_state": seed, "verbose": 0 if quiet else 1}
    estimator = make_learners([learner], kind=data.kind, **parameters)[learner]
    model = fit_on_tasks(make_pipeline(data.preprocess(), estimator), data.X, data.y, data.groups)
    remember_table(model, data, target, task)
    metaskl.save(model, output)
    notes.say(f"Model: {output}")


def adapt(
    model: options.Model,
    support: Annotated[
        Path, typer.Argument(help="Labelled rows of a new task.", show_default=False)
    ],
    output: Output,
    sep: options.Sep = ",",
    allow_single_class: Annotated[
        bool, typer.Option("--allow-single-class", help="Adapt to rows of one class only.")
    ] = False,
    trust: options.Trust = None,
    quiet: options.Quiet = False,
) -> None:
    """Adapt a model to the labelled rows of a new task, and save the adapted one."""
    import metaskl
    from metaskl.cli.new_rows import read_rows

    notes = Notes(quiet=quiet)
    check_folder(output)
    fitted = _load(model, trust)
    X, y, remarks = read_rows(fitted, support, sep, labelled=True)
    notes.say(*remarks)
    if allow_single_class:
        _allow_single_class(fitted)
    if earlier := fitted.table_["n_support"]:
        notes.say(
            f"The model was adapted to {counted(earlier, 'row')} before: they are set aside, as "
            "adapting starts over from what fit learned. Put all labelled rows into one file."
        )
    adapted = metaskl.adapt(fitted, X, y)
    adapted.table_ = {**fitted.table_, "n_support": len(X)}
    metaskl.save(adapted, output)
    notes.say(f"Adapted to {counted(len(X), 'row')}: {output}")


def predict(
    model: options.Model,
    query: Annotated[Path, typer.Argument(help="Rows to predict.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write instead of stdout.")
    ] = None,
    std: Annotated[bool, typer.Option("--std", help="Standard deviations too.")] = False,
    sep: options.Sep = ",",
    json: options.AsJson = False,
    trust: options.Trust = None,
    quiet: options.Quiet = False,
) -> None:
    """Predict rows, in their order, by an adapted model."""
    from metaskl.cli.new_rows import read_rows

    notes = Notes(quiet=quiet)
    if output is not None:
        check_folder(output)
    fitted = _load(model, trust)
    X, _, remarks = read_rows(fitted, query, sep, labelled=False)
    notes.say(*remarks)
    predictions = _predict(fitted, X, std=std)
    if not fitted.table_["n_support"]:
        notes.say("The model is not adapted: it predicts what the tasks have in common.")
    if json:
        facts = {name: fitted.table_[name] for name in ("target", "kind", "n_support")}
        text = as_json({**facts, "rows": predictions.to_dict("records")}) + "\n"
    else:
        text = predictions.to_csv(index=False, lineterminator="\n")
    if output is None:
        typer.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    notes.say(f"{counted(len(X), 'prediction')}: {output}")


def remember_table(model: Any, data: Any, target: str, task: str | None) -> Any:
    """Write into a fitted Pipeline what its table looked like, and return it.

    It is an attribute of the Pipeline, so that metaskl.load gives Python users nothing but that.
    """
    model.table_ = {
        "target": target,
        "task": task,
        "kind": data.kind,
        "numeric": data.numeric,
        "text": data.text,
        "numbered_classes": data.y.dtype.kind == "i",
        "n_support": 0,
    }
    return model


def _predict(fitted: Any, X: Any, *, std: bool) -> Any:
    """Return predictions as a data frame."""
    import pandas as pd

    if fitted.table_["kind"] == "regression":
        if not std:
            return pd.DataFrame({"prediction": fitted.predict(X)})
        try:
            mean, deviation = fitted.predict(X, return_std=True)
        except (ParameterError, TypeError) as error:
            raise ParameterError(
                f"--std must be left out for a {_name(fitted[-1])}, which gives no "
                "standard deviations. Fit with --learner ridge_head, which does."
            ) from error
        return pd.DataFrame({"prediction": mean, "std": deviation})
    if std:
        raise ParameterError(
            "--std must be left out for a classifier, whose probabilities say how sure it is."
        )
    probability = fitted.predict_proba(X)
    columns = {"prediction": fitted.classes_[probability.argmax(axis=1)]}
    columns |= {f"probability_{c}": probability[:, i] for i, c in enumerate(fitted.classes_)}
    return pd.DataFrame(columns)


def _name(estimator: Any) -> str:
    """Return what to call an estimator: its learner's name, or its class."""
    return str(getattr(estimator, "learner", type(estimator).__name__))


def _allow_single_class(fitted: Any) -> None:
    """Let a classifier adapt to rows of one class."""
    if "allow_single_class" not in fitted[-1].get_params():
        raise ParameterError("--allow-single-class must be left out for regression.")
    fitted[-1].set_params(allow_single_class=True)


def _load(path: Path, trust: list[str] | None) -> Any:
    """Load a model that `fit` or `adapt` saved."""
    import metaskl

    model = metaskl.load(path, trusted=options.listed(trust))
    if not hasattr(model, "table_"):
        raise ModelFileError(
            f"model file {str(path)!r} was not written by metaskl fit: it does not say what its "
            "columns are. Use it from Python, with metaskl.load."
        )
    return model


def check_folder(output: Path) -> None:
    """Raise now what would be raised after minutes of work."""
    if not output.parent.is_dir() or output.is_dir():
        raise ParameterError(
            f"--output must be a file in a folder that exists, got {str(output)!r}. Make the "
            "folder, or give another name."
        )
