"""``metaskl learners``: what can be asked for by name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from metaskl.cli import options
from metaskl.cli.output import print_json, print_table
from metaskl.cli.probing import tried
from metaskl.registry import list_learners


def learners(
    every: Annotated[
        bool, typer.Option("--all", help="Import each one, and say what is wrong with it.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """List the learners that are installed: metaskl's own and those of plugins."""
    found = list_learners()
    if every:
        found = tried(found)
    if as_json:
        print_json([{**asdict(i), "usable_name": i.usable_name} for i in found])
        return
    rows = [
        [i.usable_name if i.name else "?", f"{i.distribution} {i.version}".strip(), i.status]
        + [i.remark] * every
        for i in found
    ]
    print_table("Learners", ["name", "package", "state"] + ["error"] * every, rows)
    if not every:
        typer.echo("State as declared; metaskl learners --all imports each one.", err=True)
