"""Houses of a county, pupils of a school: gpytorch's processes beside the built-in one.

Whole counties, schools or patients are held out; all candidates see the same support rows and
are scored on the same queries. Prints the leaderboard, and the difference of each learner to two
plain baselines and to the built-in learner, paired over tasks. Data: METASKL_DATA, or downloaded.
"""

import argparse

from metaskl import DKTRegressor, MetaRegressor, compare
from metaskl.datasets import fetch_radon, fetch_school, fetch_sleepstudy
from metaskl.evaluation.differences import interval

FETCH = {"radon": fetch_radon, "school": fetch_school, "sleepstudy": fetch_sleepstudy}
BUILT_IN = "built-in dkt, rbf"
BASELINE = "per-task ridge"


def candidates(max_epochs: int, more: bool) -> dict[str, MetaRegressor | DKTRegressor]:
    """Return the learners, of which the first two are the same model in two libraries."""
    training = {"max_epochs": max_epochs, "n_shot": (2, 20), "random_state": 0}

    def process(**parameters: object) -> MetaRegressor:
        return MetaRegressor(learner="deep_kernel_gp", learner_params=parameters, **training)

    found = {
        BUILT_IN: DKTRegressor(**training),
        "gpytorch, rbf": process(ard=False),
        "gpytorch, matern32, ard": process(kernel="matern32"),
    }
    if more:
        found |= {"gpytorch, rbf, ard": process(), "gpytorch, rq, ard": process(kernel="rq")}
    return found


def main(arguments: list[str] | None = None) -> None:
    """Compare, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=FETCH, default="radon")
    parser.add_argument("--max-epochs", type=int, default=2)
    parser.add_argument("--cv", type=int, default=2, help="folds over tasks")
    parser.add_argument("--n-repeats", type=int, default=1, help="draws of the support rows")
    parser.add_argument("--n-shot", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--more", action="store_true", help="more kernels")
    options = parser.parse_args(arguments)
    data = FETCH[options.data]()
    learners = candidates(options.max_epochs, options.more)
    result = compare(
        data.data,
        data.target,
        data.groups,
        learners=learners,
        baselines=["pooled ridge", BASELINE, "shrunk ridge"],
        n_shot=options.n_shot,
        n_repeats=options.n_repeats,
        cv=options.cv,
        random_state=0,
    )
    print(result)
    print("\nRoot mean squared error less than that of the other, mean [95 % interval over tasks]")
    # Scores are minus the error, so a positive difference is a gain.
    scores = result.scores.pivot_table("score", ["n_shot", "task"], "candidate")
    for other in (BASELINE, "shrunk ridge", BUILT_IN):
        for name in learners:
            gains = (scores[name] - scores[other]).groupby("n_shot").apply(interval)
            shown = [f"{k} rows: {m:+.4f} [{a:+.4f}, {b:+.4f}]" for k, (m, a, b) in gains.items()]
            if name != other:
                print(f"{name} against {other}: {'; '.join(shown)}")


if __name__ == "__main__":
    main()
