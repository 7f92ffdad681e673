"""The commands of the guide "more than one machine" are run, all on this one."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.search.postgres import find_server, postgres_server

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "more-than-one-machine.md"
pytestmark = pytest.mark.slow


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def call(tmp_path):
    """Run commands in a folder that holds the guide's scripts; the servers among them go on."""
    for script in blocks("py"):
        (tmp_path / script.split()[1]).write_text(script)
    port, servers = str(free_port()), []

    def run(line):
        words = shlex.split(line.replace("8786", port))
        command = [sys.executable, *(["-m", "dask"] if words[0] == "dask" else []), *words[1:]]
        with (tmp_path / "log").open("a") as log:
            if words[0] == "dask":
                extra = ["--no-dashboard"]
                server = subprocess.Popen([*command, *extra], cwd=tmp_path, stdout=log, stderr=log)
                servers.append(server)
                time.sleep(1)
                return ""
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
        return done.stdout

    yield run
    for server in reversed(servers):
        server.terminate()
        server.wait(60)


def ended(printed):
    """Return how many trials a study says that it ended."""
    counts = re.findall(r"(\d+) (?:complete|pruned)", printed.splitlines()[0])
    return sum(int(count) for count in counts)


def test_commands(call):
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    assert len([line for line in lines if line.startswith("python")]) == 4
    for line in lines:
        if "postgresql" in line and find_server() is None:
            continue
        if "postgresql" in line:
            with postgres_server() as url:
                printed = call(re.sub(r"postgresql\S+", url, line))
        else:
            printed = call(line)
        if line.startswith("python"):
            assert ended(printed) == int(line.split()[-1])


def test_the_guide_names_every_extra_that_it_needs():
    text = GUIDE.read_text()
    project = (GUIDE.parents[2] / "pyproject.toml").read_text()
    extras = {e for found in re.findall(r"metaskl\[([\w,]+)\]", text) for e in found.split(",")}
    assert extras == {"dask", "postgres", "search"}
    assert all(f"\n{extra} = [" in project for extra in extras)
    assert os.sep not in re.findall(r'data_dir="(\w+)"', text)[0]
