import io

import numpy as np
import pytest
from scipy.io import savemat

from metaskl.datasets import _school as school
from metaskl.datasets import fetch_school


def cell(matrices):
    """A row of cells, as MATLAB writes one matrix a task."""
    cells = np.empty((1, len(matrices)), dtype=object)
    for number, matrix in enumerate(matrices):
        cells[0, number] = matrix
    return cells


def mat(**variables):
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def two_schools(n_columns=28):
    rows = np.arange(3 * n_columns, dtype=float).reshape(3, n_columns) + 2
    rows[:, -1] = 1
    return cell([rows[:2], rows[2:]]), cell([np.array([[17.0], [5.0]]), np.array([[70.0]])])


def test_convert_two_schools(tmp_path):
    X, Y = two_schools()
    (tmp_path / "school.mat").write_bytes(mat(X=X, Y=Y))
    arrays = school.convert(tmp_path)
    np.testing.assert_array_equal(arrays["X"][:, 0], [2, 30, 58])
    assert arrays["X"].shape == (3, 27)
    np.testing.assert_array_equal(arrays["y"], [17, 5, 70])
    np.testing.assert_array_equal(arrays["task"], [0, 0, 1])
    assert arrays["task_names"].tolist() == ["school001", "school002"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "school.mat is not a MATLAB file"),
        (mat(X=two_schools()[0]), "school.mat has no variable 'Y'"),
        (mat(X=two_schools()[0], Y=np.ones(3)), "'Y' in school.mat is not a cell array"),
        (mat(X=two_schools()[0], Y=cell([np.ones(2)])), "differ in their number of tasks"),
        (mat(X=cell([np.zeros((2, 28))]), Y=cell([np.ones(2)])), "one constant column .* found 0"),
        (mat(X=two_schools(9)[0], Y=two_schools()[1]), "do not fit together"),
    ],
    ids=["empty", "no variable", "no cells", "tasks", "constant", "columns"],
)
def test_convert_refuses(tmp_path, content, said):
    (tmp_path / "school.mat").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        school.convert(tmp_path)


def raw_school(path):
    with np.load(path) as file:
        X, y, task = file["X"].astype(float), file["y"].astype(float), file["task"]
    X = np.column_stack([X, np.ones(len(X))])
    tasks = range(task.max() + 1)
    return {
        "school.mat": mat(
            X=cell([X[task == t] for t in tasks]), Y=cell([y[task == t][:, None] for t in tasks])
        )
    }


def test_rebuilt_from_source(rebuild):
    for bunch in rebuild(school, fetch_school, raw_school):
        assert bunch.data.shape == (15362, 27)


def test_facts(real):
    real("school.npz")
    bunch = fetch_school()
    assert bunch.data.dtype == bunch.target.dtype == np.float64
    assert (bunch.target.min(), bunch.target.max()) == (1, 70)
    assert len(bunch.group_names) == 139
    sizes = np.unique(bunch.groups, return_counts=True)[1]
    assert (sizes.min(), np.median(sizes), sizes.max()) == (22, 103, 251)
    binary = [set(np.unique(column)) <= {0, 1} for column in bunch.data.T]
    assert sum(binary) == 25
    assert "139 secondary schools" in bunch.DESCR


def test_frame_and_tuple(real):
    real("school.npz")
    plain, framed = fetch_school(), fetch_school(as_frame=True)
    assert plain.frame is None
    assert list(framed.frame.columns) == ["school", *framed.feature_names, "mark"]
    np.testing.assert_array_equal(framed.data.to_numpy(), plain.data)
    assert framed.groups.name == framed.group_name == "school"
    X, y, groups = fetch_school(return_X_y=True)
    np.testing.assert_array_equal(X, plain.data)
    np.testing.assert_array_equal(y, plain.target)
    np.testing.assert_array_equal(groups, plain.groups)
