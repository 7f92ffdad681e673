"""Every script of the gallery runs, on the data that it is about."""

import os
import runpy
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

GALLERY = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(GALLERY.glob("*/plot_*.py"))


def test_the_gallery_has_a_script_for_each_field():
    fields = {path.parent.name for path in SCRIPTS}
    assert fields == {path.name for path in GALLERY.iterdir() if path.is_dir()} - {"__pycache__"}
    assert all((GALLERY / field / "GALLERY_HEADER.rst").exists() for field in fields)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_of_the_gallery_runs(script):
    if not Path(os.environ.get("METASKL_DATA") or "nowhere").is_dir():
        pytest.skip("METASKL_DATA does not name the folder of the data")
    matplotlib.use("agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a script that warns is right to
        runpy.run_path(str(script))
    assert plt.get_fignums() or "plt" not in script.read_text()
    plt.close("all")
