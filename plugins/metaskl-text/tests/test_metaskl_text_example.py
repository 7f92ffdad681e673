"""The example runs on real data, where they are."""

import runpy
from pathlib import Path

import pytest

from metaskl.datasets import fetch_clinc150

EXAMPLE = Path(__file__).parents[1] / "example.py"


def test_the_example_compares_with_a_plain_baseline(monkeypatch, capsys):
    monkeypatch.setenv("METASKL_OFFLINE", "1")
    try:
        fetch_clinc150()
    except OSError as error:
        pytest.skip(f"the data are not here: {error}")
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(["--rows", "6", "--max-epochs", "1"])
    said = capsys.readouterr().out
    assert "Verdict: against the baselines given" in said
    assert "per-task logistic" in said
