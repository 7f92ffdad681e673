"""Safe save and load: no pickle, and no type that is not trusted."""

from __future__ import annotations

import importlib
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaskl.errors import MetasklWarning, ModelFileError, named
from metaskl.files import replacing

# Trees of scikit-learn's own, in forests and boosting: arrays behind a class of compiled code,
# whose constructor takes numbers and arrays and does nothing else.
_TREES = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
    }
)


def save(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator, a Pipeline of one, or adapted copies to one file.

    The file is a zip archive of JSON and arrays (skops): nothing in it is executed on load.
    It holds weights, not the rows of the fit.

    Parameters
    ----------
    estimator : estimator, or dict or list of estimators
        What to save. Adapted copies in a dict, as ``adapt_groups`` returns them, share their
        network in the file.
    path : path-like
        The file; it is replaced as a whole, or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelFileError
        If the estimator is not fitted, or holds what cannot be stored or loaded again, or the
        file cannot be written.

    Warns
    -----
    MetasklWarning
        If it holds an Optuna study, of which :func:`load` trusts no type.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.linear_model import Ridge
    >>> from metaskl import load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), pathlib.Path(folder) / "model")
    ...     load(file).coef_.shape
    (1,)
    """
    import skops.io

    _require_fitted(estimator)
    path = Path(path)
    try:
        content = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
    except Exception as error:
        raise ModelFileError(
            f"{named(estimator)} with these parts cannot be stored as arrays and text "
            f"({error}). Give FromModule the network's class and arguments instead of a built "
            "module (for the network of a learner fitted with a spec such as Conv4(), give that "
            "learner's backbone_), or use pickle for your own use."
        ) from error
    types = skops.io.get_untrusted_types(data=content)
    _require_importable(types)
    if any(name.startswith("optuna.") for name in types):
        warnings.warn(
            f"{named(estimator)} holds its Optuna study, which load does not trust: it "
            "will ask for the names of its types. To keep what the search found, save its "
            "best_estimator_.",
            MetasklWarning,
            stacklevel=2,
        )
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise ModelFileError(
            f"the model could not be written to {str(path)!r}: {error}. Give a path in a folder "
            "that exists and that you may write to."
        ) from error
    return path


def _require_fitted(estimator: Any) -> None:
    """Raise unless it is an estimator that is fitted, or needs no fit."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    # What adapt_groups returns, or the copies of several tasks, share their network in one file.
    several = estimator.values() if isinstance(estimator, dict) else estimator
    if isinstance(estimator, (dict, list)) and all(hasattr(each, "fit") for each in several):
        for each in several:
            _require_fitted(each)
        return
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise ModelFileError(
            "estimator must be fitted before it is saved, got "
            f"{named(estimator)} that is not. Call fit first; to keep "
            "hyper-parameters alone, store get_params()."
        ) from error
    except TypeError as error:
        given = repr(estimator) if isinstance(estimator, type) else named(estimator)
        raise ModelFileError(
            f"estimator must be an instance of a fitted estimator, got {given}. Give what fit or "
            "adapt returned."
        ) from error


def _require_importable(names: Sequence[str]) -> None:
    """Raise if a function or class has no name by which load could find it."""
    lost = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        try:
            getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError):
            lost.append(name)
    if lost:
        raise ModelFileError(
            f"estimator must hold only functions and classes that can be imported, got {lost}. "
            "Define them by name at the top of a module, or use pickle for your own use."
        )


def load(path: str | os.PathLike[str], *, trusted: Sequence[str] = ()) -> Any:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    trusted : sequence of str
        Full names of further types to allow, such as one's own network's or transformer's. The
        learner of a plugin needs none: it is found by its name, the plugin being installed.

    Returns
    -------
    estimator, or dict or list of estimators
        What was given to :func:`save`, of the same types, on a device that is there: of a plugin's
        learner the :class:`~metaskl.MetaRegressor` or :class:`~metaskl.MetaClassifier` around it.

    Raises
    ------
    ModelFileError
        If the file is missing, corrupt, not one of metaskl's, or holds types that are not
        trusted.
    """
    import skops.io

    path = Path(path)
    if path.is_dir():
        raise ModelFileError(
            f"model file {str(path)!r} is a folder. Give the file in it that save wrote."
        )
    if not path.is_file():
        raise ModelFileError(f"model file {str(path)!r} is not there. Check the path.")
    try:
        content = path.read_bytes()
        allowed = skops.io.get_untrusted_types(data=content)
        unknown = [name for name in allowed if not _is_trusted(name) and name not in trusted]
        if not unknown:
            return skops.io.loads(content, trusted=allowed)
    except Exception as error:  # a damaged archive fails in more ways than can be named
        raise ModelFileError(
            f"model file {str(path)!r} is corrupt or not a metaskl model ({error}). Save the "
            "model again, or check the path."
        ) from error
    raise ModelFileError(
        f"model file {str(path)!r} holds types that are not trusted: {unknown}. If you "
        f"know where the file comes from, load it with trusted={unknown}."
    )


def _is_trusted(name: str) -> bool:
    """Say whether a name is that of a type that holds arrays, numbers and text only.

    Of metaskl's modules, and of scikit-learn's ways to split rows, only classes that they define:
    a file may have what it names called, and their functions, or what they import from elsewhere,
    would write files and import modules.
    """
    if not name.startswith(("metaskl.", "sklearn.model_selection._split.")):
        return name == "numpy.dtype" or name in _TREES
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute, None)
    return isinstance(found, type) and found.__module__ == module


def read_state_dict(
    source: str | os.PathLike[str] | Mapping[str, Any], expected: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a module's weights from a ``.safetensors`` or torch file that holds tensors only.

    Parameters
    ----------
    source : path-like or mapping of str to array
        The file, or the weights themselves.
    expected : mapping of str to Tensor
        The module's own state, whose names and shapes the weights must have.

    Returns
    -------
    dict of Tensor
        The weights.

    Raises
    ------
    ModelFileError
        If the file cannot be read safely, or names or shapes differ.
    """
    import torch

    if isinstance(source, Mapping):
        called = "state_dict"
        try:
            state = {name: torch.as_tensor(value) for name, value in source.items()}
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelFileError(
                f"state_dict must map names to arrays of numbers, got others ({error}). Give "
                "module.state_dict()."
            ) from error
    elif not isinstance(source, str | os.PathLike):
        raise ModelFileError(
            f"state_dict must be a file or weights by name, got a {type(source).__name__}. Give "
            "module.state_dict()."
        )
    else:
        called, state = f"state_dict file {str(source)!r}", _tensors_in(Path(source))
    names = set(state)
    missing, surplus = sorted(set(expected) - names), sorted(names - set(expected))
    shapes = [n for n in names & set(expected) if state[n].shape != expected[n].shape]
    if missing or surplus or shapes:
        raise ModelFileError(
            f"{called} does not fit the module: missing {missing[:5]}, "
            f"surplus {surplus[:5]}, of another shape {sorted(shapes)[:5]}. Build the module with "
            "the arguments it was saved with."
        )
    return state


def _tensors_in(path: Path) -> dict[str, Any]:
    """Read a file of tensors."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise ModelFileError(
            f"state_dict file {str(path)!r} cannot be read as tensors ({error}). Save it with "
            "safetensors.torch.save_file(module.state_dict(), path)."
        ) from error
