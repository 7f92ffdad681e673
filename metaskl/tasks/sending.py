"""What is drawn on the host, sent to where the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def sent(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return numbers as a tensor on a device, without waiting for what a GPU is at.

    Parameters
    ----------
    values : ndarray
        What was drawn.
    device : torch.device
        Where the rows lie.

    Returns
    -------
    Tensor
        Of the values' type; on the CPU it shares their memory.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return tensor.to(device)
    # From ordinary memory torch would wait until all that was launched before is done.
    return tensor.pin_memory().to(device, non_blocking=True)
