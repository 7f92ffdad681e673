"""Folders of pictures become arrays, or one clear error."""

import numpy as np
import pytest
from PIL import Image

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.errors import ParameterError
from metaskl_vision import ImageFolderError, load_image_folder


def save(root, name, values, **options):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path, **options)
    return path


def grey(value, shape=(4, 6)):
    return np.full(shape, value, np.uint8)


def test_task_class_picture(tmp_path):
    for name, value in {
        "b/y/1.png": 0,
        "a/x/2.png": 51,
        "a/x/10.PNG": 102,
        "a/z/1.png": 255,
    }.items():
        save(tmp_path, name, grey(value))
    (tmp_path / "a/x/notes.txt").write_text("not a picture")
    (tmp_path / "a/x/.hidden.png").write_text("nor this")
    found = load_image_folder(tmp_path)
    assert found.filenames == ["a/x/10.PNG", "a/x/2.png", "a/z/1.png", "b/y/1.png"]
    assert found.target.tolist() == ["x", "x", "z", "y"]
    assert found.groups.tolist() == ["a", "a", "a", "b"]
    assert (found.data.shape, found.data.dtype) == ((4, 1, 4, 6), np.float32)
    np.testing.assert_allclose(found.data[:, 0, 0, 0], [0.4, 0.2, 1.0, 0.0], rtol=1e-6)


def test_class_picture_has_no_tasks(tmp_path):
    save(tmp_path, "x/1.png", grey(0))
    assert load_image_folder(str(tmp_path)).groups is None


def test_colours_and_greys(tmp_path):
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    save(tmp_path, "x/1.png", red)
    X = load_image_folder(tmp_path, channels="RGB").data
    assert X[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    # ITU-R 601: 0.299 of red.
    assert load_image_folder(tmp_path).data[0, 0, 0, 0] == pytest.approx(0.299, abs=1 / 255)


def test_greys_of_16_bits_are_not_clipped(tmp_path):
    save(tmp_path, "x/1.png", np.array([[0, 257, 32896, 65535]], np.uint16))
    X = load_image_folder(tmp_path).data
    np.testing.assert_allclose(X[0, 0, 0], [0, 1 / 255, 128 / 255, 1], rtol=1e-6)


def test_transparency_is_laid_on_white(tmp_path):
    clear = np.zeros((2, 2, 4), np.uint8)
    save(tmp_path, "x/1.png", clear)
    assert load_image_folder(tmp_path).data.min() == 1.0


def test_pictures_are_turned_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    save(tmp_path, "x/1.jpg", grey(9, (4, 6)), exif=exif)
    assert load_image_folder(tmp_path).data.shape == (1, 1, 6, 4)


@pytest.mark.parametrize(
    ("fit", "columns"),
    [("stretch", [1, 1, 1, 1]), ("crop", [1, 1, 1, 1]), ("pad", [0, 1, 1, 0])],
)
def test_resizing(tmp_path, fit, columns):
    save(tmp_path, "x/1.png", grey(255, (8, 4)))
    save(tmp_path, "x/2.png", grey(255, (4, 4)))
    X = load_image_folder(tmp_path, size=4, fit=fit).data
    assert X[0, 0, 1].tolist() == columns
    assert (X[1] == 1).all()


def test_crop_keeps_the_middle(tmp_path):
    save(tmp_path, "x/1.png", np.array([[0, 0, 255, 255, 0, 0]] * 2, np.uint8))
    assert load_image_folder(tmp_path, size=(2, 2), fit="crop").data.min() == 1.0


def test_unequal_pictures_are_named(tmp_path):
    for name in ("x/1.png", "x/2.png"):
        save(tmp_path, name, grey(0))
    save(tmp_path, "y/odd.png", grey(0, (5, 5)))
    with pytest.raises(ImageFolderError, match=r"got \(5, 5\) of 'y/odd.png' where most have \(4"):
        load_image_folder(tmp_path)


def test_unreadable_pictures_are_named(tmp_path):
    whole = save(tmp_path, "x/1.png", np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8))
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ImageFolderError, match=r"1.png must be a whole picture.*fetch it again"):
        load_image_folder(tmp_path)
    whole.write_text("text")
    with pytest.raises(ImageFolderError, match=r"1.png must be a picture.*Pillow does not know"):
        load_image_folder(tmp_path)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    save(tmp_path, "x/1.tif", np.ones((2, 2), np.float32))
    with pytest.raises(ImageFolderError, match=r"type 'F', of which the range is not known"):
        load_image_folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "got no picture below"),
        (("1.png",), "got '1.png' below"),
        (("a/b/c/1.png",), "got 'a/b/c/1.png' below"),
        (("a/1.png", "a/b/1.png"), "got 'a/1.png' and 'a/b/1.png'. Move the 1 of the first"),
    ],
)
def test_other_depths_are_refused(tmp_path, names, message):
    for name in names:
        save(tmp_path, name, grey(0))
    with pytest.raises(ImageFolderError, match=message):
        load_image_folder(tmp_path)


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(ImageFolderError, match=r"root must be a folder, got .*nowhere"):
        load_image_folder(tmp_path / "nowhere")


def test_sizes_of_numpy_are_sizes(tmp_path):
    save(tmp_path, "a/1.png", grey(10))
    assert load_image_folder(tmp_path, size=np.int64(3)).data.shape == (1, 1, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be a whole number of pixels"),
        ({"size": 84.0}, "size must be a whole number of pixels.* got 84.0"),
        ({"size": True}, "size must be a whole number of pixels"),
        ({"size": (4, 4, 4)}, "size must be a whole number of pixels"),
        ({"channels": "CMYK"}, "channels must be one of"),
        ({"fit": "squash"}, "fit must be one of"),
    ],
)
def test_parameters_out_of_range(tmp_path, arguments, message):
    with pytest.raises(ParameterError, match=message):
        load_image_folder(tmp_path, **arguments)


def test_what_is_read_can_be_learned(tmp_path):
    rng = np.random.default_rng(0)
    for task in ("a", "b"):
        for label in range(3):
            for number in range(4):
                values = rng.integers(0, 60, (16, 16), np.uint8) + np.uint8(60 * label)
                save(tmp_path, f"{task}/{label}/{number}.png", values)
    found = load_image_folder(tmp_path)
    meta = ProtoNetClassifier(
        backbone=Conv4(8), label_space="task", n_way=3, n_shot=1, n_query=3, max_epochs=1,
        steps_per_epoch=3,
    )  # fmt: skip
    meta.fit(found.data, found.target, groups=found.groups)
    assert meta.n_tasks_ == 6
    assert meta.adapt(found.data[::4], found.target[::4]).predict(found.data).shape == (24,)
