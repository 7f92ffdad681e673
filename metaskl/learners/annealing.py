"""What of MAML's outer loss changes over the epochs of meta-training."""

from __future__ import annotations

from dataclasses import dataclass

from metaskl.errors import ParameterError


@dataclass(frozen=True)
class Annealing:
    """The order of the outer gradient, and which inner steps it counts, by the epoch [1]_.

    Parameters
    ----------
    first_order : bool, default=False
        Whether the inner gradients are constants in every epoch.
    first_order_epochs : int, default=0
        So many epochs of first order before second order begins, >= 0.
    multi_step_loss : bool, default=False
        Whether the loss after each inner step counts, not only the last.
    multi_step_epochs : int, optional
        The epochs, >= 1, over which its weight moves from all steps to the last; never, if None.

    Raises
    ------
    ParameterError
        If a number of epochs is out of its range.

    References
    ----------
    .. [1] A. Antoniou, H. Edwards, A. Storkey. How to Train Your MAML. ICLR 2019.

    Examples
    --------
    >>> from metaskl.learners.annealing import Annealing
    >>> annealing = Annealing(multi_step_loss=True, multi_step_epochs=4, first_order_epochs=1)
    >>> [annealing.step_weights(epoch, 2) for epoch in (0, 2, 4)]
    [[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]]
    >>> [annealing.second_order(epoch) for epoch in (0, 1)]
    [False, True]
    """

    first_order: bool = False
    first_order_epochs: int = 0
    multi_step_loss: bool = False
    multi_step_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.first_order_epochs < 0:
            raise ParameterError(
                f"first_order_epochs must be at least 0, got {self.first_order_epochs}. 0 is "
                "second order from the start."
            )
        if self.multi_step_epochs is not None and self.multi_step_epochs < 1:
            raise ParameterError(
                f"multi_step_epochs must be at least 1 or None, got {self.multi_step_epochs}. "
                "None keeps the weight on all steps; multi_step_loss=False puts it on the last."
            )

    def second_order(self, epoch: int) -> bool:
        """Say whether the inner gradients are differentiated in an epoch, counted from 0."""
        return not self.first_order and epoch >= self.first_order_epochs

    def step_weights(self, epoch: int, n_steps: int) -> list[float]:
        """Return how much the query loss after each inner step counts in an epoch."""
        done = min(epoch / self.multi_step_epochs, 1.0) if self.multi_step_epochs else 0.0
        each = (1.0 - done) / n_steps if self.multi_step_loss else 0.0
        return [each] * (n_steps - 1) + [1.0 - each * (n_steps - 1)]
