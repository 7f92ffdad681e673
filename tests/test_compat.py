import threading

import pytest
import torch

from metaskl._compat import limit_threads


@pytest.fixture(autouse=True)
def _three_threads():
    found = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(found)


def test_a_limit_is_set_and_lifted():
    with limit_threads(1):
        assert torch.get_num_threads() == 1
        with limit_threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_none_leaves_it():
    with limit_threads(1), limit_threads(None):
        assert torch.get_num_threads() == 1


def test_it_is_lifted_after_a_fault():
    with pytest.raises(ValueError, match="mine"), limit_threads(1):
        raise ValueError("mine")
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("first_out", ["first", "second"])
def test_limits_of_two_threads_may_overlap(first_out):
    """The second enters inside the first's limit, and would take that for what to restore."""
    steps = {name: threading.Event() for name in ("entered", "both", "one out")}
    seen = {}

    def first():
        with limit_threads(1):
            steps["entered"].set()
            assert steps["both"].wait(60)
            seen["first"] = torch.get_num_threads()
            if first_out == "second":
                assert steps["one out"].wait(60)
        steps["one out"].set()

    def second():
        assert steps["entered"].wait(60)
        with limit_threads(2):
            steps["both"].set()
            seen["second"] = torch.get_num_threads()
            if first_out == "first":
                assert steps["one out"].wait(60)
        seen["second, after"] = torch.get_num_threads()
        steps["one out"].set()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == {"first": 1, "second": 2, "second, after": 3}
    with limit_threads(1):  # what a new thread inherits is the process's own number again
        pass
    inherited = []
    new = threading.Thread(target=lambda: inherited.append(torch.get_num_threads()))
    new.start()
    new.join(60)
    assert inherited == [3]
