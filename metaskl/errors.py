"""The errors that metaskl raises on purpose, each with a message that says what to do.

Each class is one kind of fault. They keep plain ``(message)`` arguments, so that they pass
unharmed through pickle, and with it from a joblib worker to the caller.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Self


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint with the names that are near to one, after a space; empty if none is.

    Parameters
    ----------
    name : str
        What was asked for.
    known : sequence of str
        All names that would have worked.

    Returns
    -------
    str
        `` Did you mean 'maml'?`` or the empty string.

    Examples
    --------
    >>> from metaskl.errors import did_you_mean
    >>> did_you_mean("mamml", ["maml", "ridge_head"])
    " Did you mean 'maml'?"
    """
    near = get_close_matches(name.lower(), known, n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def named(thing: object) -> str:
    """Return what a thing is, by its class with an article.

    Examples
    --------
    >>> from sklearn.linear_model import ElasticNet, Ridge
    >>> from metaskl.errors import named
    >>> named(Ridge()), named(ElasticNet())
    ('a Ridge', 'an ElasticNet')
    """
    name = type(thing).__name__
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


class MetasklError(Exception):
    """Base of all errors that metaskl raises on purpose."""


class UnknownLearnerError(MetasklError, ValueError):
    """No installed package offers a learner of the name asked for."""

    @classmethod
    def for_name(cls, name: str, known: Sequence[str]) -> Self:
        """Say which names there are, the near ones first.

        Parameters
        ----------
        name : str
            The name that was asked for.
        known : sequence of str
            All names that would have worked.

        Returns
        -------
        UnknownLearnerError
            The error, to be raised by the caller.
        """
        hint = did_you_mean(name, known)
        names = ", ".join(map(repr, known)) or "none; is metaskl itself installed (pip install)?"
        return cls(
            f"learner must be the name of an installed learner, got {name!r}.{hint} "
            f"Installed learners: {names}. A plugin's learners appear once it is installed."
        )


class AmbiguousLearnerError(MetasklError, ValueError):
    """More than one package offers a learner of the name asked for."""

    @classmethod
    def for_name(cls, name: str, offers: Sequence[str]) -> Self:
        """Say which packages claim the name, and which names work instead.

        Parameters
        ----------
        name : str
            The name that was asked for.
        offers : sequence of str
            The ``distribution:name`` of each learner that claims it.

        Returns
        -------
        AmbiguousLearnerError
            The error, to be raised by the caller.
        """
        return cls(
            f"learner must name one learner, got {name!r}, which is offered {len(offers)} times. "
            f"Ask for {' or '.join(map(repr, sorted(set(offers))))}, or uninstall what you do "
            "not use."
        )


class PluginError(MetasklError, RuntimeError):
    """A package offers a learner that cannot be imported, or that is none."""

    @classmethod
    def for_plugin(cls, learner: str, package: str, cause: str) -> Self:
        """Say whose fault it is and what it did.

        Parameters
        ----------
        learner : str
            The learner's name.
        package : str
            Distribution and version of the package that offers it.
        cause : str
            What is wrong, as a clause.

        Returns
        -------
        PluginError
            The error, to be raised by the caller.
        """
        return cls(
            f"The learner {learner!r} of {package} cannot be used: {cause}. "
            f"Mend, upgrade or uninstall {package}; other learners are not affected."
        )


class GroupsError(MetasklError, ValueError):
    """The array that names the task of each row does not fit the data."""


class TaskError(MetasklError, ValueError):
    """Tasks or episodes cannot be made from the data as asked."""


class BackboneError(MetasklError, ValueError):
    """A network cannot be built from its spec for the data at hand."""


class SupportError(MetasklError, ValueError):
    """A support set that cannot be adapted on."""


class ParameterError(MetasklError, ValueError):
    """A hyper-parameter out of its range."""


class NotAdaptedError(MetasklError, ValueError):
    """A prediction asked of a model with labels private to each task, before adapting it."""


class DivergenceError(MetasklError, RuntimeError):
    """Meta-training whose loss became infinite or not a number."""


class CheckpointError(MetasklError, OSError):
    """A checkpoint that cannot be written, or does not belong to this fit."""


class ModelFileError(MetasklError, ValueError):
    """A model file that is corrupt, foreign, or holds types that are not trusted."""


class MissingExtraError(MetasklError, ImportError):
    """An optional dependency that is not installed."""


class CandidateError(MetasklError, ValueError):
    """No candidate of a comparison could be fitted."""


class StudyError(MetasklError, RuntimeError):
    """A study whose storage cannot be read or written, or that belongs to other data."""


class TableError(MetasklError, ValueError):
    """A table file without the columns that were named, or that cannot be read."""


def require_choice(name: str, value: object, known: Sequence[str]) -> None:
    """Raise unless a hyper-parameter is one of the names that there are.

    Parameters
    ----------
    name : str
        The hyper-parameter.
    value : object
        What was given.
    known : sequence of str
        All names that work.

    Raises
    ------
    ParameterError
        If it is none; names that are near are said.
    """
    if value not in known:
        raise ParameterError(
            f"{name} must be one of {known}, got {value!r}.{did_you_mean(str(value), known)}"
        )


class MetasklWarning(UserWarning):
    """Base of the warnings that are metaskl's own."""


class OneTaskWarning(MetasklWarning):
    """A meta-learner fitted without task ids, so that there are no tasks to learn across."""


class TrainedAnewWarning(MetasklWarning):
    """A fitted meta-learner that is meta-trained anew, so that what it learned is not used."""


class BudgetWarning(MetasklWarning):
    """A time budget that ended before every learner was tried."""


class EpisodeWarning(MetasklWarning):
    """Training episodes that are not what was asked for, or hardly can be."""


class GroupsWarning(MetasklWarning):
    """Task ids that are probably not used as was meant."""
