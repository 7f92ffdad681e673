"""The search after the first candidates, in the time that is left."""

from typing import Any


def search_further(settings: Any, contest: Any, learners: list[str]) -> None:
    """Nothing yet."""
