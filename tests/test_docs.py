"""The documentation is checked against the code."""

import re
from pathlib import Path

import pytest
import typer

import metaskl
from metaskl.cli import app
from metaskl.registry import list_learners

DOCS = Path(__file__).parent.parent / "docs"
PUBLIC = [name for name in metaskl.__all__ if not name.startswith("_")]
GUIDES = sorted((DOCS / "guide").glob("*.md"))
README = DOCS.parent / "README.md"


def python_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("guide", [README, *GUIDES], ids=lambda path: path.stem)
def test_the_code_of_a_guide_runs_from_top_to_bottom(guide):
    namespace = {}
    for block in python_blocks(guide.read_text()):
        exec(compile(block, f"{guide.name}: {block[:40]!r}", "exec"), namespace)


def options_of(command):
    known = {"--version", "--debug", "--help"}
    return known | {name for p in command.params for name in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize(
    "page",
    [
        README,
        *(DOCS / "guide" / f"{n}.md" for n in ("command-line", "tune", "write-a-learner")),
    ],
    ids=lambda page: page.stem,
)
def test_every_command_on_a_page_has_these_options(page):
    commands = typer.main.get_command(app).commands
    lines = re.sub(r"\\\n", " ", page.read_text())
    found = re.findall(r"^(?:\$ )?metaskl ([\w-]+)(.*)$", lines, flags=re.MULTILINE)
    assert found
    for name, rest in found:
        used = set(re.findall(r"(?<!\S)--?[a-z][\w-]*", rest))
        assert used <= options_of(commands[name]), name


def test_every_guide_is_linked():
    index = (DOCS / "index.md").read_text()
    assert [guide.stem for guide in GUIDES if f"guide/{guide.stem}" not in index] == []


def test_every_public_name_is_in_the_reference():
    reference = (DOCS / "reference.md").read_text()
    missing = [name for name in PUBLIC if not re.search(rf"\b{name}\b", reference)]
    assert missing == []


def test_every_learner_is_in_the_guide():
    text = (DOCS / "guide" / "learners.md").read_text().lower()
    words = {
        "adkf_ift": "adkf",
        "attentive_cnp": "attentive",
        "in_context": "in-context",
        "lora": "low-rank",
        "protonet": "prototypes",
    }
    names = [info.name for info in list_learners() if info.builtin]
    assert [name for name in names if words.get(name, name.replace("_", " ")) not in text] == []
