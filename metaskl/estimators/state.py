"""The learner inside an estimator: what it was built with, what it has adapted, as arrays."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import clone
from torch import Tensor, nn

from metaskl.backbones import MLP, Backbone, Conv4
from metaskl.errors import ParameterError
from metaskl.learners import Adapted, MetaLearner
from metaskl.learners.base import solve_dtype

Array = npt.NDArray[Any]
# One stack of tasks holds at most so many values inside the network and so many tasks: the
# memory of adapting is bounded whatever the number of tasks.
_STACK_VALUES = 2**25
# A CPU is fastest on stacks that its caches hold, a GPU on long ones.
_STACK_TASKS, _STACK_TASKS_ON_CPU = 256, 64
# Rows of a prediction are padded to a multiple of this: single-precision products of another
# size round differently, and a row's prediction must not depend on the others in the call.
_ROW_BLOCK = 32
_CHUNK = 4096


def default_backbone(in_shape: tuple[int, ...]) -> Backbone:
    """Return the network for rows of a shape: an MLP with skip for tables, Conv4 for images.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if len(in_shape) == 1:
        return MLP(skip=True)
    _refuse_other_images(in_shape)
    if len(in_shape) == 3:
        return Conv4()
    raise ParameterError(
        f"backbone must be given for rows of shape {in_shape}: the defaults are for tables "
        "(n, n_features) and images (n, C, H, W). Use Recurrent or Conv1D for sequences, DeepSets "
        "for sets, or FromModule with a network of your own."
    )


def spec_of(backbone: Any, in_shape: tuple[int, ...]) -> Backbone:
    """Return a copy of a network's spec, or the default one where there is none.

    Raises
    ------
    ParameterError
        If what was given is no spec.
    """
    if backbone is None:
        return default_backbone(in_shape)
    if not isinstance(backbone, Backbone):
        a_module = isinstance(backbone, nn.Module)  # whose repr may be a page
        given = f"a {type(backbone).__name__}" if a_module else repr(backbone)
        raise ParameterError(
            f"backbone must be a spec such as MLP((40, 40)), got {given}. Wrap a torch module of "
            "your own, or its class, in metaskl.backbones.FromModule; of a fitted learner take "
            "backbone_."
        )
    if isinstance(backbone.innermost, Conv4):
        _refuse_other_images(in_shape)
    copied: Backbone = clone(backbone)
    return copied


def _refuse_other_images(in_shape: tuple[int, ...]) -> None:
    """Raise if rows look like images whose channel axis is missing or last."""
    shape = f"(n, {', '.join(map(str, in_shape))})"
    if len(in_shape) == 2:
        raise ParameterError(
            f"X must hold images (n, C, H, W), got shape {shape}: the axis of channels is missing. "
            "Put it in with X[:, None]. For another kind of data give a backbone with FromModule."
        )
    if len(in_shape) == 3 and in_shape[2] in (1, 3, 4) and min(in_shape[:2]) > 4:
        raise ParameterError(
            f"X must hold images (n, C, H, W), got shape {shape}: the axis of channels is last. "
            "Move it with X.transpose(0, 3, 1, 2)."
        )


def learner_arguments(learner: type[MetaLearner], parameters: dict[str, Any]) -> dict[str, Any]:
    """Pick the learner's own hyper-parameters out of an estimator's."""
    names = set(inspect.signature(learner).parameters) - {"backbone"}
    return {name: value for name, value in parameters.items() if name in names}


def build_learner(build: dict[str, Any], learner: type[MetaLearner]) -> MetaLearner:
    """Build a learner from a record of what it is built with."""
    body = clone(build["backbone"]).build(tuple(build["in_shape"]))
    built = learner(
        body,
        build["n_outputs"],
        kind=build["kind"],
        private_labels=build["private_labels"],
        n_pool_classes=build["n_pool_classes"],
        **build["arguments"],
    )
    # Learners put it where they like: it is found again by this name, in copies too.
    built.backbone_name = next((name for name, m in built.named_modules() if m is body), None)
    return built


def in_blocks(X: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Cut rows into chunks padded to whole blocks, each with its number of real rows."""
    size = _STACK_VALUES // row_cost(tuple(X.shape[1:])) // _ROW_BLOCK * _ROW_BLOCK
    size = min(max(size, _ROW_BLOCK), _CHUNK)
    for start in range(0, len(X), size):
        rows = X[start : start + size]
        missing = -len(rows) % _ROW_BLOCK
        padding = rows.new_zeros(missing, *rows.shape[1:])
        yield (torch.cat([rows, padding]) if missing else rows), len(rows)


def row_cost(in_shape: tuple[int, ...]) -> int:
    """Return roughly how many values a row becomes inside the network.

    64 is the width of the default networks, which a convolution has at every pixel, and a set at
    every element.
    """
    values = int(np.prod(in_shape))
    return 64 * values // min(in_shape) if len(in_shape) > 1 else max(values, 64)


def stacks_of_tasks(
    sizes: Array, widths: Array, row_values: int, device: str, *, equal_sizes: bool = False
) -> Iterator[Array]:
    """Group tasks of similar size and equal target width into stacks of bounded memory.

    With `equal_sizes` no task is padded, for networks in which padding would count.
    """
    order = np.lexsort((sizes, widths))
    most = _STACK_TASKS_ON_CPU if torch.device(device).type == "cpu" else _STACK_TASKS
    start = 0
    for stop in range(1, len(order) + 1):
        stack = order[start:stop]
        if stop < len(order):
            following = order[stop]
            fits = (len(stack) + 1) * sizes[following] * row_values <= _STACK_VALUES
            alike = sizes[following] <= (
                sizes[stack[0]] if equal_sizes else 2 * sizes[stack[0]] + 8
            )
            same = widths[following] == widths[stack[0]]
            if fits and alike and same and len(stack) < most:
                continue
        yield stack
        start = stop


def plain_history(net: Any) -> list[dict[str, Any]]:
    """Return the losses of each epoch, without skorch's record of each step."""
    rows = net.history.to_list()
    return [{key: row[key] for key in row if key != "batches"} for row in rows]


def to_arrays(state: Adapted) -> dict[str, Array]:
    """Return tensors as arrays, which any format can store."""
    return {name: value.detach().cpu().numpy() for name, value in state.items()}


def from_arrays(arrays: dict[str, Array], device: str) -> Adapted:
    """Return arrays as tensors on a device, doubles as singles where it has no doubles."""
    precise = solve_dtype(torch.device(device))
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}
    return {
        name: (value.to(precise) if value.dtype == torch.float64 else value).to(device)
        for name, value in tensors.items()
    }
