"""Several views of each image when adapting and predicting: test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        """Give the rows (..., C, H, W), then each view of them."""
        yield X
        if self.test_views:
            check_views(self)
            yield from self._movement().views(X, self.test_views)

    def _support_views(self, X: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Return a stack of supports with the views of each row behind the rows, labelled alike."""
        copies = 1 + self.test_views
        return torch.cat(list(self._views(X)), 1), y.repeat(1, copies, 1), weight.repeat(1, copies)

    def _movement(self) -> RandomAffine:
        """Return how the training's images were moved; if they were not, the defaults."""
        moved = [change for change in self.augment_ if isinstance(change, RandomAffine)]
        return moved[0] if moved else RandomAffine()


def check_views(estimator: Any) -> None:
    """Raise if views are asked of rows that are no images."""
    if estimator.test_views and len(estimator.in_shape_) != 3:
        raise ParameterError(
            f"test_views={estimator.test_views} needs images (n, C, H, W), got rows of shape "
            f"{estimator.in_shape_}. Set test_views=0."
        )
