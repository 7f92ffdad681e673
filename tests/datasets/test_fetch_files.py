"""Where a file is looked for, how it is checked, and what is said when it is not there."""

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metaskl import datasets
from metaskl.datasets import (
    DatasetIntegrityError,
    DatasetNotAvailableError,
    fetch_sleepstudy,
    get_data_home,
)
from metaskl.datasets import _sleepstudy as sleepstudy
from metaskl.datasets._digest import content_digest
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import RawFile

RAW = b"rownames,Reaction,Days,Subject\n1,249.56,0,308\n2,285,1,308\n3,0.1,0,309\n"
ARRAYS = {
    "task": np.array([308, 308, 309]),
    "Days": np.array([0, 1, 0]),
    "y": np.array([249.56, 285.0, 0.1]),
}
FETCHERS = [getattr(datasets, name) for name in datasets.__all__ if name.startswith("fetch_")]


@pytest.fixture
def small(public):
    """A sleepstudy of three rows, served by this machine."""
    source = dataclasses.replace(sleepstudy.SOURCE, digest=content_digest(ARRAYS))
    return public.publish(source, {"sleepstudy.csv": RAW})


def assert_small(arrays):
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


# --- where a file is looked for


def test_data_home_is_the_argument_then_the_environment_then_the_cache(monkeypatch, tmp_path):
    assert get_data_home(tmp_path / "given") == tmp_path / "given"
    assert get_data_home() == tmp_path / "home"
    assert get_data_home("~/x") == Path.home() / "x"
    monkeypatch.delenv("METASKL_DATA_HOME")
    assert get_data_home().name == "metaskl"
    monkeypatch.setenv("METASKL_DATA_HOME", "")
    assert get_data_home().name == "metaskl"


def test_the_set_is_downloaded_once_and_cached(small, public, tmp_path):
    arrays, path = load_arrays(small, None, download_if_missing=True)
    assert_small(arrays)
    assert path == tmp_path / "home" / "sleepstudy.csv"
    assert path.read_text() == "task,Days,y\n308,0,249.56\n308,1,285.0\n309,0,0.1\n"
    assert public.asked == ["/" + small.raw_files[0].path]
    arrays, _ = load_arrays(small, None, download_if_missing=False)
    assert_small(arrays)
    assert len(public.asked) == 1
    assert not (tmp_path / "home" / "raw" / "sleepstudy").exists()


def test_data_home_holds_the_cache(small, tmp_path):
    _, path = load_arrays(small, tmp_path / "elsewhere", download_if_missing=True)
    assert path == tmp_path / "elsewhere" / "sleepstudy.csv"
    assert not (tmp_path / "home").exists()


def test_metaskl_data_comes_first_and_touches_no_network(small, public, monkeypatch, tmp_path):
    load_arrays(small, tmp_path / "shared", download_if_missing=True)
    monkeypatch.setenv("METASKL_DATA", str(tmp_path / "shared"))
    arrays, path = load_arrays(small, None, download_if_missing=True)
    assert_small(arrays)
    assert path == tmp_path / "shared" / "sleepstudy.csv"
    assert len(public.asked) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("folder", ["", "nowhere", "."])
