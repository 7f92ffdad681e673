import re

import pytest
from typer.testing import CliRunner

from metaskl.cli import app
from metaskl.cli.probing import tried
from metaskl.registry import list_learners

GOOD = "from metaskl.learners.maml import MAML\nclass Mine(MAML): metaskl_api = 1\n"


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Put a package that offers one learner where Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def offer(name, source, learner=None):
        info = tmp_path / f"metaskl_{name}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: metaskl-{name}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata)
        entry = f"{learner or name} = metaskl_{name}:Mine"
        (info / "entry_points.txt").write_text(f"[metaskl.learners]\n{entry}\n")
        (tmp_path / f"metaskl_{name}.py").write_text(source)

    return offer


def test_what_ends_the_interpreter_or_litters_it_is_shown(offer):
    offer("dies", "import os; os._exit(7)")
    offer("exits", "import sys; sys.exit(3)")
    offer("loud", f"print('hello')\n{GOOD}")
    offer("old", GOOD.replace("= 1", "= 0"))
    done = CliRunner().invoke(app, ["learners", "--all"])
    assert done.exit_code == 0
    assert re.search(
        r"dies +metaskl-dies 1.0 +broken .* the interpreter \(exit code 7\)", done.stdout
    )
    assert re.search(r"exits +metaskl-exits 1.0 +broken .*raised SystemExit: 3", done.stdout)
    assert re.search(r"loud +metaskl-loud 1.0 +available\n", done.stdout)
    assert re.search(r"old +metaskl-old 1.0 +broken .*metaskl_api = 0, while this", done.stdout)
    assert re.search(r"maml +metaskl \S+ +available\n", done.stdout)
    assert "hello" not in done.stdout


def test_what_never_ends_is_broken(offer):
    offer("hangs", "import time; time.sleep(600)")
    (hangs,) = [info for info in tried(list_learners(), seconds=3) if info.name == "hangs"]
    assert hangs.status == "broken"
    assert "'metaskl-hangs:hangs' cannot be used: importing it took more than 3" in hangs.error


def test_names_that_need_their_package_say_so(offer):
    offer("a", GOOD, "same")
    offer("b", GOOD, "same")
    offer("thief", GOOD, "maml")
    printed = CliRunner().invoke(app, ["learners", "--all"]).stdout
    for name in ("metaskl-a:same", "metaskl-b:same"):
        assert re.search(
            rf"{name} +metaskl-\w 1.0 +clash +another package .*ask for '{name}'", printed
        )
    assert re.search(
        r"metaskl-thief:maml +metaskl-thief 1.0 +shadowed +metaskl itself has", printed
    )
