"""Messages of the Python functions, said in the options of the command."""

from __future__ import annotations

import re

# Parameters whose names are words of their own, wherever they stand.
_ANYWHERE = (
    "allow_single_class|holdout|label_space|max_epochs|n_jobs|n_repeats|n_shot|n_trials|n_way|random_state|"
    "study_name|time_budget"
)
# Parameters whose names are plain words: only where a value follows, or a message begins.
_PLAIN = "baselines|cv|groups|kind|learner|learners|scoring|storage"
_OPTIONS = {
    "groups": "task",
    "n_jobs": "jobs",
    "n_repeats": "repeats",
    "n_trials": "trials",
    "random_state": "seed",
}
_VALUE = r"\('[^)]*'\)|\([^()]*\)|\[[^\]]*\]|'[^']*'|[\w.+-]*\w"
# Advice that only Python users can follow, and what to do here instead.
_ADVICE = (
    (
        r"or set the estimator's parameter allow_single_class=True, .*?,",
        "or add --allow-single-class",
    ),
    (r" Or give a dict of your own\.", ""),
    (r"(load it with) trusted=\[(.+?)\]\.$", r"\1 --trust \2."),
    (r"\b(?:an?|this) Meta(?:Classifier|Regressor)\b", "this learner"),
    (
        r"Call adapt\(X_support, y_support\) and predict with what it returns",
        "Run metaskl adapt, and predict by the model that it writes",
    ),
    (r"groups names the task", "--task names the task"),
    (r"^learner_params must", "--param must"),
    (r"set within_groups=False,", "add --param within_groups=false,"),
    (r"or use a ProtoNetClassifier", "or --learner protonet"),
    (
        r"Lower outer_lr.*$",
        "Look for columns with values far out of line, or fit from Python with a lower outer_lr.",
    ),
    (r"\b(1 \w+)\(s\)", r"\1"),
    (r"(\d \w+)\(s\)", r"\1s"),
    (r"^y must", "the target must"),
    (r"^X must", "the table must"),
    (r"Lower cv\b", "Lower --cv"),
    (r"Look at help\(\w+\)\.", ""),
)


def in_options(message: str) -> str:
    """Return a message with the options of the command for the parameters it speaks of.

    Parameters
    ----------
    message : str
        What an error of the Python functions says.

    Returns
    -------
    str
        What a user of the command can follow, on one line.

    Examples
    --------
    >>> from metaskl.cli.wording import in_options
    >>> in_options("cv must be at least 2, got cv=1. Give for example n_shot=(5, 10).")
    '--cv must be at least 2, got --cv 1. Give for example --n-shot 5,10.'
    """
    text = " ".join(message.split())
    for pattern, instead in _ADVICE:
        text = re.sub(pattern, instead, text)
    text, known, names = text.partition(" Known are ")  # which are given to --param as they are
    text = re.sub(rf"(?<![-\w])({_ANYWHERE}|{_PLAIN})=({_VALUE})", _assigned, text)
    text = re.sub(rf"(?<![-\w])({_ANYWHERE})\b", lambda found: _option(found[1]), text)
    text = re.sub(rf"^({_PLAIN})(?= must)", lambda found: _option(found[1]), text)
    return text + known + names


def _option(name: str) -> str:
    return f"--{_OPTIONS.get(name, name).replace('_', '-')}"


def _assigned(found: re.Match[str]) -> str:
    """Return an option with its value as a shell takes it."""
    parts = re.sub(r"[()\[\]']", "", found[2]).split(",")
    value = ",".join(part.strip() for part in parts if part.strip())
    return f"{_option(found[1])} {value}"
