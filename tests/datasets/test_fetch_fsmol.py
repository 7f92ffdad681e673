import gzip
import json

import numpy as np
import pytest

from metaskl.datasets import _fsmol as fsmol
from metaskl.datasets import fetch_fsmol


def molecule(smiles, active, log_activity, bits, assay_type="B"):
    """A line of an assay; the fingerprint counts, so an entry may be above 1."""
    counts = np.zeros(2048, dtype=int)
    counts[bits] = 2
    return json.dumps(
        {
            "SMILES": smiles,
            "Property": active,
            "Assay_ID": "CHEMBL1",
            "RegressionProperty": "1",
            "LogRegressionProperty": log_activity,
            "Relation": "=",
            "AssayType": assay_type,
            "fingerprints": counts.tolist(),
            "descriptors": [0.5],
            "graph": {"adjacency_lists": [], "node_types": [], "node_features": []},
        }
    )


def write(folder, assay, lines):
    path = folder / f"{assay}.jsonl.gz"
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join([*lines, ""]))


def test_stack_two_assays(tmp_path):
    write(tmp_path, "train/CHEMBL1", [molecule("CCO", "1.0", "7.34", [0, 9])])
    lines = [molecule("C", "0.0", value, [2047], "F") for value in (None, "NaN", "")]
    write(tmp_path, "test/CHEMBL2", lines)
    arrays = fsmol.stack_assays(tmp_path, ["train/CHEMBL1", "test/CHEMBL2"])
    assert arrays["X"].shape == (4, 256)
    assert arrays["X"][0, :2].tolist() == [0b10000000, 0b01000000]
    assert arrays["X"][1, -1] == 1
    assert arrays["y"].tolist() == [1, 0, 0, 0]
    assert arrays["y_log"][0] == np.float32(7.34)
    assert np.isnan(arrays["y_log"][1:]).all()
    assert arrays["task"].tolist() == [0, 1, 1, 1]
    assert arrays["task_split"].tolist() == [0, 2]
    assert arrays["assay_type"].tolist() == ["B", "F"]
    assert arrays["smiles"].tolist() == [b"CCO", b"C", b"C", b"C"]


def test_stack_refuses_a_short_fingerprint(tmp_path):
    line = json.loads(molecule("C", "0.0", "1", [0]))
    line["fingerprints"].pop()
    write(tmp_path, "train/CHEMBL1", [json.dumps(line)])
    with pytest.raises(ValueError, match=r"CHEMBL1\.jsonl\.gz: a fingerprint has not 2048"):
        fsmol.stack_assays(tmp_path, ["train/CHEMBL1"])


def test_the_message_says_how_many_files_are_missing():
    with pytest.raises(OSError, match=r"/train/CHEMBL\d+\.jsonl\.gz\n   and 699 more"):
        fetch_fsmol(download_if_missing=False)


def test_stack_reproduces_assays(real, tmp_path):
    file = np.load(real("fsmol.npz"))
    pairs = zip(file["task_split"], file["task_names"], strict=True)
    names = [f"{fsmol.SPLITS[split]}/{name}" for split, name in pairs]
    assert fsmol._assays() == names
    chosen = [0, 610, 704]
    rows = np.flatnonzero(np.isin(file["task"], chosen))
    X, y, y_log, task = (file[name][rows] for name in ("X", "y", "y_log", "task"))
    smiles = file["smiles"][rows]
    bits = np.unpackbits(X, axis=-1)
    for number in chosen:
        lines = [
            molecule(
                smiles[row].decode(),
                str(float(y[row])),
                str(y_log[row]),
                bits[row].astype(bool),
                str(file["assay_type"][number]),
            )
            for row in np.flatnonzero(task == number)
        ]
        write(tmp_path, names[number], lines)
    arrays = fsmol.stack_assays(tmp_path, [names[number] for number in chosen])
    for name, expected in {"X": X, "y": y, "y_log": y_log, "smiles": smiles}.items():
        np.testing.assert_array_equal(arrays[name], expected)
    np.testing.assert_array_equal(arrays["task_split"], [0, 1, 2])


def test_facts(real):
    real("fsmol.npz")
    bunch = fetch_fsmol()
    assert bunch.data.shape == (62264, 2048)
    assert bunch.data.dtype == np.uint8
    assert bunch.data.max() == 1
    assert set(np.unique(bunch.target)) == {0, 1}
    assert np.bincount(bunch.task_split).tolist() == [600, 35, 70]
    assert np.isnan(bunch.y_log).sum() == 389
    assert len(bunch.feature_names) == 2048
    sizes = np.unique(bunch.groups, return_counts=True)[1]
    assert (len(sizes), sizes.min(), np.median(sizes), sizes.max()) == (705, 32, 49, 691)
