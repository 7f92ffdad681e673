"""A skorch net whose batches are episodes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import torch
from skorch import NeuralNet
from torch import nn

from metaskl.backbones import EpisodeDropout, episode_masks
from metaskl.errors import DivergenceError
from metaskl.learners.base import padding_of
from metaskl.tasks import Episode, EpisodeSampler

# A loss that grew this many times over the first epoch's is not coming back.
_EXPLODED = 1e4


class StopTraining(Exception):
    """Raised by a callback to end meta-training as planned."""


class Interrupted(BaseException):
    """Ctrl-C: skorch swallows KeyboardInterrupt, so it travels under this name."""


class Episodes:
    """As many draws from a sampler as an epoch has steps."""

    def __init__(self, sampler: EpisodeSampler, n_steps: int) -> None:
        self.sampler = sampler
        self.n_steps = n_steps

    def __iter__(self) -> Iterator[Episode]:
        yield from self.sampler.stream(self.n_steps)

    def __len__(self) -> int:
        return self.n_steps


class MetaNet(NeuralNet):  # type: ignore[misc]
    """skorch's loop over episodes: the module is a learner, a batch a stack of episodes.

    skorch's optimiser, callbacks, history and device handling are used as they are. What is
    changed: data are episode samplers, losses are kept on the device until the epoch ends,
    Ctrl-C is not swallowed, and a diverging loss ends with an error.

    Parameters
    ----------
    module : MetaLearner
        The learner to meta-train.
    steps_per_epoch : int
        Outer steps in an epoch.
    gradient_clip : float or None
        Largest norm of the outer gradient.
    precision : {"float32", "bfloat16"}
        Arithmetic of the forward pass (autocast).
    validation : sequence of Episode
        Fixed meta-validation episodes; may be empty.
    advice : str
        What to lower when the loss diverges.
    **net
        Parameters of skorch's net.
    """

    # Those of earlier calls, which count in `max_epochs`.
    earlier_epochs = 0
    # Known when training begins.
    steps_at_once_ = False
    drops_units_ = False

    def __init__(
        self,
        module: nn.Module,
        *,
        steps_per_epoch: int = 100,
        gradient_clip: float | None = None,
        precision: str = "float32",
        validation: tuple[Episode, ...] = (),
        advice: str = "Lower outer_lr.",
        **net: Any,
    ) -> None:
        super().__init__(module, criterion=nn.Identity, train_split=None, **net)
        self.steps_per_epoch = steps_per_epoch
        self.gradient_clip = gradient_clip
        self.precision = precision
        self.validation = validation
        self.advice = advice

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy in memory; skorch would pickle the module, which a local class forbids."""
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def get_split_datasets(self, X: EpisodeSampler, y: Any = None, **split: Any) -> Any:
        """Return the sampler and the fixed meta-validation episodes: split by task, earlier."""
        del y, split
        return X, self.validation or None

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """Return the optimiser's groups: what weight decay leaves alone is one of its own."""
        (groups,), settings = super().get_params_for_optimizer(prefix, named_parameters)
        if settings.get("weight_decay"):
            groups = list(_by_decay(groups, self.module_.undecayed()))
        return (groups,), settings

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return an epoch's episodes."""
        return Episodes(dataset, self.steps_per_epoch) if training else dataset

    def train_step(self, batch: Episode, **fit_params: Any) -> dict[str, Any]:
        """Take an outer step: at once, if the learner has a way of its own to do so."""
        with episode_masks(self.module_) if self.drops_units_ else nullcontext():
            step = self._step(batch, **fit_params)
        self.module_.after_step()
        return step

    def _step(self, batch: Episode, **fit_params: Any) -> dict[str, Any]:
        """Take an outer step, but for what follows it."""
        if self.steps_at_once_:
            loss = self.module_.outer_step(batch, self.optimizer_, self.gradient_clip)
            if loss is not None:
                self._refuse_divergence(float(loss), math.inf)
                return {"loss": loss, "y_pred": None}
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        return step

    def train_step_single(self, batch: Episode, **fit_params: Any) -> dict[str, Any]:
        """Take the gradient of the outer loss on one stack of episodes."""
        del fit_params
        if not self.module_.training:
            self._set_training(True)
        with self._autocast(), padding_of(batch):
            loss = self.module_.episode_loss(batch)
        if loss.device.type == "cpu":  # elsewhere reading it would wait for the device
            self._refuse_divergence(float(loss.detach()), math.inf)
        loss.backward()
        if self.gradient_clip is not None:
            self._clip(self.gradient_clip, wait=loss.device.type == "cpu")
        return {"loss": loss, "y_pred": None}

    def _clip(self, limit: float, *, wait: bool) -> None:
        """Shorten the outer gradient to a limit; where one need not wait, look first if it must."""
        # Of the optimiser, without a walk through the modules.
        learned = [p for group in self.optimizer_.param_groups for p in group["params"]]
        gradients = [p.grad for p in learned if p.grad is not None]
        # Torch's own choice on a CPU is one call for each parameter.
        norm = nn.utils.get_total_norm(gradients, foreach=True if wait else None)
        if not (wait and float(norm) <= limit):
            nn.utils.clip_grads_with_norm_(learned, limit, norm, foreach=True if wait else None)

    def validation_step(self, batch: Episode, **fit_params: Any) -> dict[str, Any]:
        """Return the loss of one stack of meta-validation episodes."""
        del fit_params
        self._set_training(False)
        with torch.no_grad(), self._autocast(), padding_of(batch):
            loss = self.module_.validation_loss(batch)
        return {"loss": loss, "y_pred": None}

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Run an epoch, with one read of the loss from the device at its end."""
        if iterator is None:
            return
        losses = []
        self._set_training(training)  # all parts: a backbone may come in evaluation mode
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            self.notify("on_batch_end", batch=batch, training=training, **step)
        mean = float(torch.stack(losses).mean())
        if training:
            first = self.history[0].get("train_loss", mean)
            self._refuse_divergence(mean, _EXPLODED * (1.0 + abs(first)))
        else:
            self._refuse_divergence(mean, math.inf)
        self.history.record(f"{prefix}_loss", mean)

    def on_train_begin(self, net: Any, **kw: Any) -> None:
        """Tell the learner how long training is planned to be."""
        super().on_train_begin(net, **kw)
        # As planned, not as left: a fit that is resumed shall be taken as it was begun.
        n_epochs = self.max_epochs - self.earlier_epochs
        self.module_.begin_training(n_epochs * self.steps_per_epoch)
        self._set_training(True)  # a new module says that it is, a part that is held is not
        self.drops_units_ = any(isinstance(m, EpisodeDropout) for m in self.module_.modules())
        self.steps_at_once_ = self._only_the_optimizer_wants_gradients()

    def _only_the_optimizer_wants_gradients(self) -> bool:
        """Say whether a step may be taken as a whole: no callback or subclass looks inside."""
        ours = all(
            type(callback).__module__.startswith("metaskl.") for _, callback in self.callbacks_
        )
        seen = ("train_step_single", "on_grad_computed")
        same = all(getattr(type(self), name) is getattr(MetaNet, name) for name in seen)
        on_cpu = torch.device(self.device).type == "cpu"
        return ours and same and on_cpu and isinstance(self._autocast(), nullcontext)

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Tell the learner how far training is: counted from the history, so also resumed."""
        super().on_epoch_begin(net, **kw)
        self.module_.begin_epoch(len(self.history) - 1)

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kw: Any
    ) -> None:
        """Record nothing: skorch would keep a dictionary for every step."""

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> Any:
        """Run the epochs, telling a planned stop from Ctrl-C."""
        try:
            return super().fit_loop(X, y, epochs=epochs, **fit_params)
        except StopTraining:
            return self
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; one that ends training after an epoch is obeyed once all ran."""
        if method_name != "on_epoch_end":
            super().notify(method_name, **cb_kwargs)
            return
        stop = False
        for callback in [self, *(callback for _, callback in self.callbacks_)]:
            try:
                callback.on_epoch_end(self, **cb_kwargs)
            except StopTraining:
                stop = True
            except KeyboardInterrupt:
                # It is how skorch's own EarlyStopping stops; ours never do, so there it is Ctrl-C.
                if type(callback).__module__.startswith("metaskl."):
                    raise
                stop = True
        if stop:
            raise StopTraining

    def refuse_lost_weights(self) -> None:
        """Raise if the last outer step, which no loss has seen, left weights without a value."""
        if all(bool(weight.isfinite().all()) for weight in self.module_.parameters()):
            return
        raise DivergenceError(
            f"meta-training diverged: after epoch {len(self.history)} there are weights that are "
            f"infinite or not a number. {self.advice}"
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = torch.device(self.device).type
        if self.precision == "float32" and not torch.is_autocast_enabled(kind):
            return nullcontext()  # the same, in less time
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _refuse_divergence(self, loss: float, limit: float) -> None:
        """Raise if a loss is not a number or beyond the limit."""
        if math.isfinite(loss) and loss <= limit:
            return
        first = self.history[0].get("train_loss")
        began = "" if first is None else f", from {first:.3g} in the first"
        raise DivergenceError(
            f"meta-training diverged: the outer loss is {loss:.3g} in epoch "
            f"{len(self.history)}{began}. {self.advice}"
        )


def _by_decay(
    groups: list[dict[str, Any]], undecayed: list[nn.Parameter]
) -> Iterator[dict[str, Any]]:
    """Split groups of an optimiser; one that was given a decay of its own stays as it is."""
    apart = {*map(id, undecayed)}
    for group in groups:
        weights = [p for p in group["params"] if id(p) not in apart]
        others = [p for p in group["params"] if id(p) in apart]
        if "weight_decay" in group or not others:
            yield group
            continue
        if weights:
            yield {**group, "params": weights}
        yield {**group, "params": others, "weight_decay": 0.0}
