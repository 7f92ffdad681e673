"""Real task sets for the figures: each gives the arguments of one call of metaskl.compare.

Sets without a loader in metaskl.datasets are read from the folder METASKL_DATA.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from metaskl.backbones import Conv4
from metaskl.datasets import fetch_clinc150, fetch_landmine, fetch_radon, fetch_school

Arguments = dict[str, Any]
# Features of a text that are kept of its tf-idf words.
N_COMPONENTS = 100
# Pictures, of 28 x 28 pixels, are read by a small network, and few of them a step, so that every
# learner can be trained on a CPU.
SMALL = {"backbone": Conv4(n_channels=16), "meta_batch_size": 4, "n_query": 5}


def _folder() -> Path:
    folder = os.environ.get("METASKL_DATA")
    if not folder:
        raise SystemExit("Set METASKL_DATA to the folder that holds the data files.")
    return Path(folder)


def _table(filename: str, target: str = "y", **more: Any) -> Arguments:
    """Return a csv file with the column `task`; text columns as one-hot codes."""
    frame = pd.read_csv(_folder() / filename)
    groups, y = frame.pop("task"), frame.pop(target)
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    if text:
        codes = OneHotEncoder(drop="if_binary", sparse_output=False, handle_unknown="ignore")
        encode = make_column_transformer((codes, text), remainder="passthrough")
        more |= {"preprocess": encode}
    return {"X": frame, "y": y.to_numpy(), "groups": groups.to_numpy()} | more


def _words() -> Any:
    """Return a transformer of texts, fitted on the training tasks of each fold."""
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2)),
        TruncatedSVD(N_COMPONENTS, random_state=0),
    )


def _few_rows_a_class(
    frame: pd.DataFrame, columns: list[str], n_rows: int, seed: int = 0
) -> pd.DataFrame:
    """Return at most `n_rows` rows of each combination of the columns, drawn at random."""
    shuffled = frame.sample(frac=1, random_state=seed)
    return shuffled.groupby(columns, sort=False).head(n_rows).reset_index(drop=True)


def school() -> Arguments:
    """Exam scores of 139 schools, whole schools held out."""
    data = fetch_school()
    return {"X": data.data, "y": data.target, "groups": data.groups, "n_shot": (5, 20)}


def radon() -> Arguments:
    """Radon in houses of 85 counties, whole counties held out."""
    data = fetch_radon()
    return {"X": data.data, "y": data.target, "groups": data.groups, "n_shot": (2, 5, 10)}


def chickweight() -> Arguments:
    """Growth of 50 chicks."""
    return _table("chickweight.csv", n_shot=(2, 5))


def theoph() -> Arguments:
    """Drug level of 12 patients over time."""
    return _table("theoph.csv", n_shot=(2, 5), n_repeats=5)


def exam() -> Arguments:
    """Exam scores of 65 schools in London."""
    return _table("exam.csv.gz", n_shot=(5, 20))


def hsb82() -> Arguments:
    """Mathematics in 160 American high schools."""
    return _table("hsb82.csv.gz", n_shot=(5, 20))


def cigar() -> Arguments:
    """Sales of cigarettes in 46 American states over thirty years."""
    return _table("cigar.csv.gz", n_shot=(5, 20))


def beijing() -> Arguments:
    """Fine dust of a day at 12 stations, a task is a month of a station; without PM10."""
    table = _table("beijing_air_daily.csv.gz", n_shot=(5, 20))
    X = table["X"].dropna()
    known = table["X"].index.isin(X.index)
    months = X["year"].astype(str) + " " + X["month"].astype(str) + " " + table["groups"][known]
    X = X.drop(columns=["PM10", "year", "month"])
    return table | {"X": X, "y": table["y"][known], "groups": months.to_numpy().astype(str)}


def landmine() -> Arguments:
    """Mines in 29 fields, whole fields held out."""
    data = fetch_landmine()
    shared = {"n_shot": (20, 50), "scoring": "roc_auc", "n_repeats": 2}
    return {"X": data.data, "y": data.target, "groups": data.groups} | shared


def contraception() -> Arguments:
    """Use of contraception in 60 districts."""
    return _table("contraception.csv.gz", n_shot=(5, 20), scoring="roc_auc")


def guatemala() -> Arguments:
    """Immunisation in 161 communities."""
    return _table("guatemala_immun.csv.gz", n_shot=(5, 10), scoring="roc_auc")


def amazon() -> Arguments:
    """Opinions of products, one of four domains held out."""
    frame = _few_rows_a_class(pd.read_csv(_folder() / "amazon_domains.csv.gz"), ["task", "y"], 300)
    shared = {"n_shot": (10, 50), "cv": 4, "preprocess": _words()}
    return {"X": frame["text"].to_numpy(), "y": frame["y"], "groups": frame["task"]} | shared


def afrisenti() -> Arguments:
    """Opinions in 14 African languages."""
    frame = _few_rows_a_class(pd.read_csv(_folder() / "afrisenti.csv.gz"), ["task", "label"], 120)
    shared = {"n_shot": (10, 50), "scoring": "f1_weighted", "preprocess": _words()}
    return {"X": frame["text"].to_numpy(), "y": frame["label"], "groups": frame["task"]} | shared


def _intents(frame: pd.DataFrame, n_way: int, n_rows: int = 40) -> Arguments:
    frame = _few_rows_a_class(frame, ["task", "intent"], n_rows)
    shared = {"label_space": "task", "n_way": n_way, "n_shot": (1, 5), "preprocess": _words()}
    return {
        "X": frame["text"].to_numpy(),
        "y": frame["intent"].to_numpy(),
        "groups": frame["task"].to_numpy(),
    } | shared


def clinc150() -> Arguments:
    """Intents of 10 domains, whole domains held out, 5-way."""
    data = fetch_clinc150()
    frame = pd.DataFrame({"text": data.data, "intent": data.target, "task": data.groups})
    return _intents(frame[frame["task"] != "oos"], 5)


def hwu64() -> Arguments:
    """Intents of 18 scenarios, whole scenarios held out, 3-way."""
    return _intents(pd.read_csv(_folder() / "hwu64.csv.gz"), 3)


def crossner() -> Arguments:
    """Kind of an entity's token by the words around it, domains held out, 5-way."""
    frame = pd.read_csv(_folder() / "crossner.csv.gz", keep_default_na=False)
    sentence = frame.groupby(["task", "split", "sentence"], sort=False)["token"]
    window = [sentence.shift(k).fillna("") for k in (-2, -1, 0, 1, 2)]
    marks = ("r2", "r1", "here", "l1", "l2")
    parts = [mark + "_" + words.astype(str) for mark, words in zip(marks, window, strict=True)]
    text = parts[0]
    for part in parts[1:]:
        text = text + " " + part
    tokens = frame.assign(text=text, intent=frame["tag"].str.slice(2))
    tokens = tokens[tokens["tag"].str.startswith("B-")]
    return _intents(tokens, 5, n_rows=60)


