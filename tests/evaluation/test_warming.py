"""No candidate is charged with what a process does once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from metaskl import compare
from metaskl.evaluation.warming import warm_up
from metaskl.tasks import LinearTasks

lines = LinearTasks().sample(6, 12, random_state=0)
warm_up()
before = set(sys.modules)
few = {"max_epochs": 1, "steps_per_epoch": 1}
compare(lines.X, lines.y, lines.groups, learners=["dkt"], baselines=["per-task ridge"], n_shot=3,
        n_repeats=1, cv=2, learner_params=few)
assert warm_up.cache_info().hits == 4, warm_up.cache_info()
late = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(late & {"torch", "skorch", "sklearn", "scipy", "numpy"}))
"""


@pytest.mark.slow
def test_the_first_candidate_of_a_process_imports_its_own_learner_only():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
