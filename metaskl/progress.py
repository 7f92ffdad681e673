"""Progress of long work: a bar where somebody looks, plain lines in a file or a pipe."""

from __future__ import annotations

import sys
import time
from typing import Any

# Lines of a log come no faster than this, in seconds.
_EVERY = 10.0


class Progress:
    """Say on the standard error how far a piece of work is.

    On a terminal and in a notebook it is a bar. Elsewhere it is a line now and then, and one
    at the end, since a bar would fill a log with its own copies.

    Parameters
    ----------
    total : int
        Steps of the work.
    title : str
        What is being done.
    unit : str
        What a step is, in the singular.
    done : int, default=0
        Steps that were done before.
    shown : bool, default=True
        Whether to say anything.

    Examples
    --------
    >>> from metaskl.progress import Progress
    >>> progress = Progress(2, "compare", "fit", shown=False)
    >>> progress.advance("maml")
    >>> progress.close()
    """

    def __init__(
        self, total: int, title: str, unit: str, *, done: int = 0, shown: bool = True
    ) -> None:
        self.total = total
        self.title = title
        self.unit = unit
        self.done = done
        self.shown = shown
        self.note = ""
        self._bar = _bar(total, title, unit, done) if shown else None
        self._start = self._said_at = time.monotonic()
        self._said = done

    def advance(self, note: str = "") -> None:
        """Count a step.

        Parameters
        ----------
        note : str, default=""
            What came of it.
        """
        self.done += 1
        self.note = note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
        elif self.shown and time.monotonic() - self._said_at >= _EVERY:
            self._say()

    def say(self, line: str) -> None:
        """Write a line that stays.

        Parameters
        ----------
        line : str
            What to say.
        """
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        elif self.shown:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is what it is for

    def close(self) -> None:
        """Say where the work ended."""
        if self._bar is not None:
            self._bar.close()
        elif self.shown and self.done != self._said:
            self._say()

    def _say(self) -> None:
        self._said, self._said_at = self.done, time.monotonic()
        seconds = self._said_at - self._start
        note = f", {self.note}" if self.note else ""
        of_total = f"/{self.total}" if self.total else ""  # 0: nobody knows how many there will be
        plural = "s" * ((self.total or self.done) != 1)
        line = f"{self.title}: {self.done}{of_total} {self.unit}{plural}, {seconds:.0f} s{note}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is what it is for


def _bar(total: int, title: str, unit: str, done: int) -> Any:
    """Return a bar, or None where it could not be drawn over itself."""
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm_notebook

    if not sys.stderr.isatty() and not issubclass(tqdm, tqdm_notebook):
        return None
    return tqdm(total=total or None, desc=title, unit=unit, initial=done, dynamic_ncols=True)
