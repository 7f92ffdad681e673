"""Adapting to 1,000 tasks at once, and to one."""

import functools
import statistics
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch.overrides import TorchFunctionMode

from metaskl import CNPRegressor, MAMLRegressor, RidgeHeadRegressor
from speed.options import Options
from speed.timing import Row, interleaved, show, table

N_FEATURES = 8
FEW = {"max_epochs": 1, "steps_per_epoch": 3, "random_state": 0}
_PRODUCTS = (torch.bmm, torch.baddbmm)


def data(n_tasks: int, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, targets and task ids of linear tasks."""
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_tasks), sizes)
    X = draw.normal(size=(len(groups), N_FEATURES))
    return X, X[:, 0] * draw.normal(size=n_tasks)[groups], groups


class Products(TorchFunctionMode):
    """Takes note of the batched products that are called, to call them again alone."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[tuple[Any, list[tuple[Any, Any]]]] = []
        self.flops = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in _PRODUCTS:
            a, b = args[-2:]
            self.flops += 2 * a.numel() * b.shape[-1]
            self.called.append((function, [(t.shape, t.stride()) for t in args]))
        return function(*args, **(kwargs or {}))

    def replay(self) -> None:
        """Call the products alone, on numbers of their shapes."""
        for function, forms in self.called:
            function(*(_numbers(*form) for form in forms))


@functools.cache
def _numbers(shape: Any, stride: Any) -> torch.Tensor:
    last = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    return torch.randn(last + 1).as_strided(shape, stride)  # a stride may be 0


def adapting(options: Options) -> None:
    """Adapting to 1,000 tasks of 5 to 50 rows, and what the matrix products of it take."""
    n_tasks = 50 if options.quick else 1000
    X, y, groups = data(n_tasks, np.random.default_rng(0).integers(5, 51, n_tasks))
    plain = MAMLRegressor(engine="loop", **FEW).fit(X, y, groups=groups)
    meta = MAMLRegressor(**FEW).fit(X, y, groups=groups)
    rows = [np.flatnonzero(groups == task) for task in range(n_tasks)]
    check(plain, meta, X, y, groups)
    with Products() as products:
        meta.adapt_groups(X, y, groups)
    timed = [
        Row("one by one, engine='loop'", lambda: [plain.adapt(X[r], y[r]) for r in rows]),
        Row("one by one", lambda: [meta.adapt(X[r], y[r]) for r in rows]),
        Row("adapt_groups", lambda: meta.adapt_groups(X, y, groups)),
        Row("its matrix products alone", products.replay),
    ]
    times = interleaved(timed, options.rounds(10))
    show(table(f"{n_tasks} tasks of 5 to 50 rows, MLP 8-64-64-1, 5 steps", times, "in all"))
    alone = statistics.median(times["its matrix products alone"])
    share = alone / statistics.median(times["adapt_groups"])
    rate = products.flops / alone / 1e9
    show(
        f"The products, of {products.flops / 1e9:.2f} · 10⁹ operations, run at {rate:.1f} · 10⁹ a "
        f"second at these shapes: {share:.0%} of adapt_groups is arithmetic that cannot be saved."
    )


def check(plain: Any, meta: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> None:
    """Raise unless adapting together gives what adapting one by one gives (in float32)."""
    together = meta.adapt_groups(X, y, groups)
    for task in (0, int(groups[-1])):
        own = groups == task
        for alone in (plain.adapt(X[own], y[own]), meta.adapt(X[own], y[own])):
            expected = alone.predict(X[own])
            np.testing.assert_allclose(together[task].predict(X[own]), expected, 1e-3, 1e-4)


def predicting(options: Options) -> None:
    """Adapting to one new task of 5 rows and predicting 5, against fitting a Ridge."""
    X, y, groups = data(20, np.full(20, 20))
    timed = [Row("scikit-learn's Ridge: fit, predict", lambda: Ridge().fit(*new).predict(query))]
    new, query = (X[:5], y[:5]), X[5:10]
    for kind in (MAMLRegressor, RidgeHeadRegressor, CNPRegressor):
        meta = kind(**FEW).fit(X, y, groups=groups)
        name = f"{kind.__name__}: adapt, predict"
        timed.append(Row(name, lambda m=meta: m.adapt(*new).predict(query)))
    times = interleaved(timed, options.rounds(20))
    show(table("One task of 5 rows of 8 features, 5 rows to predict", times, "in all"))
