"""Studies that run in processes of their own, so that these can be killed."""

import os
import subprocess
import sys
from pathlib import Path

# A ridge whose fits take a while, note that they began, and may kill their own process.
_STUDY = """
import os
import signal
import sys
import time
from pathlib import Path

from optuna.distributions import FloatDistribution
from sklearn.linear_model import Ridge

from metaskl import PerTask
from metaskl.search import run_study
from metaskl.tasks import LinearTasks

class Watched(Ridge):
    def __init__(self, alpha=1.0, folder=""):
        super().__init__(alpha)
        self.folder = folder

    def fit(self, X, y):
        folder = Path(self.folder)
        if len(y) == 5:  # the support of a held-out task
            return super().fit(X, y)
        if (folder / "kill once").exists():
            (folder / "kill once").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (folder / "kill large").exists() and self.alpha > 1.0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep({seconds})
        return super().fit(X, y)

def main():
    lines = LinearTasks().sample(10, 12, random_state=0)
    folder = {folder!r}
    result = run_study(
        lines.X, lines.y, lines.groups,
        learners={{"watched": PerTask(Watched(folder=folder))}},
        space={{"estimator__alpha": FloatDistribution(1e-3, 1e3, log=True)}},
        n_shot=5, cv=2, pruning=None, **{arguments},
    )
    print(result.trials["state"].value_counts().to_dict())

if __name__ == "__main__":
    {setup}
    main()
"""
DASK = """
    from distributed import Client, LocalCluster
    from joblib import parallel_config

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client, parallel_config(backend="dask", n_jobs=-1):
            client.wait_for_workers(2)
            main()
    sys.exit()
"""


def start(folder: Path, *, seconds: float = 0.0, setup: str = "pass", **arguments):
    """Start a study in a new process, its folder the place of the flags that make it die."""
    script = folder / f"study{os.urandom(4).hex()}.py"
    script.write_text(
        _STUDY.format(seconds=seconds, folder=str(folder), arguments=arguments, setup=setup.strip())
    )
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )


def finish(process) -> str:
    """Wait for a study's end, which must be a good one, and return what it printed."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out
