"""Names to learners, read from entry points; listing them imports nothing.

A package offers a learner by one line in its ``pyproject.toml``, in the group
``metaskl.learners``. metaskl's own learners are offered in the same way.
"""

import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distribution, distributions
from typing import Any, Literal

from metaskl.errors import AmbiguousLearnerError, PluginError, UnknownLearnerError

GROUP = "metaskl.learners"
API_VERSION = 1

_OWN_DISTRIBUTION = "metaskl"
_THIS_SESSION = "this session"
_VALUE = re.compile(r"[\w.]+\s*:\s*[\w.]+\s*(\[.*\])?")

# Learners registered by hand; they live as long as the process.
_session: dict[str, type[Any]] = {}


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


def list_learners(load: bool = False) -> list[LearnerInfo]:
    """List the learners that are installed or registered, metaskl's own first.

    Parameters
    ----------
    load : bool, default=False
        Whether to import each of them as well, to find out which are broken. Without it
        nothing is imported.

    Returns
    -------
    list of LearnerInfo
        One entry a learner.

    Examples
    --------
    >>> from metaskl.registry import list_learners
    >>> "ridge_head" in [info.name for info in list_learners() if info.builtin]
    True
    """
    found = _installed() + [_session_info(name) for name in sorted(_session)]
    return [try_learner(info) for info in found] if load else found


def get_learner(name: str) -> type[Any]:
    """Import the learner of a name.

    Parameters
    ----------
    name : str
        A short name (``"maml"``), or ``"distribution:name"`` where two packages offer the same.

    Returns
    -------
    type
        The learner's class, a plugin's as one of metaskl's own: a subclass of
        :class:`metaskl.learners.MetaLearner`, a torch module and no estimator. The estimators of
        it are ``MetaRegressor(learner=name)`` and ``MetaClassifier(learner=name)``.

    Raises
    ------
    UnknownLearnerError
        If no learner has the name.
    AmbiguousLearnerError
        If two packages other than metaskl offer the name.
    PluginError
        If the learner cannot be imported or breaks the rules for learners.
    """
    if not isinstance(name, str):
        raise TypeError(f"learner must be a name, got {name!r}. Pass a string such as 'maml'.")
    if name in _session:
        return _session[name]
    installed = _installed()
    offers = _offers(name, installed)
    if not offers:
        known = sorted({info.usable_name for info in installed if info.name} | set(_session))
        raise UnknownLearnerError.for_name(name, known)
    if len(offers) > 1:
        raise AmbiguousLearnerError.for_name(name, [info.full_name for info in offers])
    return _load(offers[0])


def register(name: str, cls: type[Any]) -> None:
    """Give a learner a name for the rest of this process, for notebooks and trials.

    Registering a name again replaces the class, so that a notebook's cell can be run twice.
    Other processes (joblib workers) do not see it: make a plugin for lasting use.

    Parameters
    ----------
    name : str
        The name; it must not be taken by an installed package.
    cls : type
        The learner's class.

    Raises
    ------
    TypeError
        If `cls` is not a learner.
    ValueError
        If the name is taken, empty or holds a colon.
    """
    if not isinstance(name, str) or not name or ":" in name:
        raise ValueError(f"name must be a string without a colon, got {name!r}.")
    if fault := _fault(cls, states_version=False):
        raise TypeError(f"cls must be a learner, got {cls!r}: {fault}.")
    if taken := _offers(name, _installed()):
        owners = " and ".join(_package(info) for info in taken)
        raise ValueError(f"name must be free, got {name!r}, which {owners} offers. Choose another.")
    _session[name] = cls


def _installed() -> list[LearnerInfo]:
    """Return what the installed packages offer, from their metadata alone."""
    return list(_read(_stamp()))


def _stamp() -> tuple[Any, ...]:
    """Return what is another thing once a package was installed, removed or upgraded.

    The folders of the path and when they last changed, as importlib.metadata does for its own
    cache, and who else finds packages.
    """
    return (os.getcwd(), *map(id, sys.meta_path), *((at, _changed_at(at)) for at in sys.path))


