import io

import numpy as np
import pytest
from scipy.io import savemat

from metaskl.datasets import _landmine as landmine
from metaskl.datasets import fetch_landmine


def mat(features, labels):
    """LandmineData.mat holds two rows of cells, one matrix a field."""
    variables = {}
    for name, matrices in (("feature", features), ("label", labels)):
        variables[name] = np.empty((1, len(matrices)), dtype=object)
        for number, matrix in enumerate(matrices):
            variables[name][0, number] = matrix
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def test_convert_sixteen_fields(tmp_path):
    features = [np.full((2, 9), field + 0.1) for field in range(16)]
    labels = [np.array([[1], [0]], dtype=np.uint8)] * 16
    (tmp_path / "LandmineData.mat").write_bytes(mat(features, labels))
    arrays = landmine.convert(tmp_path)
    assert arrays["X"].shape == (32, 9)
    assert arrays["X"][30, 0] == np.float32(15.1)
    assert arrays["y"].tolist() == [1, 0] * 16
    assert arrays["task"].tolist() == sorted([*range(16)] * 2)
    assert arrays["terrain"].tolist() == [0] * 15 + [1]
    assert arrays["task_names"][-1] == "field16"


def test_convert_refuses_other_columns(tmp_path):
    (tmp_path / "LandmineData.mat").write_bytes(mat([np.ones((2, 8))], [np.ones((2, 1))]))
    with pytest.raises(ValueError, match=r"feature of shape \(2, 8\) and label of length 2"):
        landmine.convert(tmp_path)


def raw_landmine(path):
    with np.load(path) as file:
        X, y, task = file["X"].astype(float), file["y"].astype(float), file["task"]
    fields = range(task.max() + 1)
    content = mat([X[task == t] for t in fields], [y[task == t][:, None] for t in fields])
    return {"LandmineData.mat": content}


def test_rebuilt_from_source(rebuild):
    for bunch in rebuild(landmine, fetch_landmine, raw_landmine):
        assert bunch.data.shape == (14820, 9)


def test_facts(real):
    real("landmine.npz")
    bunch = fetch_landmine()
    assert bunch.target.sum() == 904
    assert bunch.target.dtype == np.int64
    assert bunch.target_names.tolist() == ["clutter", "mine"]
    assert len(bunch.group_names) == len(bunch.terrain) == 29
    assert bunch.terrain.tolist() == [0] * 15 + [1] * 14
    sizes = np.unique(bunch.groups, return_counts=True)[1]
    assert (sizes.min(), np.median(sizes), sizes.max()) == (445, 507, 690)


def test_frame(real):
    real("landmine.npz")
    bunch = fetch_landmine(as_frame=True)
    assert bunch.frame.shape == (14820, 11)
    assert bunch.frame.groupby("field")["mine"].sum().sum() == 904
