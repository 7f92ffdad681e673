"""The gallery is whole. That its scripts run is tried by `make docs`, which `make test` calls."""

import re
import runpy
from pathlib import Path

GALLERY = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(GALLERY.glob("*/plot_*.py"))


def test_the_gallery_has_a_script_for_each_field():
    fields = {path.parent.name for path in SCRIPTS}
    assert fields == {path.name for path in GALLERY.iterdir() if path.is_dir()} - {"__pycache__"}
    assert all((GALLERY / field / "GALLERY_HEADER.rst").exists() for field in fields)


def test_the_docs_run_every_script_and_stop_at_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("METASKL_DATA", str(tmp_path))
    settings = runpy.run_path(str(GALLERY.parent / "docs" / "conf.py"))["sphinx_gallery_conf"]
    assert settings["plot_gallery"]
    assert settings["abort_on_example_error"]
    assert sorted(path for path in GALLERY.rglob("*.py") if "plot_" in path.name) == SCRIPTS
    runs, skips = (re.compile(settings[key]) for key in ("filename_pattern", "ignore_pattern"))
    assert [p for p in SCRIPTS if not runs.search(str(p)) or skips.search(str(p))] == []
