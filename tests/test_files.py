import pytest

from metaskl.files import replacing


def test_a_file_that_could_not_be_written_whole_leaves_what_was_there(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match="bytes-like"), replacing(path) as file:
        file.writelines([b"aft", "er"])
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    with replacing(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_another_process_that_writes_the_same_file_is_not_disturbed(tmp_path):
    path = tmp_path / "model"
    with replacing(path) as first, replacing(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # the last to be whole


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "model"):
        pass
