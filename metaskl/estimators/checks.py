"""Hyper-parameters that all meta-learning estimators share, checked before a fit."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from metaskl.backbones import MLP, Backbone
from metaskl.errors import (
    EpisodeWarning,
    MetasklWarning,
    OneTaskWarning,
    ParameterError,
    TrainedAnewWarning,
)
from metaskl.estimators.adapt import can_adapt
from metaskl.tasks import TaskSet
from metaskl.tasks.groups import are_private

# With more classes than this they may be of many tasks.
_MANY_CLASSES = 10
_A_BYTE = 255
_OWN_CLASSES = (
    "If new tasks bring classes of their own (characters, faces, intents), set "
    "label_space='task', which needs no groups."
)


class _Rule(NamedTuple):
    """What a hyper-parameter must be, and what to do otherwise."""

    holds: Callable[[Any], bool]
    must_be: str
    advice: str


def _is_whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_shots(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return len(value) == 2 and all(map(_is_whole, value)) and value[0] <= value[1]
    return _is_whole(value)


def _whole(advice: str, least: int = 1) -> _Rule:
    return _Rule(
        lambda value: _is_whole(value, least), f"a whole number of at least {least}", advice
    )


def _whole_or_none(advice: str) -> _Rule:
    return _Rule(
        lambda value: value is None or _is_whole(value),
        "None or a whole number of at least 1",
        advice,
    )


def _switch(advice: str) -> _Rule:
    return _Rule(lambda value: isinstance(value, bool | np.bool_), "True or False", advice)


_RULES = {
    "n_shot": _Rule(
        _is_shots,
        "a whole number of at least 1, or two that ascend",
        "Give for example n_shot=5 or n_shot=(5, 20).",
    ),
    "n_query": _whole("Give for example n_query=10."),
    "meta_batch_size": _whole("Give for example meta_batch_size=16."),
    "max_epochs": _whole("Give for example max_epochs=10."),
    "steps_per_epoch": _whole("Give for example steps_per_epoch=100."),
    "outer_lr": _Rule(
        lambda value: _is_number(value) and value > 0,
        "a number above 0",
        "Give for example outer_lr=1e-3.",
    ),
    "weight_decay": _Rule(
        lambda value: _is_number(value) and value >= 0,
        "a number of at least 0",
        "Give weight_decay=0 for none.",
    ),
    "validation_fraction": _Rule(
        lambda value: _is_number(value) and 0 <= value < 1,
        "in [0, 1)",
        "Give 0.2 to keep one task in five for validation.",
    ),
    "patience": _whole_or_none("Give None never to stop early."),
    "n_threads": _whole_or_none("Give None to leave torch's setting as it is."),
    "standardize": _switch("Give False only for data of like scale around 0."),
    "checkpoint": _Rule(
        lambda value: value is None or isinstance(value, str | os.PathLike),
        "None or the path of a file",
        "Give for example checkpoint='fit.ckpt'.",
    ),
    "callbacks": _Rule(
        lambda value: value is None or (isinstance(value, Sequence) and not isinstance(value, str)),
        "None or a list of skorch callbacks",
        "Put a single callback in a list.",
    ),
    "net_params": _Rule(
        lambda value: value is None or isinstance(value, Mapping),
        "None or a dict of arguments of skorch's net",
        "Leave it out unless you know skorch.",
    ),
    "n_way": _whole("Give for example n_way=5.", 2),
    "within_groups": _switch("Give False to mix the classes of all groups in an episode."),
    "zero_head": _switch("Give False to learn a start for each of n_way places."),
    "allow_single_class": _switch("Give True to adapt on a support of one class."),
}


def check_parameters(estimator: Any) -> None:
    """Raise if a hyper-parameter that the estimators share is out of its range.

    Raises
    ------
    ParameterError
        At the first one; the message says what to give.
    """
    for name, rule in _RULES.items():
        if hasattr(estimator, name) and not rule.holds(getattr(estimator, name)):
            raise ParameterError(
                f"{name} must be {rule.must_be}, got {getattr(estimator, name)!r}. {rule.advice}"
            )


def warn_of_few_rows(tasks: TaskSet, n_shot: Any, *, of_classes: bool) -> None:
    """Warn if no task can give the support that was asked for and a query row."""
    shots = min(n_shot) if isinstance(n_shot, tuple | list) else n_shot
    largest = int(tasks.sizes.max())
    if largest > shots:
        return
    kind = "class" if of_classes else "task"
    warnings.warn(
        f"n_shot={n_shot!r} asks for more rows than any {kind} has: the largest has {largest} "
        f"rows, and {shots + 1} are needed for a support of {shots} and one row of query. Training "
        f"episodes have smaller supports. Lower n_shot to what a new {kind} will bring.",
        EpisodeWarning,
        stacklevel=4,
    )


def warn_of_odd_rows(estimator: Any, X: Any) -> None:
    """Warn of what a network's spec, or a kernel, has to say of the rows of fit."""
    backbone = estimator.backbone
    remarks = [backbone.remark(X)] if isinstance(backbone, Backbone) else []
    if _own_parameters(estimator).get("kernel") == "tanimoto" and X.ndim == 2:
        remarks += _remarks_of_tanimoto(estimator, X)
    for remark in filter(None, remarks):
        warnings.warn(remark, MetasklWarning, stacklevel=4)


