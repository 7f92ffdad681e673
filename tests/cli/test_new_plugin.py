import subprocess
import sys

import pytest
from typer.testing import CliRunner

from metaskl.cli import app


def new_plugin(*arguments):
    return CliRunner().invoke(app, ["new-plugin", *map(str, arguments)])


def test_a_package_of_four_files_is_written(tmp_path):
    done = new_plugin("nearest-rows", "--into", tmp_path)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "metaskl-nearest-rows"
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {
        "README.md",
        "metaskl_nearest_rows.py",
        "pyproject.toml",
        "test_metaskl_nearest_rows.py",
    }
    assert 'nearest_rows = "metaskl_nearest_rows:NearestRows"' in files["pyproject.toml"]
    assert not any("$" in text for text in files.values())
    assert f"cd {folder}" in done.stdout
    edited = [text for name, text in files.items() if name != "README.md"]
    assert sum(len(text.splitlines()) for text in edited) < 100


def test_what_is_written_is_in_good_style(tmp_path):
    new_plugin("nearest-rows", "--into", tmp_path)
    folder = tmp_path / "metaskl-nearest-rows"
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--isolated", "--no-cache", "."]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["metaskl-nearest", "metaskl_nearest", "nearest"])
def test_the_prefix_may_be_given_or_not(name, tmp_path):
    new_plugin(name, "--into", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metaskl-nearest"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Learner", "NAME must be words of small letters and digits"),
        ("1st", "NAME must be words of small letters and digits"),
        ("metaskl-", "NAME must be words of small letters and digits"),
        ("../up", "NAME must be words of small letters and digits"),
        ("none", "got 'none', and None has a meaning already"),
        ("meta-learner", "and MetaLearner has a meaning already"),
        ("maml", "NAME must be free, got 'maml', which metaskl offers"),
        ("ridge-head", "NAME must be free, got 'ridge_head', which metaskl offers"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_written(name, message, tmp_path):
    done = new_plugin(name, "--into", tmp_path)
    assert done.exit_code == 2
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path):
    kept = tmp_path / "metaskl-mine" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    done = new_plugin("mine", "--into", tmp_path)
    assert done.exit_code == 2
    assert "is there already. Choose another name" in " ".join(done.output.split())
    assert [path.name for path in kept.parent.iterdir()] == ["notes.txt"]