def _changed_at(folder: str) -> int | None:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=1)
def _read(stamp: tuple[Any, ...]) -> tuple[LearnerInfo, ...]:
    """Read what the installed packages offer; some 20 ms, which a fit asks for several times."""
    del stamp
    # A text search first: parsing the metadata of every package would take ten times as long.
    names = {
        _normal(dist.name): dist.name
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
    builtin = _normal(dist.name) == _OWN_DISTRIBUTION
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


def _offers(name: str, installed: list[LearnerInfo]) -> list[LearnerInfo]:
    """Select what a name, short or full, refers to."""
    owner, colon, short = name.rpartition(":")
    if colon:
        owner = _normal(owner)
        return [i for i in installed if i.name == short and _normal(i.distribution) == owner]
    return [i for i in installed if i.name == name and i.name and i.status != "shadowed"]


def _load(info: LearnerInfo) -> type[Any]:
    """Import a learner and check that it is one."""
    if not _VALUE.fullmatch(info.value):
        raise _plugin_error(
            info, f"its entry point must be 'package.module:Class', not {info.value!r}"
        )
    try:
        cls: Any = EntryPoint(info.name, info.value, GROUP).load()
        fault = _fault(cls, states_version=not info.builtin)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever foreign code raises, SystemExit too
        cause = f"importing {info.value!r} raised {type(error).__name__}: {error}"
        raise _plugin_error(info, cause) from error
    if fault:
        raise _plugin_error(info, f"{info.value!r} is not a learner, {fault}")
    return cls  # type: ignore[no-any-return]


def _fault(cls: Any, *, states_version: bool) -> str | None:
    """Say why an object is not a learner, or return None if it is one."""
    if not isinstance(cls, type):
        return f"it is an object of type {type(cls).__name__}, not a class"
    # What is inherited from metaskl says which version is installed, not which one was meant.
    stated = [vars(c)["metaskl_api"] for c in cls.__mro__ if _is_foreign(c, "metaskl_api")]
    if stated and stated[0] != API_VERSION:
        return f"it has metaskl_api = {stated[0]!r}, while this metaskl works with {API_VERSION}"
    from metaskl.learners import MetaLearner  # here, for it brings torch

    if not issubclass(cls, MetaLearner):
        return "it does not derive from metaskl.learners.MetaLearner"
    if abstract := sorted(cls.__abstractmethods__):
        return f"it leaves {' and '.join(abstract)} abstract"
    if states_version and not stated:
        return f"it does not say metaskl_api = {API_VERSION}, the contract it was written for"
    return None


def _is_foreign(cls: type[Any], attribute: str) -> bool:
    """Say whether a class from outside metaskl defines an attribute itself."""
    return attribute in vars(cls) and cls.__module__.partition(".")[0] != _OWN_DISTRIBUTION


def try_learner(info: LearnerInfo) -> LearnerInfo:
    """Import a listed learner and note what went wrong.

    Parameters
    ----------
    info : LearnerInfo
        The learner, as listed.

    Returns
    -------
    LearnerInfo
        The same, or with the state ``"broken"`` and the error.
    """
    if info.distribution == _THIS_SESSION or info.status == "broken":
        return info
    try:
        _load(info)
    except PluginError as error:
        return replace(info, status="broken", error=str(error))
    return info


def _session_info(name: str) -> LearnerInfo:
    """Describe a learner that was registered by hand."""
    cls = _session[name]
    return LearnerInfo(name, _THIS_SESSION, "", f"{cls.__module__}:{cls.__qualname__}", False)


def _plugin_error(info: LearnerInfo, cause: str) -> PluginError:
    return PluginError.for_plugin(info.name, _package(info), cause)


def _package(info: LearnerInfo) -> str:
    return f"{info.distribution} {info.version}"


def _normal(distribution_name: str) -> str:
    """Spell a distribution's name in the one way that the packaging standards compare."""
    return re.sub(r"[-_.]+", "-", distribution_name).lower()
