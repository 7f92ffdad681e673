"""One leaderboard over many real task sets: every learner, every baseline, mean ranks.

Each task set is one call of metaskl.compare with whole tasks held out (protocol printed by it);
settings are the defaults, with the same number of outer steps for every learner. A task set's
scores are kept in the folder --out, so that a run that was stopped goes on; --page only reads
them. Ranks are over task sets, of the mean score over tasks and shot counts.
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd
from sklearn.base import clone
from task_sets import CLASSES, CLASSIFICATION, REGRESSION, TASK_SETS

from metaskl import compare
from metaskl.evaluation import rank_candidates
from metaskl.report import CriticalDifferenceDisplay

KINDS = {"regression": REGRESSION, "shared classes": CLASSIFICATION, "private classes": CLASSES}


def run(name: str, out: Path, options: argparse.Namespace) -> None:
    """Compare on one task set and keep what came out."""
    arguments = TASK_SETS[name]()
    settings = {"max_epochs": options.epochs} | arguments.pop("learner_params", {})
    if options.skip and "backbone" in settings:
        settings["backbone"] = clone(settings["backbone"]).set_params(skip=True)
    start = time.perf_counter()
    result = compare(
        **arguments,
        learners=options.learners or "all",
        baselines=options.baselines or "all",
        learner_params=settings,
        n_jobs=options.jobs,
        verbose=1,
        random_state=options.seed,
    )
    seconds = time.perf_counter() - start
    print(f"\n== {name}: {TASK_SETS[name].__doc__} ({seconds:.0f} s)")
    print(json.dumps(result.protocol))
    print(result, flush=True)
    for candidate, reason in result.failures.items():
        print(f"failed: {candidate}: {reason}")
    scores = result.scores.assign(family=result.scores["candidate"].map(result.families))
    scores.to_csv(out / f"{name}.csv", index=False)


def means(name: str, out: Path) -> pd.Series:
    """Return each candidate's mean score over tasks, averaged over shot counts."""
    scores = pd.read_csv(out / f"{name}.csv")
    per_task = scores.groupby(["candidate", "n_shot", "task"])["score"].mean()
    return per_task.groupby(["candidate", "n_shot"]).mean().groupby("candidate").mean()


def families(out: Path) -> dict[str, str]:
    """Return the family of every candidate."""
    parts = [pd.read_csv(path)[["candidate", "family"]] for path in sorted(out.glob("*.csv"))]
    return pd.concat(parts).drop_duplicates().set_index("candidate")["family"].to_dict()


def page(out: Path) -> None:
    """Print the tables and the ranks; draw the critical differences."""
    for kind, makers in KINDS.items():
        done = [make.__name__ for make in makers if (out / f"{make.__name__}.csv").exists()]
        if not done:
            continue
        table = pd.DataFrame({name: means(name, out) for name in done})
        print(f"\n== {kind}: mean score over tasks and shot counts (errors negative)")
        if len(done) > 1:
            ranking = rank_candidates(table.T)
            table.insert(0, "mean rank", ranking.ranks)
            table = table.sort_values("mean rank")
            print(table.round(4).to_string())
            print(f"\n{ranking}")
            display = CriticalDifferenceDisplay(ranking, families=families(out)).plot()
            display.figure_.savefig(out / f"ranks-{kind.replace(' ', '-')}.svg")
        else:
            print(table.round(4).to_string())


def main() -> None:
    """Run what is not there yet, then print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboard"))
    parser.add_argument("--only", choices=TASK_SETS, action="append")
    parser.add_argument("--learners", type=lambda text: text.split(","))
    parser.add_argument("--baselines", type=lambda text: text.split(","))
    parser.add_argument("--epochs", type=int, default=5, help="of 100 outer steps")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skip", action="store_true", help="networks of pictures see pixels, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="only read what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in [] if options.page else options.only or TASK_SETS:
        if not (options.out / f"{name}.csv").exists():
            run(name, options.out, options)
    page(options.out)


if __name__ == "__main__":
    main()
