import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from metaskl import registry
from metaskl.cli import app, options
from metaskl.cli.wording import in_options
from metaskl.errors import ParameterError
from metaskl.estimators.training import _advice
from metaskl.learners.ridge_head import RidgeHead
from metaskl.tasks import BlobTasks

NAMED = ("--target", "state", "--task", "ward")
TINY = ("--n-shot", "3", "--cv", "2", "--repeats", "1", "--jobs", "1", "--max-epochs", "1")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of sick and well in eight wards, and a model of it."""
    folder = tmp_path_factory.mktemp("wards")
    blobs = BlobTasks().sample(8, 12, random_state=0)
    data = pd.DataFrame(np.asarray(blobs.X), columns=["a", "b"]).assign(
        ward=[f"w{i}" for i in blobs.groups],
        city=np.where(np.arange(len(blobs.y)) % 2, "Rome", "Oslo"),
        state=np.array(["sick", "well", "sick"])[blobs.y],
    )
    data.to_csv(folder / "wards.csv", index=False)
    data[data["state"] == "sick"][:4].to_csv(folder / "sick.csv", index=False)
    data[:4].assign(city=["Rome", "Bern", "Bern", "Kiel"]).to_csv(folder / "odd.csv", index=False)
    data[:4].assign(state=["dead", "sick", "well", "sick"]).to_csv(folder / "dead.csv", index=False)
    result = run("fit", folder / "wards.csv", *NAMED, "--max-epochs", "1", "-o", folder / "model")
    assert result.exit_code == 0, result.stderr
    return folder


# Messages speak of options that there are


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.partition("Error: ")[2].split())
    # What --param takes is name=value; nothing else is to look like Python.
    assert not re.search(r"\w=\w|\w\(", re.sub(r"--param \w+=\w+", "", message)), message
    command = typer.main.get_command(app).commands[str(arguments[0])]
    there = {name for parameter in command.params for name in parameter.opts}
    for other in typer.main.get_command(app).commands.values():
        there |= {name for parameter in other.params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", message)) <= there, message
    return message


def test_a_single_class_has_an_option(folder):
    message = refused("adapt", folder / "model", folder / "sick.csv", "-o", folder / "adapted")
    assert "the target must hold at least 2 classes" in message
    assert "add --allow-single-class" in message
    allowed = ("--allow-single-class", "-o", folder / "adapted")
    assert run("adapt", folder / "model", folder / "sick.csv", *allowed).exit_code == 0


def test_classes_that_fit_did_not_see(folder):
    message = refused("adapt", folder / "model", folder / "dead.csv", "-o", folder / "adapted")
    assert "or use --label-space task where each task has classes of its own" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", *TINY[2:], "--n-shot", "0"), "--n-shot must hold"),
        (
            ("compare", *TINY[2:], "--n-shot", "40"),
            r"got --n-shot 40, .*the largest has 12 rows.*Lower --n-shot",
        ),
        (("compare", *TINY, "--baselines", "pooled ridge"), "^--baselines must be"),
        (("compare", *TINY, "--cv", "50"), "--cv must be"),
        (("compare", *TINY, "--kind", "regression"), "Use --kind classification"),
        (("fit", "-o", "m", "--n-shot", "5,3"), "--n-shot 5, or --n-shot 5,20"),
        (("fit", "-o", "m", "--n-shot", "1,2,3"), "the least and the most, got '1,2,3'"),
        (("fit", "-o", "m", "--n-shot", "0.5"), "must be a number of labelled rows"),
        (("fit", "-o", "m", "--label-space", "task", "--n-way", "9"), "Lower --n-way"),
    ],
)
def test_a_message_speaks_of_options(arguments, message, folder):
    command, *rest = arguments
    assert re.search(message, refused(command, folder / "wards.csv", *NAMED, *rest))


def test_advice_on_a_loss_that_diverges_can_be_followed_here():
    from metaskl import MAMLRegressor

    text = in_options(f"the loss became NaN. {_advice(MAMLRegressor(standardize=False))}")
    assert text.endswith("far out of line, or fit from Python with a lower outer_lr.")
    assert "standardize" not in text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("holdout must be 'tasks', got 'x'.", "--holdout must be 'tasks', got 'x'."),
        ("Fit with n_way=4.", "Fit with --n-way 4."),
        ("give learners='all'.", "give --learners all."),
        ("needs label_space='task' here", "needs --label-space task here"),
        ("load it with trusted=['a.B', 'c.D'].", "load it with --trust 'a.B', 'c.D'."),
        ("got 1 task(s) of 2 row(s)", "got 1 task of 2 rows"),
        ("column 'n_shots' must", "column 'n_shots' must"),
        ("the learners must", "the learners must"),
        (
            "at most 3 classes for a MetaClassifier, got 4",
            "at most 3 classes for this learner, got 4",
        ),
    ],
)
def test_parameters_become_options(said, told):
    assert in_options(said) == told


# Lists


def test_lists_take_commas_and_repeated_options():
    assert options.names(["a,b", "c"]) == ["a", "b", "c"]
    assert options.names(None) == options.names(["all"]) == "all"
    assert options.names(None, "recommended") == options.names(["recommended"]) == "recommended"
    assert options.names(["none"]) == []
    assert options.shot_counts(["3", "5,0.5"], (1,)) == (3, 5, 0.5)
    assert options.shot_counts(None, (1, 2)) == (1, 2)
    assert options.shot_range(["3,3"], 5) == (3, 3)
    assert options.shot_range(None, 5) == 5
    with pytest.raises(ParameterError, match=r"--n-shot must be numbers .* got 'x,3'"):
        options.shot_counts(["x", "3"], (1,))


def test_a_column_whose_name_has_a_comma_can_be_dropped():
    assert options.columns(["a,b", "c,d"], ["a", "b", "c,d"]) == ["a", "b", "c,d"]


# Texts that were not there in fit


@pytest.mark.parametrize("command", ["adapt", "predict"])
def test_texts_that_fit_never_saw_are_named(command, folder):
    result = run(command, folder / "model", folder / "odd.csv", "-o", folder / "out")
    assert result.exit_code == 0
    warning = "'city' holds what was not there in fit, in 3 of 4 rows: 'Bern', 'Kiel'."
    assert warning in result.stderr
    known = run(command, folder / "model", folder / "wards.csv", "-o", folder / "out")
    assert "not there in fit" not in known.stderr


def test_json_goes_to_the_file_that_was_asked_for(folder):
    run("predict", folder / "model", folder / "odd.csv", "--json", "-o", folder / "out.json")
    printed = run("predict", folder / "model", folder / "odd.csv", "--json", "-q").stdout
    assert (folder / "out.json").read_text() == printed


# Exit codes of a comparison


class Failing(RidgeHead):
    """A learner that cannot be built."""

    def __init__(self, *arguments, **parameters):
        raise RuntimeError("no such luck")


@pytest.fixture
def _failing(monkeypatch):
    monkeypatch.setattr(registry, "_session", {"failing": Failing})


@pytest.mark.usefixtures("_failing")
@pytest.mark.parametrize("output", [[], ["--json"]])
def test_a_side_that_failed_as_a_whole_is_a_failure(output, folder):
    candidates = ("--learners", "failing", "--baselines", "pooled logistic")
    result = run("compare", folder / "wards.csv", *NAMED, *TINY, *candidates, "-q", *output)
    assert result.exit_code == 1
    told = result.stderr if output else result.stdout  # the verdict says it, where it is printed
    assert "failing failed: RuntimeError: no such luck" in told
    assert "Error: every learner failed, so there is nothing to compare." in result.stderr


@pytest.mark.usefixtures("_failing")
def test_nothing_left_is_a_failure_too(folder):
    candidates = ("--learners", "failing", "--baselines", "none")
    result = run("compare", folder / "wards.csv", *NAMED, *TINY, *candidates, "-q")
    assert result.exit_code == 1
    assert "no such luck" in result.stderr


@pytest.mark.usefixtures("_failing")
def test_one_failure_among_others_is_none(folder):
    candidates = ("--learners", "failing,ridge_head", "--baselines", "pooled logistic")
    result = run("compare", folder / "wards.csv", *NAMED, *TINY, *candidates, "-q")
    assert result.exit_code == 0
    assert "failing failed" in result.stderr
