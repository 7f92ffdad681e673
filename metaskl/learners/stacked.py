"""Learners that are written for a stack of tasks at once."""

from __future__ import annotations

import abc

from torch import Tensor

from metaskl.learners.base import Adapted, MetaLearner, one_task, stack_of_one


class StackedLearner(MetaLearner, abc.ABC):
    """A learner whose subclass gives ``adapt_tasks`` and ``predict_tasks``: batched by hand.

    One task is a stack of one. The parameters are those of
    :class:`~metaskl.learners.MetaLearner`.
    """

    def adapt(self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None) -> Adapted:
        """Learn one task from its support."""
        weight = None if weight is None else weight[None]
        return one_task(self.adapt_tasks(X_support[None], y_support[None], weight))

    def predict(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return targets or logits of shape (query, output) for the rows of one task."""
        return self.predict_tasks(stack_of_one(adapted), X_query[None])[0]

    @abc.abstractmethod
    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Learn a stack of tasks: as :meth:`adapt`, with a leading task axis everywhere."""

    @abc.abstractmethod
    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Predict a stack of tasks: as :meth:`predict`, with a leading task axis everywhere."""
