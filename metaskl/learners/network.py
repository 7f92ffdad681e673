"""A backbone with a linear head, run by one set of weights a task."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from metaskl.errors import BackboneError
from metaskl.learners.base import Adapted, embed_tasks

Module = TypeVar("Module", bound=nn.Module)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Network(nn.Module):
    """Backbone and head.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Outputs of the head.
    engine : str, default="auto"
        ``"loop"`` runs one task after the other; ``"vmap"`` all at once, also where a loop is
        known to be faster.
    zero_head : bool, default=False
        Whether the head starts, and `zero` leaves it, at zero.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        engine: str = "auto",
        zero_head: bool = False,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.zero_head = zero_head
        self.body = backbone
        self.head = nn.Linear(int(backbone.n_features_out), n_outputs)  # type: ignore[arg-type]
        self.zero()
        # Per-task weights of a convolution would become a grouped convolution under vmap, which
        # was measured slower on a CPU than one plain convolution a task.
        self.loop_tasks = any(isinstance(module, _CONVOLUTIONS) for module in backbone.modules())
        # Weights that are computed (weight_norm) have other names and another order.
        self.parametrized = any(is_parametrized(module) for module in backbone.modules())

    @torch.no_grad()
    def zero(self) -> None:
        """Bring the head back to zero, if that is where it starts."""
        for parameter in self.head.parameters() if self.zero_head else ():
            parameter.zero_()

    def with_outputs(self, n_outputs: int) -> Network:
        """Return the network with a head of zeros for so many outputs; the body is shared."""
        other, like = sharing(self), self.head.weight
        # Without numbers drawn for it: adapting leaves the random state alone.
        other.head = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, like.shape[1], n_outputs, dtype=like.dtype, device=like.device
        )
        other.zero()
        return other

    def forward(self, X: Tensor) -> Tensor:
        """Map (row, *feature) to (row, output) by the module's own weights."""
        output: Tensor = self.head(self.body(X))
        return output

    def forward_tasks(self, parameters: Adapted, X: Tensor) -> Tensor:
        """Map (task, row, *feature) to (task, row, output).

        `parameters` maps names (``body.…``, ``head.…``) to tensors with a leading task axis;
        parameters that are not in it are the module's own.
        """
        if self.engine == "loop":
            return _task_by_task(self, parameters, X)
        body = {n.removeprefix("body."): p for n, p in parameters.items() if n.startswith("body.")}
        features = self._body_tasks(body, X) if body else embed_tasks(self.body, X)
        return self.head_tasks(parameters, features)

    def head_tasks(self, parameters: Adapted, features: Tensor) -> Tensor:
        """Map what the body gives, (task, row, embedding), to (task, row, output)."""
        if "head.weight" in parameters:
            weight, bias = parameters["head.weight"], parameters["head.bias"]
            return torch.baddbmm(bias.unsqueeze(1), features, weight.transpose(1, 2))
        output: Tensor = self.head(features)
        return output

    def _body_tasks(self, parameters: Adapted, X: Tensor) -> Tensor:
        n_tasks = len(X)
        own = {
            name: value.expand(n_tasks, *value.shape)
            for name, value in self.body.named_parameters()
            if name not in parameters
        }
        parameters = {**own, **parameters}
        if hasattr(self.body, "forward_tasks") and not self.parametrized:
            features: Tensor = self.body.forward_tasks(parameters, X)  # type: ignore[operator]
            return features
        if self.loop_tasks and X.device.type == "cpu" and self.engine != "vmap":
            return _task_by_task(self.body, parameters, X)

        def forward(p: Adapted, rows: Tensor) -> Tensor:
            output: Tensor = torch.func.functional_call(self.body, p, (rows,))
            return output

        mapped: Tensor = torch.func.vmap(forward, randomness="different")(parameters, X)
        return mapped


def sharing(module: Module) -> Module:
    """Return a module with the same parts, of which some can be replaced in it alone.

    Those that are not replaced, and buffers and hooks, are the module's own: do not train it.
    """
    other = copy.copy(module)
    other._modules, other._parameters = dict(module._modules), dict(module._parameters)
    return other


def _task_by_task(module: nn.Module, parameters: Adapted, X: Tensor) -> Tensor:
    """Run a module on each task with its own weights."""
    # Unbound at once: going back through an index would make a whole stack for each task.
    stacks = [stack.unbind() for stack in parameters.values()]
    found = []
    for rows, *own in zip(X.unbind(), *stacks, strict=True):
        weights = dict(zip(parameters, own, strict=True))
        found.append(torch.func.functional_call(module, weights, (rows,)))
    return torch.stack(found)


def refuse_running_statistics(backbone: nn.Module, learner: str) -> None:
    """Raise if the network holds statistics that adaptation would overwrite."""
    for name, module in backbone.named_modules():
        if getattr(module, "running_mean", None) is not None:
            raise BackboneError(
                f"backbone must not keep running statistics where {learner} adapts its weights, "
                f"got {type(module).__name__} at {name!r}: one task would change another's "
                "predictions. Use norm='group' (Conv4) or a layer with "
                "track_running_stats=False."
            )
