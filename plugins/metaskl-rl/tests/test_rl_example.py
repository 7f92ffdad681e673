"""The example runs, and says what it is for."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "example.py"


@pytest.mark.slow
def test_the_example_compares_the_models(capsys):
    runpy.run_path(str(EXAMPLE))["main"]()
    said = capsys.readouterr().out.splitlines()
    errors = [float(line.partition("velocity ")[2].partition(",")[0]) for line in said[1:]]
    adapted, pooled, exact = errors
    assert exact < 1e-6 < adapted < pooled
