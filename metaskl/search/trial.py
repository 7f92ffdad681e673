"""A trial on its way to a worker, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metaskl.search.pruning import Earlier, Pruning


@dataclass(frozen=True)
class Rules:
    """What holds for every trial of a study.

    Attributes
    ----------
    pruning : Pruning
        The pruners.
    fidelity : tuple of float
        Shares of tasks and epochs of the rungs before the whole.
    memory : int or None
        Bytes that a trial's process may hold.
    """

    pruning: Pruning
    fidelity: tuple[float, ...] = ()
    memory: int | None = None


@dataclass(frozen=True)
class Job:
    """A trial on its way to a worker: all but the data, which are named by their file.

    Attributes
    ----------
    number : int
        The trial's.
    learner : str
        The candidate's name.
    estimator : estimator
        Unfitted, with the trial's values.
    data : Protocol or str
        What to score on, or the file that holds it.
    scorer : callable
        The scorer, apart from the data since it may be a function of the user's own.
    rules : Rules
        What holds for every trial.
    values : dict
        What was sampled for the trial, by the names of the search space.
    best : list of float or None
        Scores of the best trial so far, draw by draw.
    earlier : list of Earlier
        Trials of the same learner, by epoch.
    rungs : list of list of float
        Scores of earlier trials at each rung.
    seconds : float or None
        Time left.
    """

    number: int
    learner: str
    estimator: Any
    data: Any
    scorer: Any
    rules: Rules
    values: dict[str, Any] = field(default_factory=dict)
    best: list[float] | None = None
    earlier: list[Earlier] = field(default_factory=list)
    rungs: list[list[float]] = field(default_factory=list)
    seconds: float | None = None


@dataclass
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    number : int
        The trial's.
    state : {"complete", "pruned", "failed", "stopped"}
        How it ended; a stopped one ran out of time and waits for its turn again.
    value : float
        Its mean score; of a trial pruned by task what it would have been.
    scores : list of float
        Of each draw, in the order of the units; those not reached are left out at the end.
    adapt_time : float
        Seconds of adapting to a draw and predicting its query, on average.
    seconds : float
        What the trial took.
    n_scored : int
        Units that were scored.
    steps : dict of int to float
        Meta-validation loss after each epoch, with its sign changed.
    system : dict
        What the pruner by epoch noted.
    rungs : list of float
        Scores at the rungs.
    error : str
        Why it failed.
    transductive : bool
        Whether its predictions depend on the other query rows.
    """

    number: int
    state: str = "complete"
    value: float = float("nan")
    scores: list[float] = field(default_factory=list)
    adapt_time: float = float("nan")
    seconds: float = 0.0
    n_scored: int = 0
    steps: dict[int, float] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    rungs: list[float] = field(default_factory=list)
    error: str = ""
    transductive: bool = False