def _remarks_of_tanimoto(estimator: Any, X: Any) -> list[str]:
    """Say what keeps the Tanimoto kernel from comparing bits or counts."""
    least, most, remarks = X.min(), X.max(), []
    if least >= 0 and _A_BYTE // 2 < most <= _A_BYTE and (X % 1 == 0).all():
        remarks.append(
            "X should hold single bits or counts with kernel='tanimoto', got whole numbers up to "
            f"{most:.0f}, as bits packed into bytes are. If they are, unpack them before fit and "
            "adapt: np.unpackbits(X, axis=1)."
        )
    backbone = getattr(estimator.backbone, "innermost", estimator.backbone)
    plain = isinstance(backbone, MLP) and (backbone.skip or not backbone.hidden_layer_sizes)
    if backbone is not None and not plain:  # the kernel sees learned features alone
        return remarks
    if estimator.standardize:
        remarks.append(
            "standardize should be False with kernel='tanimoto', got True: standardised columns "
            "are neither bits nor counts, and negative in part. Set standardize=False."
        )
    elif least < 0:
        remarks.append(
            "X should hold bits or counts with kernel='tanimoto', got values below 0, such as "
            f"{least:.3g}. Bring bits or counts, or take kernel='rbf'."
        )
    return remarks


def warn_of_annealing(estimator: Any) -> None:
    """Warn of the annealing of MAML++ where it outlasts the epochs of a fit."""
    given = _own_parameters(estimator)
    ends = {
        "first_order_epochs": (
            not given.get("first_order"),
            "second order ever to begin",
            "for first order throughout set first_order=True",
        ),
        "multi_step_epochs": (
            given.get("multi_step_loss"),
            "the loss to reach the last step alone",
            "for all steps throughout set multi_step_epochs=None",
        ),
    }
    most = given["max_epochs"]
    for name, (counts, end, otherwise) in ends.items():
        lasts = given.get(name)
        if counts and _is_whole(lasts) and _is_whole(most) and most <= lasts:
            warnings.warn(
                f"max_epochs must be above {name} for {end}, got max_epochs={most} and "
                f"{name}={lasts}. Raise max_epochs or lower {name}; {otherwise}.",
                MetasklWarning,
                stacklevel=3,
            )


def _own_parameters(estimator: Any) -> dict[str, Any]:
    """Return the hyper-parameters, those of a learner that goes by its name among them."""
    given: dict[str, Any] = estimator.get_params(deep=False)
    return given | dict(given.get("learner_params") or {})


def warn_of_private_classes(y: Any, ids: Any) -> None:
    """Warn of tasks that are said to share their classes and do not: a new task cannot either."""
    if not are_private(np.asarray(y), ids):
        return
    one_each = len(np.unique(y)) == len(np.unique(ids))
    warnings.warn(
        "every class of y lies in one task only, so a new task will hardly have the classes of "
        "fit, and adapting to others is refused. If each task has classes of its own (characters, "
        "faces, intents), set label_space='task'"
        + (" and leave groups out, which name the class itself." if one_each else "."),
        EpisodeWarning,
        stacklevel=5,
    )


def warn_of_one_task(estimator: Any) -> None:
    """Warn of a fit without task ids, unless they were declined by ``set_fit_request``."""
    if estimator.get_metadata_routing().fit.requests.get("groups") is False:
        return
    name = type(estimator).__name__
    classes = f"{_OWN_CLASSES} " * (len(getattr(estimator, "classes_", ())) > _MANY_CLASSES)
    warnings.warn(
        f"{name} is fitted without groups, so all rows are ONE task and nothing is learned across "
        f"tasks. {classes}Pass groups to fit. If you passed them to a search, a cross-validation "
        "or a Pipeline of scikit-learn, turn routing on first: "
        "sklearn.set_config(enable_metadata_routing=True). If one task is meant, use "
        f"Adapted{'Classifier' if hasattr(estimator, 'predict_proba') else 'Regressor'}({name}()).",
        OneTaskWarning,
        stacklevel=4,
    )


def warn_of_a_pool(estimator: Any, n_classes: int) -> None:
    """Warn if so many classes of one task look like a pool, of which new tasks bring others."""
    if n_classes > _MANY_CLASSES:
        warnings.warn(
            f"{type(estimator).__name__} is fitted to {n_classes} classes without groups, so all "
            f"rows are ONE task and the best ordinary model is chosen. {_OWN_CLASSES}",
            OneTaskWarning,
            stacklevel=3,
        )


def is_fitted(estimator: Any) -> bool:
    """Say whether there is something to adapt."""
    if isinstance(estimator, FrozenEstimator):
        return True
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def warn_of_training_anew(estimator: Any) -> None:
    """Warn of a fitted meta-learner that is cloned, and so forgets what it learned."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(last, FrozenEstimator) or not can_adapt(estimator) or not is_fitted(estimator):
        return
    name = type(estimator).__name__
    warnings.warn(
        f"estimator must not be fitted where PerTask is to train it, got a fitted {name}: as in "
        "scikit-learn a clone of it is trained anew on these tasks alone, and what it learned is "
        "not used. To adapt it to these tasks as it is, fit PerTask(FrozenEstimator(meta)), or "
        "call meta.adapt_groups(X, y, groups) (metaskl.adapt for a Pipeline). If it is to be "
        "trained anew, give sklearn.base.clone(meta).",
        TrainedAnewWarning,
        stacklevel=3,
    )
