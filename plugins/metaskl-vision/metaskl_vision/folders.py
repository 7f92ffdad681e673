"""Task sets of pictures that lie in folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from sklearn.utils import Bunch

from metaskl.errors import MetasklError, ParameterError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_CHANNELS = ("L", "RGB")
_FITS = ("stretch", "crop", "pad")
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class ImageFolderError(MetasklError, ValueError):
    """Pictures in folders that cannot be read, or do not make a task set."""


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    channels: str = "L",
    fit: str = "stretch",
    suffixes: Sequence[str] = _SUFFIXES,
) -> Bunch:
    """Read ``class/picture`` or ``task/class/picture`` into arrays.

    Hidden files and files with other suffixes are passed over. Pictures are turned as their EXIF
    entry says; of several frames the first is taken; transparency is laid on white. Greys of 16
    bits keep their precision.

    Parameters
    ----------
    root : path-like
        Folder with one folder a class, or one a task with one a class each.
    size : int or (int, int), optional
        Height and width that every picture is brought to; by default they must be equal.
    channels : {"L", "RGB"}, default="L"
        Greys, or red, green and blue.
    fit : {"stretch", "crop", "pad"}, default="stretch"
        How another shape is brought to `size`: each side by itself, or in proportion, with
        what is over cut off or what is missing filled with black, in the middle.
    suffixes : sequence of str
        What names of pictures end in, in small letters.

    Returns
    -------
    Bunch
        ``data`` ndarray of shape (n, C, H, W), float32 from 0 to 1; ``target`` the class folder's
        name and ``groups`` the task folder's, (n,) each (None without task folders);
        ``filenames`` relative to `root`; ordered by file name.

    Raises
    ------
    ImageFolderError
        If there are no pictures, they lie at different depths, one cannot be read, or sizes
        differ and no `size` is given. The message names the file.
    ParameterError
        If a parameter is out of its range.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from metaskl_vision import load_image_folder
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
    ...         (Path(root) / name).parent.mkdir(exist_ok=True)
    ...         Image.new("L", (8, 6), 255).save(Path(root) / name)
    ...     pets = load_image_folder(root)
    >>> pets.data.shape, pets.target.tolist(), pets.groups
    ((3, 1, 6, 8), ['cat', 'cat', 'dog'], None)
    """
    shape = _checked(size, channels, fit)
    root = Path(root)
    files = _pictures(root, tuple(suffix.lower() for suffix in suffixes))
    parts = [file.relative_to(root).parts for file in files]
    arrays = [_read(file, shape, channels, fit) for file in files]
    _require_equal(arrays, ["/".join(names) for names in parts])
    with_tasks = len(parts[0]) == 3
    return Bunch(
        data=np.stack(arrays),
        target=np.array([names[-2] for names in parts]),
        groups=np.array([names[0] for names in parts]) if with_tasks else None,
        filenames=["/".join(names) for names in parts],
    )


def _checked(size: Any, channels: str, fit: str) -> tuple[int, int] | None:
    """Return height and width, once the parameters are found to be in range."""
    if channels not in _CHANNELS:
        raise ParameterError(f"channels must be one of {_CHANNELS}, got {channels!r}.")
    if fit not in _FITS:
        raise ParameterError(f"fit must be one of {_FITS}, got {fit!r}.")
    if size is None:
        return None
    shape = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(shape) != 2 or not all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1
        for side in shape
    ):
        raise ParameterError(
            f"size must be a whole number of pixels or (height, width), got {size!r}. Give for "
            "example 84."
        )
    return int(shape[0]), int(shape[1])


def _pictures(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the pictures below a folder by name, all at one depth."""
    if not root.is_dir():
        raise ImageFolderError(f"root must be a folder, got {str(root)!r}. Check the path.")
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)
    )
    depths = Counter(len(path.relative_to(root).parts) for path in files)
    if not files or not set(depths) <= {2, 3}:
        odd = [path for path in files if len(path.relative_to(root).parts) not in (2, 3)]
        given = f"{str(odd[0].relative_to(root))!r}" if odd else "no picture"
        raise ImageFolderError(
            f"root must hold pictures as class/picture or task/class/picture, got {given} below "
            f"{str(root)!r}. Suffixes read: {', '.join(suffixes)}."
        )
    if len(depths) > 1:
        shown = {len(path.relative_to(root).parts): path.relative_to(root) for path in files}
        raise ImageFolderError(
            f"pictures must all lie as class/picture or all as task/class/picture, got "
            f"{str(shown[2])!r} and {str(shown[3])!r}. Move the {depths[2]} of the first kind "
            "into a task folder."
        )
    return files


def _read(
    file: Path, shape: tuple[int, int] | None, channels: str, fit: str
) -> npt.NDArray[np.float32]:
    """Return one picture as (C, H, W) from 0 to 1."""
    try:
        with Image.open(file) as opened:
            picture = _converted(ImageOps.exif_transpose(opened), channels)
    except UnidentifiedImageError as error:
        raise ImageFolderError(
            f"{file} must be a picture, got a file that Pillow does not know. Remove it, or "
            "save it as PNG."
        ) from error
    except _UNREADABLE as error:
        raise ImageFolderError(
            f"{file} must be a whole picture, got one that cannot be read: {error}. Remove it or "
            "fetch it again."
        ) from error
    values = [_sized(band, shape, fit) for band in picture]
    return np.stack(values)


def _converted(picture: Image.Image, channels: str) -> list[Image.Image]:
    """Return one band of floats from 0 to 255 for each channel."""
    picture.load()
    if picture.mode.startswith("I;16"):  # Pillow's own way to 8 bits clips
        grey = Image.fromarray(np.asarray(picture).astype(np.float32) / 257.0)
        return [grey] * len(channels)
    if picture.mode in ("I", "F"):
        raise ValueError(
            f"its pixels are of the type {picture.mode!r}, of which the range is not known"
        )
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return [band.convert("F") for band in picture.convert(channels).split()]


def _sized(band: Image.Image, shape: tuple[int, int] | None, fit: str) -> npt.NDArray[np.float32]:
    """Return a band in the shape asked for, from 0 to 1."""
    if shape is not None and (band.height, band.width) != shape:
        size, bilinear = (shape[1], shape[0]), Image.Resampling.BILINEAR
        if fit == "crop":
            band = ImageOps.fit(band, size, bilinear)
        elif fit == "pad":
            band = ImageOps.pad(band, size, bilinear, color=0)
        else:
            band = band.resize(size, bilinear)
    values = np.asarray(band, dtype=np.float32) / np.float32(255)
    return values.clip(0, 1)


def _require_equal(arrays: list[npt.NDArray[np.float32]], names: list[str]) -> None:
    """Raise unless all pictures have one height and width."""
    common = Counter(array.shape[1:] for array in arrays).most_common(1)[0][0]
    odd = [i for i, array in enumerate(arrays) if array.shape[1:] != common]
    if odd:
        raise ImageFolderError(
            f"pictures must have one height and width, got {arrays[odd[0]].shape[1:]} of "
            f"{names[odd[0]]!r} where most have {common} ({len(odd)} of {len(arrays)} differ). "
            f"Give size={common} to have them resized."
        )
