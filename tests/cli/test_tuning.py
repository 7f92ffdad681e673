import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import metaskl
from metaskl.cli import app
from metaskl.tasks import LinearTasks

NAMED = ("--target", "mark", "--task", "school")
QUICK = ("--max-epochs", "1", "--cv", "2", "--n-shot", "5", "--trials", "2")
FEW = ("--learners", "ridge_head", "--baselines", "per-task ridge,pooled ridge")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def table(folder):
    lines = LinearTasks(n_features=2).sample(10, 16, random_state=0)
    frame = pd.DataFrame(lines.X, columns=["age", "income"])
    frame["school"] = [f"s{number}" for number in lines.groups]
    frame["sort"] = np.where(lines.X[:, 0] > 0, "old", "young")
    path = folder / "schools.csv"
    frame.assign(mark=lines.y).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def storage(folder):
    return f"sqlite:///{folder / 'study.db'}"


@pytest.mark.slow
def test_the_model_adapts_and_predicts_and_the_report_shows_the_search(folder, table, storage):
    model, page = folder / "best.model", folder / "tune.html"
    result = run(
        *("tune", table, *NAMED, *QUICK, *FEW, "--storage", storage),
        *("-o", model, "--out", page, "--ensemble"),
    )
    assert result.exit_code == 0, result.stderr
    assert "Best on meta-validation: " in result.stdout
    assert "Verdict: " in result.stdout
    assert "best so far" in result.stderr or "search" in result.stderr
    text = page.read_text()
    for heading in ("How the search went", "Task by task"):
        assert heading in text
    rows = pd.read_csv(table)
    rows[:5].to_csv(folder / "five.csv", index=False)
    adapted, found = folder / "new.model", folder / "found.csv"
    assert run("adapt", model, folder / "five.csv", "-o", adapted).exit_code == 0
    assert run("predict", adapted, table, "-o", found).exit_code == 0
    assert len(pd.read_csv(found)) == len(rows)
    assert hasattr(metaskl.load(model), "table_")


def test_the_same_command_goes_on_with_its_study(folder, table, storage):
    command = ("tune", table, *NAMED, *QUICK, *FEW, "--storage", storage, "--json", "--quiet")
    tried = []
    for trials in ("2", "3"):
        result = run(*command, "--trials", trials, "-o", folder / "again.model")
        assert result.exit_code == 0, result.stderr
        tried.append(json.loads(result.stdout))
    assert tried[1]["best_score"] >= tried[0]["best_score"]
    counts = [found["protocol"]["candidates tried"] for found in tried]
    assert counts[1] >= counts[0]
    assert set(tried[0]["families"]) <= {"ridge_head", "per-task ridge", "pooled ridge"}


def test_wrong_options_are_told_at_once(folder, table):
    for options, message in (
        (("--learners", "mamml"), "Did you mean 'maml'"),
        (("--baselines", "none"), "--baselines must name at least one"),
        (("-o", folder / "nowhere" / "m"), "--output must be a file in a folder that exists"),
        (("--out", folder / "nowhere" / "m"), "--out must be a file in a folder that exists"),
    ):
        result = run(
            *("tune", table, *NAMED, *QUICK, "--storage", "none", "-o", folder / "x"), *options
        )
        assert result.exit_code == 2, result.stderr
        assert message in result.stderr


@pytest.mark.slow
def test_ctrl_c_saves_the_best_so_far(folder, table):
    model = folder / "early.model"
    command = [sys.executable, "-m", "metaskl", "tune", str(table), *NAMED, *FEW]
    command += [
        "--max-epochs",
        "1",
        "--n-shot",
        "5",
        "--time-budget",
        "300",
        "--storage",
        "none",
        "-o",
        str(model),
    ]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        for line in running.stderr:  # the first trial of the search is done
            if line.startswith("search: "):
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=90)
    finally:
        running.kill()
    assert running.returncode == 0, err
    assert "Stopped early" in err
    assert "Best on meta-validation" in out
    assert metaskl.load(model).table_["target"] == "mark"
