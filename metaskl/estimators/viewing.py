"""Several views of each image when adapting and predicting: test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from metaskl.errors import ParameterError
from metaskl.tasks import RandomAffine


class Viewing:
    """What an estimator with `test_views` does with rows; without, rows are taken as they are."""

    test_views: int
    in_shape_: tuple[int, ...]
    augment_: Sequence[Any]

    def _views(self, X: Tensor) -> Iterator[Tensor]:
        """Give each view of rows (..., C, H, W), then the rows themselves."""
        check_views(self)
        if self.test_views:
            yield from self._movement().views(X, self.test_views)
        yield X

    def _mean_over_views(self, function: Callable[[Tensor], Tensor], X: Tensor) -> Tensor:
        """Return the mean of what a function says of rows and of each view of them."""
        found = [function(view) for view in self._views(X)]
        return torch.stack(found).mean(0) if len(found) > 1 else found[0]

    def _support_views(self, X: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Return a stack of supports with the views before the rows, labelled alike.

        What is presented last is remembered best: of a long support a memory loses views first.
        """
        rows = list(self._views(X))
        if len(rows) == 1:
            return X, y, weight
        return torch.cat(rows, 1), y.repeat(1, len(rows), 1), weight.repeat(1, len(rows))

    def _movement(self) -> RandomAffine:
        """Return how the training's images were moved; if they were not, the defaults."""
        moved = [change for change in self.augment_ if isinstance(change, RandomAffine)]
        return moved[0] if moved else RandomAffine()


def check_views(estimator: Any) -> None:
    """Raise if the number of views is none, or views are asked of rows that are no images."""
    n_views = estimator.test_views
    if (
        not isinstance(n_views, Integral)
        or isinstance(n_views, bool)
        or n_views < 0
        or n_views == 1
    ):
        raise ParameterError(
            f"test_views must be 0 or a whole number of at least 2, got {n_views!r}. Give 0 to "
            "adapt to and predict each row as it is; one view would be the image itself."
        )
    if n_views and len(estimator.in_shape_) != 3:
        raise ParameterError(
            f"test_views={n_views} needs images (n, C, H, W), got rows of shape "
            f"{estimator.in_shape_}. Set test_views=0."
        )
