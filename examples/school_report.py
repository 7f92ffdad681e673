"""Say whether meta-learning pays for a school of which five marks are known.

Compares four learners of different families with ordinary models on the exam marks of 139
London schools, whole schools held out, says in words whether it pays, shows what five marks of
one school change, and writes it all to report.html. Run it with ``make run``.
"""

import os
import time

import numpy as np

from metaskl import MetaRegressor, compare
from metaskl.datasets import fetch_school
from metaskl.errors import MissingExtraError
from metaskl.tasks import LinearTasks

LEARNERS = ("ridge_head", "dkt", "maml", "transfer")  # "all" takes some ten times as long
N_SHOT = (5, 10, 20)  # labelled rows of a new school
N_REPEATS = 1  # draws of these rows for each school
CV = 2  # folds over schools
MAX_EPOCHS = 5  # of meta-training
N_JOBS = min(2, os.cpu_count() or 1)
SEED = 0
REPORT = "report.html"


def load():
    """Return the schools, or where they cannot be had a synthetic table, and its name."""
    try:
        X, mark, school = fetch_school(return_X_y=True)
        return X, mark, school, "Exam marks of London schools"
    except OSError as error:
        print(f"The school data cannot be had: {error}\n")
        print("Going on with SYNTHETIC lines, one a task: the figures say nothing of schools.")
        lines = LinearTasks(n_features=3).sample(60, 60, random_state=SEED)
        return lines.X, lines.y, lines.groups, "SYNTHETIC lines, not real data"


def show_one_school(X, mark, school, learner):
    """Fit on all schools but one, adapt to a few pupils of that one, and draw it."""
    from metaskl.report import AdaptationDisplay

    meta = MetaRegressor(learner=learner, max_epochs=MAX_EPOCHS, random_state=SEED, verbose=1)
    display = AdaptationDisplay.from_task(
        meta, X, mark, school, n_shot=N_SHOT[0], kind="predicted-true", random_state=SEED
    )
    errors = [
        np.sqrt(np.mean((predicted - display.view.truth) ** 2))
        for predicted in (display.view.prior, display.view.adapted)
    ]
    print(
        f"\n{display.title} by {learner}: root mean squared error of its other rows "
        f"{errors[0]:.3g} before, {errors[1]:.3g} after"
    )
    return display


def main():
    start = time.perf_counter()
    X, mark, school, title = load()
    print(f"{title}: {len(mark):,} rows of {len(set(school)):,} tasks. Comparing ...", flush=True)
    result = compare(
        X,
        mark,
        school,
        learners=LEARNERS,
        n_shot=N_SHOT,
        n_repeats=N_REPEATS,
        cv=CV,
        learner_params={"max_epochs": MAX_EPOCHS},
        n_jobs=N_JOBS,
        random_state=SEED,
        verbose=1,
    )
    print(f"\n{result}")
    best = next(name for name in result.leaderboard().index if result.families[name] == "learner")
    try:
        from metaskl.report import write_report

        display = show_one_school(X, mark, school, best)
        print(f"Report: {write_report(result, REPORT, title=title, adaptation=display).resolve()}")
    except MissingExtraError as error:
        print(f"\nNo report was written: {error}")
    print(f"{time.perf_counter() - start:.0f} seconds")


if __name__ == "__main__":
    main()