def test_metaskl_data_without_the_file_is_passed_over(small, monkeypatch, tmp_path, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METASKL_DATA", folder)
    _, path = load_arrays(small, None, download_if_missing=True)
    assert path == tmp_path / "home" / "sleepstudy.csv"


def test_raw_files_placed_by_hand_need_no_network(small, public, monkeypatch, tmp_path):
    monkeypatch.setenv("METASKL_OFFLINE", "1")
    raw = tmp_path / "home" / "raw" / "sleepstudy"
    raw.mkdir(parents=True)
    (raw / "sleepstudy.csv").write_bytes(RAW)
    arrays, _ = load_arrays(small, None, download_if_missing=True)
    assert_small(arrays)
    assert public.asked == []


# --- what is said when it is not there


@pytest.mark.parametrize("fetch", FETCHERS, ids=lambda fetch: fetch.__name__)
def test_every_loader_keeps_off_the_network_when_told(fetch, monkeypatch, tmp_path):
    with pytest.raises(DatasetNotAvailableError, match="because download_if_missing is False"):
        fetch(download_if_missing=False)
    monkeypatch.setenv("METASKL_OFFLINE", "1")
    with pytest.raises(DatasetNotAvailableError, match="because METASKL_OFFLINE is set"):
        fetch()
    assert not (tmp_path / "home").exists()


def test_the_message_says_what_is_missing_where_it_looked_and_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("METASKL_OFFLINE", "yes")
    monkeypatch.setenv("METASKL_DATA", str(tmp_path / "shared"))
    with pytest.raises(OSError, match=r"sleepstudy: the file 'sleepstudy\.csv' is miss") as caught:
        fetch_sleepstudy()
    home = tmp_path / "home"
    raw = sleepstudy.SOURCE.raw_files[0]
    assert str(caught.value).splitlines()[1:] == [
        f"Looked for it at: {tmp_path / 'shared' / 'sleepstudy.csv'}; {home / 'sleepstudy.csv'}.",
        "Do one of three things:",
        "1. Set METASKL_DATA to a folder that holds 'sleepstudy.csv'.",
        "2. Allow the download: download_if_missing=True, and METASKL_OFFLINE not set.",
        f"3. Put the raw files into {home / 'raw' / 'sleepstudy'} by hand and call again:",
        f"   sleepstudy.csv from https://raw.githubusercontent.com/{raw.path}",
    ]
    assert type(pickle.loads(pickle.dumps(caught.value))) is DatasetNotAvailableError


def test_metaskl_data_not_set_is_said():
    with pytest.raises(DatasetNotAvailableError, match=r"METASKL_DATA \(not set\)"):
        fetch_sleepstudy(download_if_missing=False)


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_offline_can_be_switched_off_in_words(small, monkeypatch, value):
    monkeypatch.setenv("METASKL_OFFLINE", value)
    load_arrays(small, None, download_if_missing=True)


def test_a_source_that_does_not_answer(small, public):
    public.folder.joinpath(small.raw_files[0].path).unlink()
    with pytest.raises(
        DatasetNotAvailableError, match=r"could not download http://127.*404.*METASKL_DATA"
    ):
        load_arrays(small, None, download_if_missing=True)


def test_a_download_goes_on_where_it_stopped(small, public, tmp_path):
    second = RawFile("more.txt", "o/r/c/more.txt")
    source = dataclasses.replace(small, raw_files=(*small.raw_files, second))
    with pytest.raises(DatasetNotAvailableError, match="calling again goes on from here"):
        load_arrays(source, None, download_if_missing=True)
    public.publish(source, {"more.txt": b"x"})
    load_arrays(source, None, download_if_missing=True)
    assert public.asked == ["/" + small.raw_files[0].path, "/o/r/c/more.txt", "/o/r/c/more.txt"]


# --- what is said when it is not what it should be


def changed(path):
    path.write_text(path.read_text().replace("285.0", "285.1"))


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(("damage", "said"), [(changed, "is not that of"), (emptied, "be read")])
def test_a_damaged_cache_is_refused(small, damage, said):
    _, path = load_arrays(small, None, download_if_missing=True)
    damage(path)
    with pytest.raises(
        DatasetIntegrityError, match=rf"sleepstudy\.csv .*{said}.*Delete it and call again"
    ):
        load_arrays(small, None, download_if_missing=True)


def test_a_damaged_file_in_metaskl_data_is_refused(small, monkeypatch, tmp_path):
    _, path = load_arrays(small, tmp_path / "shared", download_if_missing=True)
    monkeypatch.setenv("METASKL_DATA", str(path.parent))
    changed(path)
    with pytest.raises(DatasetIntegrityError, match="Replace it in the folder METASKL_DATA"):
        load_arrays(small, None, download_if_missing=True)
    assert path.is_file()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (RAW.replace(b"285", b"286"), "do not give the arrays"),
        (RAW.replace(b"Days", b"<h1>"), "cannot be converted"),
    ],
)
def test_a_changed_source_is_refused_and_not_cached(small, public, tmp_path, raw, said):
    public.publish(small, {"sleepstudy.csv": raw})
    with pytest.raises(DatasetIntegrityError, match=rf"{said}.*[Dd]elete this folder"):
        load_arrays(small, None, download_if_missing=True)
    assert not (tmp_path / "home" / "sleepstudy.csv").exists()


def test_a_published_checksum_is_checked(small, tmp_path):
    raw = dataclasses.replace(small.raw_files[0], known_hash="md5:" + "0" * 32)
    source = dataclasses.replace(small, raw_files=(raw,))
    with pytest.raises(DatasetIntegrityError, match="does not have the published checksum md5:000"):
        load_arrays(source, None, download_if_missing=True)
    assert list((tmp_path / "home" / "raw" / "sleepstudy").iterdir()) == []


def test_a_second_process_that_was_faster_is_no_harm(small, public, tmp_path):
    load_arrays(small, tmp_path / "other", download_if_missing=True)

    def convert(folder):
        home = tmp_path / "home"
        (home / "sleepstudy.csv").write_bytes((tmp_path / "other/sleepstudy.csv").read_bytes())
        raise FileNotFoundError("the raw files were cleared away")

    source = dataclasses.replace(small, convert=convert)
    arrays, _ = load_arrays(source, None, download_if_missing=True)
    assert_small(arrays)


# --- the room


def test_importing_the_room_is_light():
    code = (
        "import sys, metaskl.datasets; "
        "print({'pooch', 'requests', 'torch', 'PIL', 'scipy.io'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_no_data_are_in_the_package():
    files = [path for path in Path(datasets.__file__).parent.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files if "__pycache__" not in path.parts}
    assert kinds == {".py", ".txt"}
