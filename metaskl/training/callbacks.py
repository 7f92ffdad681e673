"""Callbacks of the loop: early stopping on meta-validation tasks, rate schedule, progress."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

from metaskl.progress import Progress
from metaskl.training.net import StopTraining


class BestOnValidation(Callback):  # type: ignore[misc]
    """Stop when the meta-validation loss has not improved for long, and keep the best weights.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement before stopping; None never stops early.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best = math.inf
        self.best_epoch = 0
        self.weights: dict[str, Any] = {}

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch's loss with the best."""
        loss, epoch = net.history[-1, "valid_loss"], len(net.history)
        if loss < self.best:
            self.best, self.best_epoch = loss, epoch
            self.weights = copy.deepcopy(net.module_.state_dict())
        net.history.record("valid_loss_best", self.best_epoch == epoch)

    def exhausted(self, net: Any) -> bool:
        """Say whether the patience is over."""
        return self.patience is not None and len(net.history) - self.best_epoch >= self.patience

    def restore(self, net: Any) -> None:
        """Put the best weights back."""
        if self.weights:
            net.module_.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.weights = state["weights"]


class StopWhenExhausted(Callback):  # type: ignore[misc]
    """End training when the patience is over: the last callback, so that all others ran."""

    def __init__(self, best: BestOnValidation) -> None:
        self.best = best

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Stop if the patience is over."""
        if self.best.exhausted(net):
            raise StopTraining


class CosineRate(Callback):  # type: ignore[misc]
    """Lower the outer rate along half a cosine, as a function of the epoch alone.

    Having no state of its own it needs none in a checkpoint. Groups of weights that were given
    a rate of their own begin with that.

    Parameters
    ----------
    earlier : int
        Epochs of earlier calls, which the schedule does not count.
    max_epochs : int
        Epochs of this call.
    """

    def __init__(self, earlier: int, max_epochs: int) -> None:
        self.earlier = earlier
        self.max_epochs = max_epochs

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set this epoch's rate."""
        done = min((len(net.history) - 1 - self.earlier) / max(self.max_epochs, 1), 1.0)
        learned = net.get_all_learnable_params()
        (begun,), settings = net.get_params_for_optimizer("optimizer", learned)
        start = settings.get("lr", net.lr)
        for group, own in zip(net.optimizer_.param_groups, begun, strict=False):
            group["lr"] = own.get("lr", start) * 0.5 * (1.0 + math.cos(math.pi * done))


class AfterEpoch(Callback):  # type: ignore[misc]
    """Tell somebody outside how far training is; what they raise ends it.

    Parameters
    ----------
    told : callable
        Called after each epoch with the net's history. It is shared by copies of the callback.
    """

    def __init__(self, told: Callable[[Any], None]) -> None:
        self.told = told

    def __deepcopy__(self, memo: dict[int, Any]) -> AfterEpoch:
        return self

    def __sklearn_clone__(self) -> AfterEpoch:
        return self

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Tell it."""
        self.told(net.history)


class ShowProgress(Callback):  # type: ignore[misc]
    """Show the epochs and their losses.

    Parameters
    ----------
    name : str
        What is being trained.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.progress: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin to count."""
        self.progress = Progress(net.max_epochs, self.name, "epoch", done=len(net.history))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count an epoch."""
        row = net.history[-1]
        losses = [f"{key} {row[key]:.4g}" for key in ("train_loss", "valid_loss") if key in row]
        self.progress.advance(", ".join(losses).replace("_", " "))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Say where it ended."""
        self.progress.close()
