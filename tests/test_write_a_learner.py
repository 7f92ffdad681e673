"""The guide for authors of learners is done as it says, in an environment of its own."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "write-a-learner.md"
BLOCK = re.compile(
    r"```console\n(.*?)```|```\{code-block\} python\n:caption: (\S+)\n\n(.*?)```", re.S
)
# What a new environment has by itself: the installed packages are there, and no index is asked.
PROGRAMS = {
    "metaskl": "-m metaskl",
    "pip": "-m pip --disable-pip-version-check --quiet",
    "pytest": "-m pytest -q -p no:cacheprovider",
    "python": "",
}


@pytest.fixture
def environment(tmp_path):
    """Make an environment that has what this one has, and in which more may be installed."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    seen = [path for path in sys.path if path.endswith("site-packages")]
    seen.append(str(GUIDE.parents[2]))
    lines = [f"import site; site.addsitedir({path!r})" for path in seen]
    (packages / "outer.pth").write_text("\n".join(lines))
    for name, call in PROGRAMS.items():
        program = home / "bin" / name
        python = next((home / "bin").glob("python3"))
        program.unlink(missing_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{python}" {call} "$@"\n')
        program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that it is switched on
        "PIP_NO_INDEX": "1",
    }


def shell(line, folder, environment):
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_guide_leads_to_a_learner_that_keeps_the_laws(tmp_path, environment):
    folder, said = tmp_path, {}
    for commands, caption, content in BLOCK.findall(GUIDE.read_text()):
        if caption:
            (folder / caption).write_text(content)
        for line in re.findall(r"^\$ (.*)$", commands, flags=re.M):
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
            else:
                said.setdefault(line, []).append(shell(line, folder, environment))
    own = r"kernel_smoother +metaskl-kernel-smoother 0\.1\.0 +available\n"
    assert re.search(own, "".join(said["metaskl learners --all"]))
    passed = [re.search(r"(\d+) passed", text).group(1) for text in said["pytest"]]
    assert len(passed) == 2, "as written by new-plugin, and as the guide changes it"
    assert min(map(int, passed)) > 35
    (tried,) = said["python try_it.py"]
    assert tried.startswith("(10,)\n{'learner_params__width': ")
    assert "kernel_smoother" in tried
    assert "Verdict: " in tried


def test_the_guide_starts_from_what_new_plugin_writes():
    captions = [caption for _, caption, _ in BLOCK.findall(GUIDE.read_text()) if caption]
    module = "metaskl_kernel_smoother.py"
    assert captions == [module, f"test_{module}", "try_it.py"]
