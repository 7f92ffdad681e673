"""Trying the learners of plugins in a process of their own, which they may end or litter."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metaskl.registry import LearnerInfo, try_learner

_PROGRAM = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
_PROGRAM += "from metaskl.cli.probing import report; report(sys.argv[2], sys.argv[3:])"
_SECONDS = 120.0


def tried(found: Sequence[LearnerInfo], *, seconds: float = _SECONDS) -> list[LearnerInfo]:
    """Import every listed learner; those of plugins where they can do no harm.

    Parameters
    ----------
    found : sequence of LearnerInfo
        The learners, as listed.
    seconds : float
        How long the imports of plugins may take before one counts as broken.

    Returns
    -------
    list of LearnerInfo
        The same, those that cannot be used with the state ``"broken"`` and the error.
    """
    foreign = [i.full_name for i in found if not i.builtin and i.status != "broken"]
    errors: dict[str, str | None] = {}
    while rest := [name for name in foreign if name not in errors]:
        told, end = _run(rest, seconds)
        errors |= told
        if stuck := next((name for name in rest if name not in errors), None):
            errors[stuck] = f"The learner {stuck!r} cannot be used: importing it {end}."
    return [_with_error(info, errors) for info in found]


def report(file: str, names: Sequence[str]) -> None:
    """Import learners by their full names and write a line for each, in the other process."""
    from metaskl.registry import list_learners

    wanted = {info.full_name: info for info in list_learners()}
    with Path(file).open("w", encoding="utf-8") as lines:
        for name in names:
            lines.write(json.dumps([name, try_learner(wanted[name]).error]) + "\n")
            lines.flush()


def _run(names: Sequence[str], seconds: float) -> tuple[dict[str, str | None], str]:
    """Try learners in a new process; return what it told, and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "told"
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(file), *names]
        try:
            done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
            end = f"ended the interpreter (exit code {done.returncode})"
        except subprocess.TimeoutExpired:
            end = f"took more than {seconds:g} seconds"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    return dict(json.loads(line) for line in text.splitlines()), end


def _with_error(info: LearnerInfo, errors: dict[str, str | None]) -> LearnerInfo:
    """Return a learner's entry with the error that was told; a built-in is imported here."""
    if info.full_name not in errors:
        return try_learner(info)
    error = errors[info.full_name]
    return info if error is None else replace(info, status="broken", error=error)
