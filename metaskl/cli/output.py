"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer


class Notes:
    """What was done with the data, said on stderr unless it is to be quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, *lines: str) -> None:
        """Print lines; warnings of what makes a result worthless even if it is to be quiet."""
        for line in lines:
            if not self.quiet or line.startswith("Warning:"):
                typer.echo(line, err=True)


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 row, 2 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print a value as JSON; what is not a finite number becomes null."""
    typer.echo(as_json(value))


def as_json(value: Any) -> str:
    """Return a value as JSON; what is not a finite number becomes null."""
    from metaskl.evaluation.plain import plain

    return json.dumps(plain(value), indent=2, allow_nan=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where nobody looks (a file, a pipe) it is not cut to a screen's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(Text(name), no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    console = Console(highlight=False)
    if not sys.stdout.isatty():
        console = Console(highlight=False, width=240)
    with console.capture() as drawn:
        console.print(table)
    lines = [line.rstrip() for line in drawn.get().splitlines()]
    typer.echo("\n".join([title, *filter(None, lines)]))
