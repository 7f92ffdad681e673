"""Errors as one line and an exit code."""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from metaskl.cli.wording import in_options
from metaskl.errors import CandidateError, MetasklError, MetasklWarning

FAILED, BAD_INPUT = 1, 2
_DEBUG, _QUIET, _LEARNERS = "metaskl.debug", "metaskl.quiet", "metaskl.learners"


class Commands(TyperGroup):
    """A group whose commands end in one line on stderr where Python would show a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--debug`` from any place of the command line."""
        ctx.meta[_DEBUG] = "--debug" in args
        ctx.meta[_LEARNERS] = any(arg.partition("=")[0] == "--learners" for arg in args)
        ctx.meta[_QUIET] = "--quiet" in args or "-q" in args
        rest: list[str] = super().parse_args(ctx, [arg for arg in args if arg != "--debug"])
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with warnings.catch_warnings():
                shown = _Shown(warnings.showwarning, quiet=ctx.meta[_QUIET])
                warnings.showwarning = shown  # given back by the context
                return super().invoke(ctx)
        except Exception as error:
            # typer's own know what they do: usage errors, exits, aborts, a reader that left.
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError):
                raise
            expected = isinstance(error, MetasklError | ValueError | OSError)
            if ctx.meta[_DEBUG]:
                traceback.print_exc(file=sys.stderr)
            line = _line(error, expected=expected)
            if ctx.meta[_LEARNERS]:  # the option as it was given
                line = line.replace("--learner must be", "--learners must be", 1)
            typer.echo(line, err=True)
            usable = not expected or isinstance(error, CandidateError)
            raise typer.Exit(FAILED if usable else BAD_INPUT) from None


class _Shown:
    """Warnings of metaskl as lines on stderr, each once; others as they are."""

    def __init__(self, other: Any, *, quiet: bool) -> None:
        self.other = other
        self.quiet = quiet
        self.said: set[str] = set()

    def __call__(self, message: Any, category: Any, *where: Any, **more: Any) -> None:
        """Show a warning."""
        if not issubclass(category, MetasklWarning):
            self.other(message, category, *where, **more)
        elif not self.quiet and (text := in_options(str(message))) not in self.said:
            self.said.add(text)
            typer.echo(f"Warning: {text}", err=True)


def _line(error: Exception, *, expected: bool) -> str:
    """Return the error on one line."""
    if expected:
        return f"Error: {in_options(str(error))}"
    text = " ".join(str(error).split())
    return (
        f"Error: unexpected {type(error).__name__}: {text} This is a fault of metaskl or of a "
        "plugin; add --debug to see where it happened."
    )
