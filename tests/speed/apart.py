"""Measuring in a process of its own, whose memory is managed as told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Freed memory is given back at once, so that what is in use can be seen from outside; or it is
# kept, so that the same work does not take longer or shorter by what the C library does with it.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "8192", "MALLOC_TRIM_THRESHOLD_": "8192"}
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


def in_a_process(module: str, memory: dict[str, str], *arguments: Any) -> Any:
    """Return what a module of the suite, run with arguments, prints as JSON."""
    command = [sys.executable, "-m", f"speed.{module}", *map(str, arguments)]
    folder = str(Path(__file__).parents[1])
    path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | memory | {"PYTHONPATH": path}
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout)
