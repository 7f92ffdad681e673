"""A head for classes of each task's own, which may start from zeros."""

from __future__ import annotations

import abc
from typing import Any, Self

from metaskl.learners.network import Network, sharing
from metaskl.learners.stacked import StackedLearner


class PrivateHead(StackedLearner, abc.ABC):
    """A learner with a network whose head, for private classes, may start from zeros [1]_.

    What the head says then comes of the support alone: how classes are numbered does not matter,
    and there may be any number of them.

    Parameters
    ----------
    *args
        As of :class:`~metaskl.learners.MetaLearner`.
    zero_head : bool
        Whether the head starts from zeros if classes are private, and is not learned.
    **kwargs
        As of :class:`~metaskl.learners.MetaLearner`.

    References
    ----------
    .. [1] C.-H. Kao, W.-C. Chiu, P.-Y. Chen. MAML is a Noisy Contrastive Learner in
       Classification. ICLR 2022.
    """

    fixed_ways: bool = True  # the head is part of the initialisation, if it is not zero
    network: Network

    def __init__(self, *args: Any, zero_head: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zero_head = zero_head and self.private_labels
        self.fixed_ways = not self.zero_head

    def after_step(self) -> None:
        """Bring the head back to zero, if that is where it starts.

        An outer step moves it as it moves any weight, and its gradient counts in the outer clip.
        All that it says is in which place of these episodes a class stood.
        """
        self.network.zero()

    def for_ways(self, n_ways: int) -> Self:
        """Return the learner with a head of zeros for so many classes; all else is shared."""
        if self.fixed_ways or n_ways == self.n_outputs:
            return self
        other = sharing(self)
        other.n_outputs = n_ways
        other.network = self.network.with_outputs(n_ways)
        return other
