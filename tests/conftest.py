import gc
import os

# Before anything imports numpy or torch: with more threads than free cores a small network
# trains many times slower. Workers of joblib inherit it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# scikit-learn leaves one of its checks out without it; it must be set before scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import hypothesis
import pytest

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
    # Long tests first: at the end no worker waits for another's.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="module")
def _freeze():
    """Keep what is there from the collections of garbage to come: it stays to the end.

    The tests themselves, what they import and the caches of earlier modules are so many objects
    that looking through them takes a second.
    """
    gc.collect()
    gc.freeze()
