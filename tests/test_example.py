import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "school_report.py"


def test_without_data_the_example_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("METASKL_OFFLINE", "1")
    monkeypatch.setenv("METASKL_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("METASKL_DATA", raising=False)
    X, y, groups, title = runpy.run_path(str(EXAMPLE))["load"]()
    assert title.startswith("SYNTHETIC")
    assert len(X) == len(y) == len(groups)
    said = capsys.readouterr().out
    assert "The school data cannot be had: school: the file 'school.npz' is missing" in said
    assert "SYNTHETIC" in said
