"""Names to learners, read from entry points; listing them imports nothing.

A package offers a learner by one line in its ``pyproject.toml``, in the group
``metaskl.learners``. metaskl's own learners are offered in the same way.
"""

import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

from metaskl._offers import GROUP, OWN_DISTRIBUTION, installed_learners, normal
from metaskl._offers import LearnerInfo as LearnerInfo
from metaskl.errors import AmbiguousLearnerError, PluginError, UnknownLearnerError

API_VERSION = 1

_THIS_SESSION = "this session"
_VALUE = re.compile(r"[\w.]+\s*:\s*[\w.]+\s*(\[.*\])?")

# Learners registered by hand; they live as long as the process.
_session: dict[str, type[Any]] = {}


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
    found = installed_learners() + [_session_info(name) for name in sorted(_session)]
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
    installed = installed_learners()
    offers = _matching(name, installed)
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
    if taken := _matching(name, installed_learners()):
        owners = " and ".join(_package(info) for info in taken)
        raise ValueError(f"name must be free, got {name!r}, which {owners} offers. Choose another.")
    _session[name] = cls


def _matching(name: str, installed: list[LearnerInfo]) -> list[LearnerInfo]:
    """Select what a name, short or full, refers to."""
    owner, colon, short = name.rpartition(":")
    if colon:
        owner = normal(owner)
        return [i for i in installed if i.name == short and normal(i.distribution) == owner]
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
    return attribute in vars(cls) and cls.__module__.partition(".")[0] != OWN_DISTRIBUTION


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
