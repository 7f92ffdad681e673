"""Results as values that JSON knows."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """Return dicts with text keys, lists and scalars; what is not a finite number is None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
