"""Every private or experimental import, and every process-wide switch, in one place."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

# The base of all searches, HalvingGridSearchCV among them, has no public name.
from sklearn.model_selection._search import BaseSearchCV as BaseSearchCV

# scikit-learn's printer knows an estimator by its __repr__.
from sklearn.utils._pprint import _EstimatorPrettyPrinter
from threadpoolctl import threadpool_limits
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

Repr = TypeVar("Repr", bound=Callable[..., str])


def print_as_estimator(representation: Repr) -> Repr:
    """Let a class with this ``__repr__`` of its own be wrapped and indented as estimators are."""
    _EstimatorPrettyPrinter._dispatch[representation] = _EstimatorPrettyPrinter._pprint_estimator
    return representation


def compile_graph(
    function: Callable[[list[torch.Tensor]], list[torch.Tensor | None]],
    tensors: list[torch.Tensor],
) -> Callable[[list[torch.Tensor]], list[torch.Tensor | None]]:
    """Compile a function of tensors for their shapes; its only effects are on these.

    It is traced to a graph of torch's own operations, which may hold derivatives of any order,
    and that is compiled without the checks that ``torch.compile`` puts around every call. What
    was compiled in an earlier run is taken from torch's cache on the disk.
    """
    # Only here: they take a second to import.
    import torch._inductor
    from torch._guards import TracingContext, tracing
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    given: list[bool] = []

    def traced(*inputs: torch.Tensor) -> list[torch.Tensor]:
        outputs = function(list(inputs))
        given[:] = [output is not None for output in outputs]
        return [output for output in outputs if output is not None]

    own: list[Any] = [tensor.clone() for tensor in tensors]  # so that no two inputs share memory
    # One thread: a pool of compiling processes would outlive the call.
    settings = torch._inductor.config.patch(compile_threads=1)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), settings:
        warnings.simplefilter("ignore")
        graph = make_fx(traced)(*own)
        # Shapes are fixed, but without a record of them torch passes its cache of graphs by.
        shapes = FakeTensorMode(
            allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True
        )
        with tracing(TracingContext(shapes)):
            compiled = torch._inductor.compile(graph, own)
        compiled(*own)  # compiles, or fails, here and not later

    def call(inputs: list[torch.Tensor]) -> list[torch.Tensor | None]:
        outputs = iter(compiled(*inputs))
        return [next(outputs) if there else None for there in given]

    return call


def hooked(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether something is to be called with a gradient, or before or after a step."""
    of_steps = (
        _global_optimizer_pre_hooks,
        _global_optimizer_post_hooks,
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
    )
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return any(of_steps) or any(
        weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in weights
    )


@torch.no_grad()
def fused_adam(
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    means: list[torch.Tensor],
    squares: list[torch.Tensor],
    steps: list[torch.Tensor],
    *,
    decoupled: bool,
) -> None:
    """Change a group's weights and their state as a fused Adam does once its steps are counted."""
    optimizer._opt_called = True  # type: ignore[attr-defined] # torch's schedules of rates ask
    update = torch._fused_adamw_ if decoupled else torch._fused_adam_
    beta1, beta2 = group["betas"]
    gradients = [weight.grad for weight in group["params"]]
    how = {name: group[name] for name in ("lr", "weight_decay", "eps")}
    how |= {"beta1": beta1, "beta2": beta2, "amsgrad": False, "maximize": False}
    update(group["params"], gradients, means, squares, [], steps, **how)


def swallows_errors() -> bool:
    """Say whether what called this function was called by scikit-learn to get a score.

    Unless ``error_score="raise"`` it turns a scorer's errors into nan. A score that is no number
    is the only thing that it refuses.
    """
    frame = sys._getframe(2)
    name, held = frame.f_globals.get("__name__"), frame.f_locals
    if name == "sklearn.metrics._scorer":  # of several scores, or of cross_val_score
        return not getattr(held.get("self"), "_raise_exc", True)
    return (
        name == "sklearn.model_selection._validation"
        and held.get("error_score", "raise") != "raise"
    )


class _ThreadLimits:
    """Who limits torch's CPU threads at the moment, in which Python thread.

    Torch's setting is partly the process's and partly each thread's own: a thread that starts
    inside another's limit inherits it. So what to restore is what was found when nobody
    limited anything, but for a limit within a limit.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.active = 0
        self.unlimited = 0
        self.own = threading.local()

    def enter(self, n_threads: int) -> None:
        """Set a limit, and remember what was there before."""
        with self.lock:
            if self.active == 0:
                self.unlimited = torch.get_num_threads()
            self.active += 1
            stack = self.own.__dict__.setdefault("limits", [])
            stack.append(n_threads)
            torch.set_num_threads(n_threads)

    def leave(self) -> None:
        """Set the limit around this one again, or none."""
        with self.lock:
            self.active -= 1
            stack = self.own.limits
            stack.pop()
            torch.set_num_threads(stack[-1] if stack else self.unlimited)


_LIMITS = _ThreadLimits()


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Limit torch's CPU threads for a while; None leaves them as they are.

    Two threads on busy cores were measured 20 times slower than one on the small matrices
    of meta-learning, so the library runs on one unless told otherwise. Python threads may hold
    different limits at once: when the last has left, the number is what it was before the first.
    While they overlap, MKL's part of the setting is that of the last to enter or leave, which
    changes the speed and no result.
    """
    if n_threads is None:
        yield
        return
    _LIMITS.enter(n_threads)
    try:
        yield
    finally:
        _LIMITS.leave()


# From so many rows on, more threads may pay for themselves.
_MANY_ROWS = 10_000


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Keep native code (OpenMP, BLAS) to one thread for a while, unless the rows are many.

    A team of threads that is woken hundreds of times for a few rows costs more than it brings:
    histogram gradient boosting on tasks of ten rows had not finished on two busy cores after a
    hundred times the seconds that it takes on one.
    """
    if n_rows >= _MANY_ROWS:
        yield
        return
    with threadpool_limits(limits=1):
        yield
