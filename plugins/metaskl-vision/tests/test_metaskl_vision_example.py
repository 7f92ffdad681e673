"""The example runs on real data, where they are."""

import os
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "example.py"


def test_the_example_compares_with_plain_baselines(capsys):
    folder = Path(os.environ.get("METASKL_DATA") or "nowhere")
    if not all((folder / name).is_file() for name in ("orl_faces.npz", "omniglot_28.npz")):
        pytest.skip("the data are not here")
    runpy.run_path(str(EXAMPLE))["main"](["--max-epochs", "1"])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "eigenfaces",
        "prototypes",
        "templates",
        "prototypes",
    ]
    assert float(said[3].rpartition(" ")[2]) > float(said[2].rpartition(" ")[2])
