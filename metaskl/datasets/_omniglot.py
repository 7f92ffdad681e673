"""Handwritten characters of 33 alphabets, 20 drawings each."""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from metaskl.datasets._bunch import bunch_or_arrays
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import Arrays, RawFile, Source

SIDE = 28

# Alphabets of the two parts that the set holds; the others are not in it.
BACKGROUND = frozenset(
    {
        *("Alphabet_of_the_Magi", "Anglo-Saxon_Futhorc", "Arcadian", "Armenian"),
        *("Asomtavruli_(Georgian)", "Balinese", "Blackfoot_(Canadian_Aboriginal_Syllabics)"),
        *("Cyrillic", "Early_Aramaic", "Grantha", "Greek", "Gujarati", "Hebrew"),
        *("Inuktitut_(Canadian_Aboriginal_Syllabics)", "Japanese_(hiragana)"),
        *("Japanese_(katakana)", "Korean", "Latin", "Malay_(Jawi_-_Arabic)", "Sanskrit"),
        *("Syriac_(Estrangelo)", "Tagalog", "Tifinagh"),
    }
)
EVALUATION = frozenset(
    {
        *("Atlantean", "Ge_ez", "Glagolitic", "Gurmukhi", "Kannada", "Malayalam", "Manipuri"),
        *("Old_Church_Slavonic_(Cyrillic)", "Tengwar", "Tibetan"),
    }
)
# The split of Vinyals et al. follows the alphabets, but for four characters.
VINYALS_VALIDATION = frozenset({"Armenian", "Early_Aramaic", "Hebrew"})
VINYALS_TEST = frozenset(
    {
        *("Kannada", "Malayalam", "Manipuri", "Old_Church_Slavonic_(Cyrillic)", "Tengwar"),
        *("Tibetan", "Gurmukhi/character42", "Gurmukhi/character43", "Gurmukhi/character44"),
        "Gurmukhi/character45",
    }
)

DESCR = """\
Omniglot: handwritten characters
================================

22,520 drawings of 1,126 characters of 33 alphabets, each character drawn by 20 people, as grey
pictures of 28 x 28 pixels (bright ink on black). A class-episodic set: a task is a draw of
characters, and `groups` names the alphabet. 33 of the 50 alphabets of the original are here, so
compare published figures with care.

`evaluation` marks the alphabets of the author's evaluation part. `class_vinyals` gives the other
common split (0 train, 1 validation, 2 test), published by Vinyals et al. and used with rotations
by 90 degrees as further classes. The pictures were made from those of 105 x 105 pixels with a
Lanczos filter.

Source: brendenlake/omniglot, python/images_background.zip and images_evaluation.zip (MIT).

References: Lake, Salakhutdinov, Tenenbaum, Human-level concept learning through probabilistic
program induction, Science 2015; The Omniglot challenge, 2019. Vinyals et al., Matching networks
for one shot learning, NeurIPS 2016.
"""


class _Drawing(NamedTuple):
    """One picture; the order of the fields is the order of the rows."""

    evaluation: int
    character: str
    drawer: int
    omniglot_id: int
    pixels: np.ndarray[Any, np.dtype[np.uint8]]


def convert(folder: Path) -> Arrays:
    """Shrink the pictures of both archives and number alphabets and characters by name."""
    drawings = [*_read_part(folder, "background", BACKGROUND, 0)]
    drawings += _read_part(folder, "evaluation", EVALUATION, 1)
    drawings.sort(key=lambda drawing: drawing[:3])
    characters = np.array([drawing.character for drawing in drawings])
    class_names, y = np.unique(characters, return_inverse=True)
    alphabets = np.array([name.split("/")[0] for name in class_names.tolist()])
    task_names, class_task = np.unique(alphabets, return_inverse=True)
    return {
        "X": np.stack([drawing.pixels for drawing in drawings]),
        "y": y.astype(np.int16),
        "task": class_task[y].astype(np.int16),
        "drawer": np.array([drawing.drawer for drawing in drawings], dtype=np.uint8),
        "evaluation": np.array([drawing.evaluation for drawing in drawings], dtype=np.uint8),
        "omniglot_id": np.array([drawing.omniglot_id for drawing in drawings], dtype=np.int16),
        "task_names": task_names,
        "class_names": class_names,
        "class_task": class_task.astype(np.int16),
        "class_vinyals": np.array([_vinyals(name) for name in class_names.tolist()], np.int8),
    }


