"""Activity of molecules in 705 laboratory assays."""

import gzip
import importlib.resources
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from metaskl.datasets._bunch import bunch_or_arrays
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import Arrays, RawFile, Source

N_BITS = 2048
SPLITS = ("train", "valid", "test")

DESCR = """\
FS-Mol: which molecules are active?
===================================

62,264 measurements of molecules in 705 laboratory assays, a sample of FS-Mol. A task is an assay
(32 to 691 molecules), the class says whether the molecule is active in it. The features are the
2,048 bits of a fingerprint of the molecule; counts were cut to bits. `task_split` is the published
split by task: 600 assays for meta-training (of 4,938, drawn at random), 35 for meta-validation
(of 40) and 70 for meta-test (of 157: those with at most 700 molecules). `y_log` is the measured
activity as a logarithm, missing (nan) in 389 rows.

The customary figure is the mean over test tasks of the average precision minus the share of
actives, with a support of 16, 32, 64, 128 or 256 molecules.

Source: microsoft/FS-Mol, datasets/*/CHEMBL*.jsonl.gz at commit 3f48152b5f72 (CC BY-SA 3.0: what is
made from it carries the same licence).

Reference: Stanley et al., FS-Mol: a few-shot learning dataset of molecules, NeurIPS 2021 Datasets
and Benchmarks.
"""


def _assays() -> list[str]:
    """List the assays of the sample as "split/name", in the order of the rows."""
    file = importlib.resources.files("metaskl.datasets") / "fsmol_assays.txt"
    return file.read_text(encoding="ascii").split()


def convert(folder: Path) -> Arrays:
    """Stack the assays of the sample."""
    return stack_assays(folder, _assays())


def stack_assays(folder: Path, assays: list[str]) -> Arrays:
    """Stack assays, each a compressed file of one molecule a line."""
    tasks = [list(_read_molecules(folder / f"{assay}.jsonl.gz")) for assay in assays]
    rows = [row for task in tasks for row in task]
    return {
        "X": np.stack([row.bits for row in rows]),
        "n_bits": np.array(N_BITS, dtype=np.int64),
        "y": np.array([row.active for row in rows], dtype=np.int8),
        "y_log": np.array([row.log_activity for row in rows], dtype=np.float32),
        "task": np.repeat(np.arange(len(tasks)), [len(task) for task in tasks]).astype(np.int16),
        "smiles": np.array([row.smiles for row in rows]),
        "task_names": np.array([assay.split("/")[1] for assay in assays]),
        "task_split": np.array([SPLITS.index(assay.split("/")[0]) for assay in assays], np.int8),
        "assay_type": np.array([task[0].assay_type for task in tasks]),
    }


class _Molecule(NamedTuple):
    """What is kept of one line; the graph and the descriptors are most of it, and are not."""

    bits: np.ndarray[Any, np.dtype[np.uint8]]
    active: int
    log_activity: float
    smiles: bytes
    assay_type: str


def _read_molecules(path: Path) -> Iterator[_Molecule]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            molecule = json.loads(line)
            counts = np.array(molecule["fingerprints"])
            if counts.shape != (N_BITS,):
                raise ValueError(f"{path.name}: a fingerprint has not {N_BITS} entries")
            yield _Molecule(
                bits=np.packbits(counts > 0),
                active=int(float(molecule["Property"])),
                log_activity=_number(molecule["LogRegressionProperty"]),
                smiles=molecule["SMILES"].encode("ascii"),
                assay_type=molecule["AssayType"],
            )


def _number(value: str | float | None) -> float:
    return math.nan if value is None or value == "" else float(value)


_COMMIT = "3f48152b5f72bad475d82c22af11366ec0b19d79"

SOURCE = Source(
    name="fsmol",
    filename="fsmol.npz",
    digest="01551b77ed12ca6f2061cfb16a4c2562630672da830722ce8a7e884eb3466b86",
    raw_files=tuple(
        RawFile(f"{assay}.jsonl.gz", f"microsoft/FS-Mol/{_COMMIT}/datasets/{assay}.jsonl.gz")
        for assay in _assays()
    ),
    convert=convert,
)


def fetch_fsmol(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Load 62,264 molecules measured in 705 assays, a sample of FS-Mol (classification).

    A task is an assay; all tasks have the same two classes.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of downloaded data, see :func:`~metaskl.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error rather than use the network.
    return_X_y : bool, default=False
        If True, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        With the attributes `data`, bits as uint8, of shape (62264, 2048) (128 MB), `target` (0
        inactive, 1 active) of shape (62264,), `groups`, the ChEMBL names of the assays, of shape
        (62264,), `group_names` of shape (705,), `task_split` (0 meta-train, 1 meta-validation, 2
        meta-test) and `assay_type`, both of shape (705,) in the order of `group_names`, `y_log` of
        shape (62264,), `smiles` of shape (62264,), `target_names`, `feature_names`,
        `target_name`, `group_name`, `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Notes
    -----
    Rebuilding the set takes 705 downloads, one an assay. GitHub may refuse so many in a row;
    calling again goes on where the last call stopped. The folders train, valid and test of an
    FS-Mol archive may also be put into ``raw/fsmol`` in the data home by hand.

    Examples
    --------
    >>> from metaskl.datasets import fetch_fsmol
    >>> fsmol = fetch_fsmol()  # doctest: +SKIP
    >>> fsmol.group_names[fsmol.task_split == 2].shape  # doctest: +SKIP
    (70,)
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    bunch = Bunch(
        data=np.unpackbits(arrays["X"], axis=-1, count=N_BITS),
        target=arrays["y"].astype(np.int64),
        groups=arrays["task_names"][arrays["task"]],
        feature_names=[f"bit{number}" for number in range(N_BITS)],
        target_names=np.array(["inactive", "active"]),
        group_names=arrays["task_names"],
        task_split=arrays["task_split"].astype(np.int64),
        assay_type=arrays["assay_type"],
        y_log=arrays["y_log"],
        smiles=arrays["smiles"].astype(np.str_),
        target_name="active",
        group_name="assay",
        DESCR=DESCR,
        filename=str(path),
    )
    return bunch_or_arrays(bunch, return_X_y)
