"""The command ``metaskl``: compare, tune, fit, adapt and predict; list learners, add one."""

from typing import Annotated

import typer

import metaskl
from metaskl.cli.comparing import compare
from metaskl.cli.faults import Commands
from metaskl.cli.learners import learners
from metaskl.cli.models import adapt, fit, predict
from metaskl.cli.new_plugin import new_plugin
from metaskl.cli.tuning import tune

app = typer.Typer(
    cls=Commands,
    name="metaskl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"metaskl {metaskl.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; at any place.")
    ] = False,
) -> None:
    """Learn from many related small data sets, and say whether that pays.

    Exit codes: 0 done, 1 failed (every learner, or every baseline; or an unexpected error), 2
    wrong usage or input that cannot be used.
    """
    del version, debug  # what they ask for was done when they were read


for command in (compare, tune, fit, adapt, predict, learners, new_plugin):
    app.command()(command)
