import csv
import gzip
import json

import numpy as np
import pytest

from metaskl.datasets import _clinc150 as clinc150
from metaskl.datasets import fetch_clinc150

DOMAINS = {"travel": ["translate"], "banking": ["transfer"]}
PARTS = {
    "oos_val": [["how much is an overdraft fee", "oos"]],
    "val": [["in spanish, meet me", "translate"]],
    "train": [["say hi in french", "translate"], ["send $5", "transfer"], ["say hi", "translate"]],
    "oos_test": [],
    "test": [["move it", "transfer"]],
    "oos_train": [["comment ça va", "oos"]],
}


def contents(parts, domains, few):
    files = {"data_full.json": json.dumps(parts), "domains.json": json.dumps(domains)}
    for draw, pairs in few.items():
        files[f"{draw}/seq.in"] = "".join(f"{text}\n" for text, _ in pairs)
        files[f"{draw}/label"] = "".join(f"{intent}\n" for _, intent in pairs)
    return {name: text.encode() for name, text in files.items()}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def test_convert_eight_sentences(tmp_path):
    few = {"train_5": [["send $5", "transfer"]], "train_10": PARTS["train"][:2]}
    write(tmp_path, contents(PARTS, DOMAINS, few))
    arrays = clinc150.convert(tmp_path)
    assert list(arrays) == list(clinc150.SOURCE.columns)
    assert arrays["split"].tolist() == ["val", "val", *["train"] * 3, "test", "train"]
    assert arrays["task"].tolist() == [
        *("oos", "travel", "travel", "banking", "travel", "banking", "oos")
    ]
    assert arrays["intent"][1] == "translate"
    assert arrays["text"][-1] == "comment ça va"
    assert arrays["few5"].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert arrays["few10"].tolist() == [0, 0, 1, 1, 0, 0, 0]


def test_convert_refuses_a_sentence_that_is_not_there(tmp_path):
    few = {"train_5": [["move it", "transfer"]], "train_10": []}
    write(tmp_path, contents(PARTS, DOMAINS, few))
    with pytest.raises(ValueError, match=r"not in the training part: .*'move it'"):
        clinc150.convert(tmp_path)


def raw_clinc150(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {name: [] for name in clinc150.PARTS}
    domains = {}
    few = {"train_5": [], "train_10": []}
    for row in rows:
        pair = [row["text"], row["intent"]]
        parts["oos_" * (row["intent"] == "oos") + row["split"]].append(pair)
        if row["intent"] != "oos":
            domains.setdefault(row["task"], {})[row["intent"]] = None
        for number in ("5", "10"):
            if row[f"few{number}"] == "1":
                few[f"train_{number}"].append(pair)
    return contents(parts, {domain: list(intents) for domain, intents in domains.items()}, few)


def test_rebuilt_from_source(rebuild):
    for bunch in rebuild(clinc150, fetch_clinc150, raw_clinc150):
        assert bunch.data.shape == (23700,)


def test_facts(real):
    real("clinc150.csv.gz")
    bunch = fetch_clinc150()
    assert len(bunch.target_names) == 151
    assert len(bunch.group_names) == 11
    in_scope = bunch.groups != "oos"
    assert in_scope.sum() == 22500
    for split, size in (("train", 15000), ("val", 3000), ("test", 4500)):
        assert (in_scope & (bunch.split == split)).sum() == size
    assert (bunch.few5.sum(), bunch.few10.sum()) == (750, 1500)
    np.testing.assert_array_equal(bunch.target_names[bunch.target], bunch.intent)
    np.testing.assert_array_equal(bunch.parents[bunch.target], bunch.groups)
    assert sorted(np.unique(bunch.parents, return_counts=True)[1]) == [1] + [15] * 10


def test_frame(real):
    real("clinc150.csv.gz")
    bunch = fetch_clinc150(as_frame=True)
    assert bunch.data.name == "text"
    assert bunch.groups.name == "domain"
    assert bunch.target.dtype == np.int64
    assert bunch.frame.loc[bunch.frame["few5"], "text"].shape == (750,)
    assert bunch.frame.isna().sum().sum() == 0
