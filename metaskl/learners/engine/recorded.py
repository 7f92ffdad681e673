"""A function of tensors as a CUDA graph: one launch for all its kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[list[Tensor]], list[Tensor | None]]

# Libraries take their working memory, and choose their kernels, in the first calls.
_WARM_UP = 3


def recorded(function: Function, tensors: list[Tensor]) -> Function:
    """Record a function's kernels on a GPU, to launch them all at once.

    A small network's kernels take less time than the launch of each from Python.

    Parameters
    ----------
    function : callable
        From tensors to tensors or None, for these shapes; it must have no effects, not wait for
        the device, and not depend on values.
    tensors : list of Tensor
        What it is recorded with, all on one GPU.

    Returns
    -------
    callable
        The same function, for tensors of these shapes.

    Raises
    ------
    RuntimeError
        If something cannot be recorded.
    AssertionError
        If the recording gives other numbers than the function.
    """
    fixed = [tensor.clone() for tensor in tensors]
    device = fixed[0].device
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.no_grad():
        stream.wait_stream(torch.cuda.current_stream())
        # The same stream for both: handles of libraries belong to one.
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                expected = function(fixed)
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads may ask for memory meanwhile: joblib's train beside each other.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            outputs = function(fixed)
    recording = _Recording(graph, fixed, outputs, function)

    # Once, with what it was recorded with: a recording that reads what is gone gives anything.
    scale = max(float(t.abs().max()) for t in expected if t is not None)
    torch.testing.assert_close(recording(tensors), expected, rtol=1e-3, atol=1e-5 * scale)
    return recording


@dataclass(frozen=True, eq=False)
class _Recording:
    """A graph, with all that it reads and writes: it holds on to none of that itself."""

    graph: torch.cuda.CUDAGraph
    fixed: list[Tensor]
    outputs: list[Tensor | None]
    function: Function  # for the tensors of its own

    def __call__(self, given: list[Tensor]) -> list[Tensor | None]:
        torch._foreach_copy_(self.fixed, given)
        self.graph.replay()
        # The next replay writes to the same memory.
        return [None if output is None else output.clone() for output in self.outputs]
