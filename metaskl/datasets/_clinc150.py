"""Questions to an assistant: 150 intents in ten domains."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from metaskl.datasets._bunch import bunch_or_arrays, unique_in_order
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import Arrays, RawFile, Source
from metaskl.datasets._store import typed

# The parts of data_full.json in the order of that file.
PARTS = ("oos_val", "val", "train", "oos_test", "test", "oos_train")
OUT_OF_SCOPE = "oos"

DESCR = """\
CLINC150: what do you want from your assistant?
===============================================

23,700 short English questions and orders to an assistant. 22,500 of them belong to 150 intents
(classes), 15 in each of ten domains; 1,200 belong to none (intent and domain `oos`, out of
scope). A class-episodic set: a task is a draw of intents, and `groups` names the domain, so that
whole domains can be held out. The published split is in `split`: train 15,000 + 100 out of scope,
val 3,000 + 100, test 4,500 + 1,000.

`few5` and `few10` mark the 5 and the 10 training sentences per intent on which the published
few-shot figures were computed (they come from jianguoz/Few-Shot-Intent-Detection).

A linear support vector machine on tf-idf words with all the training sentences has an accuracy
of 91.3 % in scope.

Source: clinc/oos-eval, data/data_full.json and data/domains.json (CC BY 3.0).

Reference: Larson et al., An evaluation dataset for intent classification and out-of-scope
prediction, EMNLP 2019.
"""


def convert(folder: Path) -> Arrays:
    """Join sentences with the domain of their intent, and mark the published few-shot draws."""
    parts = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
    domains = json.loads((folder / "domains.json").read_text(encoding="utf-8"))
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents}
    domain_of[OUT_OF_SCOPE] = OUT_OF_SCOPE
    rows = [
        (part.removeprefix("oos_"), intent, text.strip())
        for part in PARTS
        for text, intent in parts[part]
    ]
    splits, intents, texts = zip(*rows, strict=True)
    return {
        "task": typed("text", (domain_of[intent] for intent in intents)),
        "split": typed("text", splits),
        "intent": typed("text", intents),
        "text": typed("text", texts),
        "few5": _marked(rows, _few_shot(folder / "train_5")),
        "few10": _marked(rows, _few_shot(folder / "train_10")),
    }


def _few_shot(folder: Path) -> set[tuple[str, str, str]]:
    texts = (folder / "seq.in").read_text(encoding="utf-8").splitlines()
    intents = (folder / "label").read_text(encoding="utf-8").splitlines()
    pairs = zip(intents, texts, strict=True)
    return {("train", intent.strip(), text.strip()) for intent, text in pairs}


def _marked(
    rows: list[tuple[str, str, str]], chosen: set[tuple[str, str, str]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    unknown = chosen.difference(rows)
    if unknown:
        raise ValueError(f"a few-shot sentence is not in the training part: {min(unknown)}")
    return np.array([row in chosen for row in rows], dtype=np.int64)


_OOS_EVAL = "clinc/oos-eval/828f8093932c8fe6ca7936c3d2e52903b1c523de/data"
_FEW_SHOT = "jianguoz/Few-Shot-Intent-Detection/fa9553312b1d/Datasets/CLINC150"

SOURCE = Source(
    name="clinc150",
    filename="clinc150.csv.gz",
    digest="b9b29827f2b1db42ad8a80244fecc721274d41a57cfa6e7040f63f598e241f6e",
    raw_files=(
        RawFile("data_full.json", f"{_OOS_EVAL}/data_full.json"),
        RawFile("domains.json", f"{_OOS_EVAL}/domains.json"),
        *(
            RawFile(f"{draw}/{name}", f"{_FEW_SHOT}/{draw}/{name}")
            for draw in ("train_5", "train_10")
            for name in ("seq.in", "label")
        ),
    ),
    convert=convert,
    columns={
        "task": "text",
        "split": "text",
        "intent": "text",
        "text": "text",
        "few5": "int",
        "few10": "int",
    },
)


def fetch_clinc150(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    as_frame: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load 23,700 sentences of 150 intents in ten domains (text, class-episodic).

    `target` is the intent (the class an episode draws), `groups` the domain it belongs to
    (what a split by task holds out).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of downloaded data, see :func:`~metaskl.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error rather than use the network.
    as_frame : bool, default=False
        If True, `data`, `target` and `groups` are series, and `frame` holds the columns domain,
        split, intent, text, few5, few10 and target.
    return_X_y : bool, default=False
        If True, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        With the attributes `data` (also as `text`), the sentences, of shape (23700,), `target`,
        the number of the intent, of shape (23700,), `target_names` of shape (151,), sorted,
        `intent`, the name of the intent, `groups` (also as `domain`), the name of the domain,
        `parents`, the domain of each intent in the order of `target_names`, `group_names` of
        shape (11,), `split` ("train", "val" or "test"), the masks `few5` and `few10`, `frame`,
        `target_name`, `group_name`, `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Examples
    --------
    >>> from metaskl.datasets import fetch_clinc150
    >>> clinc = fetch_clinc150()  # doctest: +SKIP
    >>> few = clinc.data[clinc.few5]  # doctest: +SKIP
    >>> few.shape  # doctest: +SKIP
    (750,)
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    text, domain = arrays["text"].astype(object), arrays["task"]
    intents, first, codes = np.unique(arrays["intent"], return_index=True, return_inverse=True)
    columns = {
        "domain": domain,
        "split": arrays["split"],
        "intent": arrays["intent"],
        "text": text,
        "few5": arrays["few5"].astype(bool),
        "few10": arrays["few10"].astype(bool),
        "target": codes.astype(np.int64),
    }
    frame: Any = None
    if as_frame:
        import pandas as pd

        frame = pd.DataFrame(columns)
    shown = columns if frame is None else frame
    bunch = Bunch(
        data=shown["text"],
        target=shown["target"],
        groups=shown["domain"],
        frame=frame,
        target_names=intents,
        parents=domain[first],
        group_names=unique_in_order(domain),
        target_name="intent",
        group_name="domain",
        **{name: columns[name] for name in ("text", "intent", "domain", "split", "few5", "few10")},
        DESCR=DESCR,
        filename=str(path),
    )
    return bunch_or_arrays(bunch, return_X_y)
