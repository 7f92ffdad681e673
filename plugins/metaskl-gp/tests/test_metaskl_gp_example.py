"""The example runs on real data, where they are."""

import runpy
from pathlib import Path

import pytest

from metaskl.datasets import fetch_sleepstudy

EXAMPLE = Path(__file__).parents[1] / "example.py"


def test_the_example_compares_with_plain_baselines(monkeypatch, capsys):
    monkeypatch.setenv("METASKL_OFFLINE", "1")
    try:
        fetch_sleepstudy()
    except OSError as error:
        pytest.skip(f"the data are not here: {error}")
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(["--data", "sleepstudy", "--max-epochs", "1", "--n-shot", "3", "--more"])
    said = capsys.readouterr().out
    assert "Verdict: against the baselines given" in said
    gains = [
        line for line in said.splitlines() if line.startswith("gpytorch, ") and "against" in line
    ]
    assert len(gains) == 4 * 3  # four settings, against two baselines and the built-in learner
