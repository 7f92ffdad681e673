"""What a search did: its trials in order, and which hyper-parameters mattered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaskl.search._optuna import optuna, quiet

# Fewer complete trials than this say nothing about importance.
_FEW_TRIALS = 8


@dataclass(frozen=True)
class SearchRecord:
    """The trials of a search in their order, for figures and tables.

    Attributes
    ----------
    trials : DataFrame
        One row a trial: ``number``, ``candidate``, ``state`` (``"COMPLETE"``, ``"PRUNED"``,
        ``"FAIL"``), ``score`` (greater is better; of a pruned trial what it had reached, NaN
        where its epochs were judged by their loss),
        ``seconds`` and ``params``, a dict.
    importances : dict of str to float
        The share of each hyper-parameter of one candidate in what they explain.
    learner : str
        Which that is, the one with most complete trials; empty if there were too few trials.
    """

    trials: pd.DataFrame
    importances: dict[str, float]
    learner: str

    def rates(self) -> pd.DataFrame:
        """Return the complete trials that have an inner and an outer learning rate.

        Returns
        -------
        DataFrame
            With ``inner_lr``, ``outer_lr`` and ``score``.
        """
        rows = []
        for params, score, state in self.trials[["params", "score", "state"]].itertuples(
            index=False
        ):
            found = {name.rpartition("__")[2]: value for name, value in params.items()}
            if state == "COMPLETE" and {"inner_lr", "outer_lr"} <= found.keys():
                rows.append({k: float(found[k]) for k in ("inner_lr", "outer_lr")})
                rows[-1]["score"] = float(score)
        return pd.DataFrame(rows, columns=["inner_lr", "outer_lr", "score"])

    def as_text(self) -> str:
        """Return it as JSON."""
        trials = self.trials.to_dict("records")
        held = {"trials": trials, "importances": self.importances, "learner": self.learner}
        return json.dumps(held, default=str)

    @classmethod
    def from_text(cls, text: str) -> SearchRecord:
        """Read what :meth:`as_text` wrote."""
        held = json.loads(text)
        columns = ["number", "candidate", "state", "score", "seconds", "params"]
        trials = pd.DataFrame(held["trials"], columns=columns)
        return cls(trials, held["importances"], held["learner"])


def importances_of(trials: list[Any]) -> dict[str, float]:
    """Return the importance of each hyper-parameter over the trials of one candidate [1]_.

    Parameters
    ----------
    trials : list of optuna.trial.FrozenTrial
        Complete trials with the same hyper-parameters and one value each, greater is better.

    Returns
    -------
    dict of str to float
        Shares; empty where there are too few trials to tell.

    References
    ----------
    .. [1] S. Watanabe, A. Bansal, F. Hutter. PED-ANOVA: Efficiently Quantifying Hyperparameter
       Importance in Arbitrary Subspaces. International Joint Conference on Artificial
       Intelligence, 2023.
    """
    if len(trials) < _FEW_TRIALS or len({trial.values[0] for trial in trials}) < 2:
        return {}
    with quiet():
        study = optuna.create_study(direction="maximize")
        for trial in trials:
            study.add_trial(
                optuna.trial.create_trial(
                    params=trial.params, distributions=trial.distributions, value=trial.values[0]
                )
            )
        found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items()}
