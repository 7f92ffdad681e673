"""Functions compiled, or recorded for a GPU, where that pays; and why not, where not."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Self

from torch import Tensor

from metaskl._compat import compile_graph
from metaskl.learners.engine.recorded import Function, recorded

_log = logging.getLogger("metaskl")

# Each shape of the episodes needs a function of its own.
_MOST_SHAPES = 3
# So many steps are watched before it is known which shapes are the usual ones.
_WATCHED = 50


class Shapes:
    """Tells, by watching the first steps, which shapes occur often enough to be compiled."""

    def __init__(self) -> None:
        self._seen: Counter[Hashable] = Counter()
        self._n_seen = 0

    def pays(self, shape: Hashable, n_planned: float, least: float) -> bool:
        """Say whether a shape that is not compiled should be.

        Parameters
        ----------
        shape : hashable
            What was met now.
        n_planned : float
            Steps in all; infinite where compiling was asked for.
        least : float
            So many of one shape win back the time of compiling.

        Returns
        -------
        bool
            Whether about so many steps of this shape are to come.
        """
        if math.isinf(n_planned):
            return True
        if self._n_seen < _WATCHED:
            self._n_seen += 1
            self._seen[shape] += 1
            return False
        return n_planned * self._seen[shape] / _WATCHED >= least


class Compiling:
    """Compiles functions, and says why where it does not.

    Nothing of it is stored or copied with a learner: a copy compiles again, from torch's cache
    on the disk.

    Attributes
    ----------
    note : str
        Why something was not compiled; empty if all was.
    """

    def __init__(self) -> None:
        self.note = ""
        self._said: set[str] = set()

    def __reduce__(self) -> Any:
        return type(self), ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def is_full(self, made: Iterable[object]) -> bool:
        """Say whether as many shapes are compiled as may be, and note it."""
        full = sum(function is not None for function in made) >= _MOST_SHAPES
        if full:
            self.say(f"the episodes have more than {_MOST_SHAPES} shapes, the rest run uncompiled")
        return full

    def compiled(
        self, plain: Function, tensors: list[Tensor], *, translated: bool = True
    ) -> Function | None:
        """Return a function compiled or recorded for such tensors, or None with a note why."""
        function = None
        if translated:
            _log.info(
                "engine='compiled': compiling for a shape of the episodes, which takes a while"
            )
            failed = "compiling failed, so it runs uncompiled"
            function = self._tried(compile_graph, plain, tensors, failed)
        if tensors[0].device.type == "cuda":
            failed = "recording a CUDA graph failed, so kernels are launched one by one"
            function = self._tried(recorded, function or plain, tensors, failed) or function
        return function

    def _tried(
        self,
        change: Callable[[Function, list[Tensor]], Function],
        function: Function,
        tensors: list[Tensor],
        failed: str,
    ) -> Function | None:
        """Return a changed function, or None with a note why."""
        try:
            return change(function, tensors)
        except Exception as error:  # noqa: BLE001 - whatever a machine lacks, training goes on
            first = str(error).strip().partition("\n")[0]
            self.say(f"{failed}: {type(error).__name__}: {first}")
            return None

    def say(self, note: str) -> None:
        """Keep a note, and log it once."""
        if note not in self._said:
            _log.info("engine='compiled': %s", note)
        self._said.add(note)
        self.note = note
