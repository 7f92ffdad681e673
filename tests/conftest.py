import gc
import os
from pathlib import Path

# Before anything imports numpy or torch: with more threads than free cores a small network
# trains many times slower. Workers of joblib inherit it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# scikit-learn leaves one of its checks out without it; it must be set before scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import hypothesis
import pytest

# For the processes that tests start, pytest's own workers among them.
_STARTUP = str(Path(__file__).parent / "startup")
os.environ["PYTHONPATH"] = os.pathsep.join(
    path for path in (_STARTUP, os.environ.get("PYTHONPATH")) if path
)

# Examples are drawn the same way in every run, and a busy machine is no failure.
hypothesis.settings.register_profile("metaskl", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("metaskl")


@pytest.fixture(autouse=True)
def _sklearn_config():
    """Leave scikit-learn's configuration, metadata routing among it, as each test found it."""
    from sklearn import config_context

    with config_context():
        yield


def pytest_collection_modifyitems(items):
    # Long tests first: near the end none begins, while other workers have nothing left.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish():
    # Thousands of tests and what they import stay to the end: no collection of garbage need look
    # through them.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _freeze():
    """Keep what earlier modules left, such as caches, from being looked through as well."""
    gc.collect()
    gc.freeze()
