"""What a run of the suite may be told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How thorough a run is.

    Attributes
    ----------
    n_rounds : int or None
        Rounds of every workload; by default each has its own number.
    quick : bool
        The smallest sizes only: to see that all works.
    compiled : bool
        Whether ``engine="compiled"`` is a row, which takes a compiler and minutes.
    figures : Path or None
        Folder for drawings.
    device : str
        Where `pictures` run.
    """

    n_rounds: int | None = None
    quick: bool = False
    compiled: bool = True
    figures: Path | None = None
    device: str = "cpu"

    def rounds(self, usual: int) -> int:
        """Return the rounds to take where so many are usual."""
        return self.n_rounds or (1 if self.quick else usual)
