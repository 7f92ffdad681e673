"""What the installed packages offer, from their metadata alone."""

import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import Distribution, distribution, distributions
from typing import Any, Literal

GROUP = "metaskl.learners"
OWN_DISTRIBUTION = "metaskl"


@dataclass(frozen=True)
class LearnerInfo:
    """What is known about a learner without importing it.

    Parameters
    ----------
    name : str
        The short name. Empty if the package's entry points cannot be read.
    distribution : str
        The package that offers it, or ``"this session"`` for one that was registered by hand.
    version : str
        Version of that package.
    value : str
        Where the class is, as ``"package.module:Class"``.
    builtin : bool
        Whether it is one of metaskl's own.
    status : {"available", "clash", "shadowed", "broken"}
        ``"clash"``: another package offers the same name, so that only `full_name` works.
        ``"shadowed"``: a learner of metaskl has the name, so that only `full_name` works.
        ``"broken"``: asking for it raises `PluginError`; seen only where loading was tried.
    error : str or None
        What is wrong with a broken one.
    """

    name: str
    distribution: str
    version: str
    value: str
    builtin: bool
    status: Literal["available", "clash", "shadowed", "broken"] = "available"
    error: str | None = None

    @property
    def full_name(self) -> str:
        """``distribution:name``, which works whatever else is installed."""
        return f"{self.distribution}:{self.name}"

    @property
    def remark(self) -> str:
        """What there is to know beyond the state; empty if nothing."""
        if self.status in {"clash", "shadowed"}:
            owner = "metaskl itself" if self.status == "shadowed" else "another package"
            return f"{owner} has a learner of this name; ask for {self.full_name!r}"
        return self.error or ""

    @property
    def usable_name(self) -> str:
        """The shortest name by which `get_learner` finds it."""
        return self.full_name if self.status in {"clash", "shadowed"} else self.name


def installed_learners() -> list[LearnerInfo]:
    """Return the learners that packages offer, read again only after one of them changed."""
    return list(_read(_stamp()))


def _stamp() -> tuple[Any, ...]:
    """Return what is another thing once a package was installed, removed or upgraded.

    That is the folders of the path, with when something was last put in or taken away, and who
    else finds packages. A file that is written anew where it lies is not seen: installers
    replace the folder of a package's metadata.
    """
    return (*sys.meta_path, *((at, _state(at)) for at in sys.path))


def _state(folder: str) -> tuple[int, ...]:
    try:
        found = os.stat(folder or ".")
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns


@lru_cache(maxsize=1)
def _read(stamp: tuple[Any, ...]) -> tuple[LearnerInfo, ...]:
    """Read what the installed packages offer; a fit asks for it several times."""
    del stamp
    # A text search first: parsing the metadata of every package would take ten times as long.
    names = {
        normal(dist.name): dist.name
        for dist in distributions()
        if GROUP in _entry_point_text(dist) and dist.name
    }
    # By name, so that of two versions on the path the one that would be imported is read.
    found = [info for name in names.values() for info in _offered_by(distribution(name))]
    own = {info.name for info in found if info.builtin}
    claims = Counter(info.name for info in found)

    def placed(info: LearnerInfo) -> LearnerInfo:
        if info.builtin or claims[info.name] == 1 or info.status == "broken":
            return info
        return replace(info, status="shadowed" if info.name in own else "clash")

    ordered = sorted(map(placed, found), key=lambda i: (not i.builtin, i.name, i.value))
    return tuple(ordered)


def _offered_by(dist: Distribution) -> list[LearnerInfo]:
    """Read what one package offers."""
    builtin = normal(dist.name) == OWN_DISTRIBUTION
    try:
        entries = [entry for entry in dist.entry_points if entry.group == GROUP]
    except Exception as error:  # noqa: BLE001 - whatever a foreign file makes the parser do
        cause = f"its entry points cannot be read ({type(error).__name__}: {error})"
        return [LearnerInfo("", dist.name, dist.version, "", builtin, "broken", cause)]
    return [LearnerInfo(e.name, dist.name, dist.version, e.value, builtin) for e in entries]


def _entry_point_text(dist: Distribution) -> str:
    """Read a package's entry points as text, empty where there are none."""
    try:
        return dist.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def normal(distribution_name: str) -> str:
    """Spell a distribution's name in the one way that the packaging standards compare."""
    return re.sub(r"[-_.]+", "-", distribution_name).lower()
