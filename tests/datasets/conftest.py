"""A public source that is a server on this machine, and the real data where they are at hand."""

import dataclasses
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


class PublicSource:
    """Serves the raw files of a data set under the paths they have in public."""

    def __init__(self, folder, server):
        self.folder = folder
        self.server = server

    @property
    def asked(self):
        return self.server.asked

    def publish(self, source, contents):
        """Serve `contents` (bytes by name) and return the source pointed at this server."""
        for raw in source.raw_files:
            if raw.name in contents:
                path = self.folder / raw.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[raw.name])
        return dataclasses.replace(source, host=f"http://127.0.0.1:{self.server.server_port}")


@pytest.fixture
def public(tmp_path):
    folder = tmp_path / "public"
    folder.mkdir()
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield PublicSource(folder, server)
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def real_folder(monkeypatch, tmp_path):
    """Hide the environment from the loaders; return what METASKL_DATA said before."""
    folder = os.environ.get("METASKL_DATA")
    monkeypatch.delenv("METASKL_DATA", raising=False)
    monkeypatch.delenv("METASKL_OFFLINE", raising=False)
    monkeypatch.setenv("METASKL_DATA_HOME", str(tmp_path / "home"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr("metaskl.datasets._download._RETRIES", 0)
    return folder


@pytest.fixture
def real(real_folder, monkeypatch):
    """Give the loaders the real data, and the test the path of a file among them."""

    def path_of(filename):
        if not real_folder or not (Path(real_folder) / filename).is_file():
            pytest.skip(f"needs METASKL_DATA to name a folder that holds {filename}")
        monkeypatch.setenv("METASKL_DATA", real_folder)
        return Path(real_folder) / filename

    return path_of


@pytest.fixture
def rebuild(real, public, monkeypatch, tmp_path):
    """Fetch a set from real files and again from raw ones; return both and the cached file."""

    def rebuild(module, fetch, make_raw):
        path = real(module.SOURCE.filename)
        given = fetch()
        source = public.publish(module.SOURCE, make_raw(path))
        monkeypatch.delenv("METASKL_DATA")
        monkeypatch.setattr(module, "SOURCE", source)
        built = fetch()
        count = len(public.asked)
        assert count == len(source.raw_files)
        cached = fetch()
        assert len(public.asked) == count
        assert cached.filename == str(tmp_path / "home" / source.filename)
        assert not (tmp_path / "home" / "raw" / source.name).exists()
        return given, built, cached

    return rebuild
