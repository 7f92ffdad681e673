"""The documentation is checked against the code."""

import re
from pathlib import Path

import pytest
import typer

from metaskl.cli import app
from metaskl.registry import list_learners
from metaskl.testing import public_estimators

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = sorted((DOCS / "guide").glob("*.md"))
README = DOCS.parent / "README.md"


def python_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


RUN = [path for path in [README, *GUIDES] if python_blocks(path.read_text())]
# Of these the commands are tried elsewhere, or there are none.
NOT_RUN = {"command-line", "more-than-one-machine", "plugins", "speed", "write-a-learner"}


def test_the_code_of_every_guide_is_run_here_or_known_not_to_be():
    assert {path.stem for path in [README, *GUIDES]} - {path.stem for path in RUN} == NOT_RUN


@pytest.mark.slow
@pytest.mark.parametrize("guide", RUN, ids=lambda path: path.stem)
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


def test_every_family_is_in_the_guide():
    """By one of its estimators, as code."""
    text = (DOCS / "guide" / "learners.md").read_text()
    families = {}
    for name, cls in public_estimators().items():
        if "_learner_class" in vars(cls) or "_learner_class" in vars(cls.__mro__[1]):
            families.setdefault(re.sub("(Classifier|Regressor)$", "", name), []).append(name)
    assert len(families) == sum(info.builtin for info in list_learners())
    missing = [f for f, names in families.items() if not any(f"`{n}`" in text for n in names)]
    assert missing == []
