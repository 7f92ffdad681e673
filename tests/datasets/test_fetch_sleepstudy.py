import csv

import numpy as np
import pytest

from metaskl.datasets import _sleepstudy as sleepstudy
from metaskl.datasets import fetch_sleepstudy


@pytest.mark.parametrize("rownames", ['"rownames"', '""'], ids=["new", "old"])
def test_convert_both_versions_of_the_header(tmp_path, rownames):
    (tmp_path / "sleepstudy.csv").write_text(
        f'{rownames},"Reaction","Days","Subject"\n"1",249.56,0,"308"\n"2",285,1,"309"\n'
    )
    arrays = sleepstudy.convert(tmp_path)
    assert arrays["task"].tolist() == [308, 309]
    assert arrays["Days"].tolist() == [0, 1]
    assert arrays["y"].tolist() == [249.56, 285.0]


def raw_sleepstudy(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"{n},{row['y']},{row['Days']},{row['task']}" for n, row in enumerate(rows, 1)]
    return {"sleepstudy.csv": "\n".join(["rownames,Reaction,Days,Subject", *lines, ""]).encode()}


def test_rebuilt_from_source(rebuild):
    for bunch in rebuild(sleepstudy, fetch_sleepstudy, raw_sleepstudy):
        assert bunch.data.shape == (180, 1)


def test_facts(real):
    real("sleepstudy.csv")
    X, y, groups = fetch_sleepstudy(return_X_y=True)
    slope, start = np.polyfit(X[:, 0], y, 1)
    assert (start, slope) == (pytest.approx(251.405, abs=5e-4), pytest.approx(10.467, abs=5e-4))
    subjects, sizes = np.unique(groups, return_counts=True)
    assert subjects[[0, -1]].tolist() == [308, 372]
    assert sizes.tolist() == [10] * 18


def test_frame(real):
    real("sleepstudy.csv")
    bunch = fetch_sleepstudy(as_frame=True)
    assert list(bunch.frame.columns) == ["Subject", "Days", "Reaction"]
    assert bunch.target.name == bunch.target_name == "Reaction"
    assert list(bunch.data.columns) == bunch.feature_names == ["Days"]
