"""A PostgreSQL server of the tests' own, on a free port of this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def find_server() -> Path | None:
    """Return the folder of the server's programs, where Debian or anybody else puts them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server as long as the context lasts, and give the URL of an empty database."""
    programs = find_server()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    # The server refuses to run as root; Debian's package brings a user for it.
    user = {"user": "postgres"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="metaskl-postgres-"))
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*command: str) -> None:
        log = folder.with_suffix(".log")
        with log.open("a") as out:
            subprocess.run(
                command, check=True, stdout=out, stderr=out, cwd=folder, timeout=120, **user
            )

    data = str(folder / "data")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    call(str(programs / "initdb"), "-D", data, "-U", "metaskl", "-A", "trust", "--no-sync")
    call(str(programs / "pg_ctl"), "-D", data, "-w", "-t", "90", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://metaskl@127.0.0.1:{port}/postgres"
    finally:
        call(str(programs / "pg_ctl"), "-D", data, "-w", "-m", "fast", "stop")
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()
