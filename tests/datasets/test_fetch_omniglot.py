import io
import zipfile

import numpy as np
import pytest

from metaskl.datasets import _omniglot as omniglot
from metaskl.datasets import fetch_omniglot


def png(ink):
    """A black-on-white picture of two colours, as in the original."""
    Image = pytest.importorskip("PIL.Image", reason="rebuilding omniglot needs Pillow")
    file = io.BytesIO()
    Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1").save(file, "PNG")
    return file.getvalue()


def write(folder, part, pictures):
    with zipfile.ZipFile(folder / f"images_{part}.zip", "w") as archive:
        archive.writestr(f"images_{part}/", b"")
        archive.writestr(f"__MACOSX/images_{part}/._x.png", b"")
        for name, ink in pictures.items():
            archive.writestr(f"images_{part}/{name}.png", png(ink))


def test_convert_four_drawings(tmp_path):
    blank, full = np.zeros((105, 105)), np.ones((105, 105))
    background = {
        "Greek/character02/0395_02": full,
        "Greek/character02/0395_01": blank,
        "Braille/character01/0100_01": blank,
    }
    evaluation = {"Gurmukhi/character42/1200_01": full, "Atlantean/character01/0965_11": full}
    write(tmp_path, "background", background)
    write(tmp_path, "evaluation", evaluation)
    arrays = omniglot.convert(tmp_path)
    assert arrays["task_names"].tolist() == ["Atlantean", "Greek", "Gurmukhi"]
    assert arrays["class_names"].tolist() == [
        *("Atlantean/character01", "Greek/character02", "Gurmukhi/character42")
    ]
    assert arrays["y"].tolist() == arrays["task"].tolist() == [1, 1, 0, 2]
    assert arrays["drawer"].tolist() == [1, 2, 11, 1]
    assert arrays["omniglot_id"].tolist() == [395, 395, 965, 1200]
    assert arrays["evaluation"].tolist() == [0, 0, 1, 1]
    assert arrays["class_vinyals"].tolist() == [0, 0, 2]
    assert arrays["X"].shape == (4, 28, 28)
    assert [np.unique(picture).tolist() for picture in arrays["X"]] == [[0], [255], [255], [255]]


def test_convert_reproduces_the_pictures(real, tmp_path):
    """Three alphabets from the pictures of 105 x 105 give those of 28 x 28, bit for bit."""
    small, large = np.load(real("omniglot_28.npz")), np.load(real("omniglot_105.npz"))
    names = small["class_names"][small["y"]]
    alphabets = small["task_names"][small["task"]]
    rows = np.flatnonzero(np.isin(alphabets, ["Tagalog", "Hebrew", "Gurmukhi"]))
    ink = np.unpackbits(large["X"][rows], axis=-1, count=105 * 105).reshape(-1, 105, 105)
    for part in (0, 1):
        pictures = {
            f"{names[row]}/{small['omniglot_id'][row]:04d}_{small['drawer'][row]:02d}": picture
            for row, picture in zip(rows[::-1], ink[::-1], strict=True)
            if small["evaluation"][row] == part
        }
        write(tmp_path, ("background", "evaluation")[part], pictures)
    arrays = omniglot.convert(tmp_path)
    np.testing.assert_array_equal(arrays["X"], small["X"][rows])
    for name in ("drawer", "evaluation", "omniglot_id"):
        np.testing.assert_array_equal(arrays[name], small[name][rows])
    np.testing.assert_array_equal(arrays["class_names"][arrays["y"]], names[rows])
    np.testing.assert_array_equal(
        arrays["class_vinyals"][arrays["y"]], small["class_vinyals"][small["y"][rows]]
    )


def test_the_lists_of_alphabets_and_the_split_are_those_of_the_file(real):
    real("omniglot_28.npz")
    bunch = fetch_omniglot(dtype="uint8")
    assert set(bunch.alphabet[~bunch.evaluation]) == omniglot.BACKGROUND
    assert set(bunch.alphabet[bunch.evaluation]) == omniglot.EVALUATION
    expected = [omniglot._vinyals(name) for name in bunch.target_names.tolist()]
    np.testing.assert_array_equal(bunch.class_vinyals, expected)


def test_facts(real):
    real("omniglot_28.npz")
    bunch = fetch_omniglot()
    assert bunch.data.shape == (22520, 1, 28, 28)
    assert bunch.data.dtype == np.float32
    assert (bunch.data.min(), bunch.data.max()) == (0, 1)
    # Ink is bright and rare.
    assert 0.05 < bunch.data.mean() < 0.2
    assert np.bincount(bunch.target).tolist() == [20] * 1126
    assert len(bunch.group_names) == 33
    np.testing.assert_array_equal(bunch.parents[bunch.target], bunch.groups)
    assert bunch.evaluation.sum() == 7640


def test_uint8_is_the_same_pictures(real):
    real("omniglot_28.npz")
    X, y, groups = fetch_omniglot(dtype="uint8", return_X_y=True)
    assert X.dtype == np.uint8
    floats = fetch_omniglot()
    np.testing.assert_array_equal(np.rint(floats.data * 255), X)
    np.testing.assert_array_equal(floats.target, y)
    np.testing.assert_array_equal(floats.groups, groups)


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'uint8', got 'float64'"):
        fetch_omniglot(dtype="float64")