def _read_part(
    folder: Path, part: str, alphabets: frozenset[str], evaluation: int
) -> Iterator[_Drawing]:
    """Read pictures named like images_background/Greek/character01/0394_01.png."""
    with zipfile.ZipFile(folder / f"images_{part}.zip") as archive:
        for name in archive.namelist():
            if not name.endswith(".png") or name.startswith("__MACOSX"):
                continue
            _, alphabet, character, file = name.split("/")
            if alphabet in alphabets:
                omniglot_id, drawer = file.removesuffix(".png").split("_")
                pixels = _shrink(archive.read(name))
                row = (f"{alphabet}/{character}", int(drawer), int(omniglot_id), pixels)
                yield _Drawing(evaluation, *row)


def _shrink(png: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make a bright-on-black picture of 28 x 28 pixels from a black-on-white one."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "omniglot is rebuilt from PNG pictures, which needs Pillow: pip install pillow"
        ) from error
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return 255 - np.asarray(small, dtype=np.uint8)


def _vinyals(character: str) -> int:
    alphabet = character.split("/")[0]
    if alphabet in VINYALS_TEST or character in VINYALS_TEST:
        return 2
    return int(alphabet in VINYALS_VALIDATION)


_REPOSITORY = "brendenlake/omniglot/057f034baf2e/python"

SOURCE = Source(
    name="omniglot",
    filename="omniglot_28.npz",
    digest="b7670d46d7154d817ab505c1fcdd581cb6226a7c4768172ad8f6a5f95e67d306",
    # The checksums are those by which torchvision checks the same two files.
    raw_files=(
        RawFile(
            "images_background.zip",
            f"{_REPOSITORY}/images_background.zip",
            "md5:68d2efa1b9178cc56df9314c21c6e718",
        ),
        RawFile(
            "images_evaluation.zip",
            f"{_REPOSITORY}/images_evaluation.zip",
            "md5:6b91aef0f799c5bb55b94e3f2daec811",
        ),
    ),
    convert=convert,
)


def fetch_omniglot(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    dtype: Literal["float32", "uint8"] = "float32",
    return_X_y: bool = False,
) -> Any:
    """Load 22,520 drawings of 1,126 characters of 33 alphabets (images, class-episodic).

    `target` is the character (the class an episode draws), `groups` the alphabet it belongs
    to (what a split by task holds out).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of downloaded data, see :func:`~metaskl.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error rather than use the network.
    dtype : {"float32", "uint8"}, default="float32"
        "float32" gives pixels from 0 (no ink) to 1 (71 MB), "uint8" from 0 to 255 (18 MB).
    return_X_y : bool, default=False
        If True, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        With the attributes `data` of shape (22520, 1, 28, 28), `target`, the number of the
        character, of shape (22520,), `target_names` ("alphabet/character") of shape (1126,),
        `groups` (also as `alphabet`), the name of the alphabet, of shape (22520,),
        `group_names` of shape (33,), sorted, `parents`, the alphabet of each character in the
        order of `target_names`, `class_vinyals` (0 train, 1 validation, 2 test) in the same
        order, and for each row the mask `evaluation`, `drawer` (1 to 20) and `omniglot_id`, the
        number of the character in the original; `target_name`, `group_name`, `DESCR`,
        `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.
    ValueError
        If `dtype` is neither "float32" nor "uint8".

    Notes
    -----
    Rebuilding the set from the public pictures needs Pillow.

    Examples
    --------
    >>> from metaskl.datasets import fetch_omniglot
    >>> omniglot = fetch_omniglot()  # doctest: +SKIP
    >>> train = omniglot.data[~omniglot.evaluation]  # doctest: +SKIP
    >>> train.shape  # doctest: +SKIP
    (14880, 1, 28, 28)
    """
    if dtype not in ("float32", "uint8"):
        raise ValueError(f"dtype must be 'float32' or 'uint8', got {dtype!r}.")
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    data = arrays["X"][:, np.newaxis]
    alphabet = arrays["task_names"][arrays["task"]]
    bunch = Bunch(
        data=data if dtype == "uint8" else data / np.float32(255),
        target=arrays["y"].astype(np.int64),
        groups=alphabet,
        target_names=arrays["class_names"],
        group_names=arrays["task_names"],
        parents=arrays["task_names"][arrays["class_task"]],
        alphabet=alphabet,
        class_vinyals=arrays["class_vinyals"].astype(np.int64),
        evaluation=arrays["evaluation"].astype(bool),
        drawer=arrays["drawer"].astype(np.int64),
        omniglot_id=arrays["omniglot_id"].astype(np.int64),
        target_name="character",
        group_name="alphabet",
        DESCR=DESCR,
        filename=str(path),
    )
    return bunch_or_arrays(bunch, return_X_y)