def _pictures(X: Any, size: int = 28) -> np.ndarray:
    """Return grey pictures of one size, by means over blocks of pixels."""
    steps = [np.linspace(0, n, size + 1).astype(int) for n in X.shape[1:]]
    rows = np.add.reduceat(X.astype(np.float32), steps[0][:-1], axis=1)
    rows /= np.diff(steps[0])[:, None]
    columns = np.add.reduceat(rows, steps[1][:-1], axis=2) / np.diff(steps[1])
    return columns[:, None] / 255.0


def faces() -> Arguments:
    """Faces of 30 people, in tasks of five people each; 5-way."""
    with np.load(_folder() / "orl_faces.npz") as file:
        X, y = _pictures(file["X"]), file["y"].astype(int)
    # People are put into tasks at random, so that whole people are held out.
    order = np.random.default_rng(0).permutation(y.max() + 1)
    shared = {"label_space": "task", "n_way": 5, "n_shot": (1, 5), "learner_params": SMALL}
    return {"X": X, "y": y, "groups": order[y] // 5} | shared


def medical() -> Arguments:
    """Breast ultrasound, chest X-ray, brain scans; one kind of picture held out; 2-way."""
    X, y, groups = [], [], []
    for name in ("breastmnist_28", "pneumoniamnist_28", "brain_mri_64"):
        with np.load(_folder() / f"{name}.npz") as file:
            pictures, labels = _pictures(file["X"]), file["y"]
        frame = _few_rows_a_class(
            pd.DataFrame({"y": labels, "row": np.arange(len(labels))}), ["y"], 150
        )
        rows = frame["row"].to_numpy()
        X.append(pictures[rows])
        y += [f"{name} {label}" for label in labels[rows]]
        groups += [name] * len(rows)
    shared = {"label_space": "task", "n_way": 2, "n_shot": (5, 20), "cv": 3, "n_repeats": 10}
    shared |= {"learner_params": SMALL}
    return {"X": np.concatenate(X), "y": np.array(y), "groups": np.array(groups)} | shared


REGRESSION = (school, radon, chickweight, theoph, exam, hsb82)
CLASSIFICATION = (landmine, contraception, guatemala, amazon, afrisenti)
CLASSES = (clinc150, hwu64, crossner, faces, medical)
TASK_SETS = {make.__name__: make for make in (*REGRESSION, *CLASSIFICATION, *CLASSES)}
# Sets that the leaderboard does not have.
FURTHER_SETS = {make.__name__: make for make in (cigar, beijing)}
