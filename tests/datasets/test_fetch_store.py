"""The digest, and reading and writing the converted files."""

import hashlib
import os

import numpy as np
import pytest

from metaskl.datasets._digest import content_digest
from metaskl.datasets._store import read_arrays, write_arrays

# --- the digest


def test_digest_is_that_of_the_bytes_derived_by_hand():
    expected = b'["a", "<i2", [2]]' + b"\x01\x00\x02\x00" + b'["b", "<U1", []]' + b"x\x00\x00\x00"
    arrays = {"b": np.array("x"), "a": np.array([1, 2], dtype=np.int16)}
    assert content_digest(arrays) == hashlib.sha256(expected).hexdigest()


def test_digest_does_not_depend_on_byte_order_memory_order_or_packing(tmp_path):
    grid = np.arange(6, dtype=np.float64).reshape(2, 3)
    digest = content_digest({"x": grid})
    assert content_digest({"x": grid.astype(">f8")}) == digest
    assert content_digest({"x": np.asfortranarray(grid)}) == digest
    np.savez(tmp_path / "plain.npz", x=grid)
    write_arrays(tmp_path / "packed.npz", {"x": grid})
    for name in ("plain.npz", "packed.npz"):
        assert content_digest(read_arrays(tmp_path / name, {})) == digest


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.array([1.0, 2.0], dtype=np.float32)},
        {"y": np.array([1.0, 2.0])},
        {"x": np.array([[1.0, 2.0]])},
        {"x": np.array([1.0, np.nextafter(2.0, 3.0)])},
        {"x": np.array([1.0, 2.0]), "y": np.array(0)},
    ],
    ids=["type", "name", "shape", "value", "more"],
)
def test_digest_depends_on(other):
    assert content_digest(other) != content_digest({"x": np.array([1.0, 2.0])})


def test_digest_refuses_objects():
    with pytest.raises(ValueError, match="'x' holds Python objects"):
        content_digest({"x": np.array([None])})


# --- reading and writing


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_tables_survive_writing(tmp_path, name):
    arrays = {
        "t": np.array(["a, b", 'say "c"', "", "Mächler"]),
        "i": np.array([1, -2, 3, 4]),
        "f": np.array([0.1, 1 / 3, np.nan, 1e-300]),
    }
    write_arrays(tmp_path / name, arrays)
    again = read_arrays(tmp_path / name, {"t": "text", "i": "int", "f": "float"})
    assert content_digest(again) == content_digest(arrays)
    first = (tmp_path / name).read_bytes()
    write_arrays(tmp_path / name, arrays)
    assert (tmp_path / name).read_bytes() == first
    assert os.listdir(tmp_path) == [name]


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.csv"
    write_arrays(path, {"i": np.array([1])})
    with pytest.raises(ValueError, match="zip"):
        write_arrays(path, {"i": np.array([1, 2]), "j": np.array([1])})
    assert path.read_text() == "i\n1\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_table_with_other_columns_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("j,i\n1,2\n")
    with pytest.raises(ValueError, match=r"the columns are \['j', 'i'\]"):
        read_arrays(tmp_path / "a.csv", {"i": "int", "j": "int"})
