"""Meta-train a learner by a plan: the loop with its callbacks, seeds, threads and device."""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from skorch.callbacks import EarlyStopping, LRScheduler

from metaskl._compat import limit_threads
from metaskl.errors import ParameterError, did_you_mean
from metaskl.learners import MetaLearner
from metaskl.tasks import Episode, EpisodeSampler
from metaskl.training.callbacks import BestOnValidation, CosineRate, ShowProgress, StopWhenExhausted
from metaskl.training.checkpoint import FullCheckpoint
from metaskl.training.net import Interrupted, MetaNet

_OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


# Those with one kernel for all parameters: a step of Adam over 12 small ones takes a third.
_FUSED = ("adam", "adamw", "sgd")
_SEEDING = threading.RLock()


@dataclass
class TrainingPlan:
    """How to meta-train.

    Attributes
    ----------
    outer_lr, optimizer, weight_decay, gradient_clip
        The outer step.
    max_epochs, steps_per_epoch, lr_schedule
        How long, and how the rate falls (``"constant"`` or ``"cosine"``).
    validation : tuple of Episode
        Fixed meta-validation episodes; with them the best weights are kept.
    patience : int or None
        Epochs without improvement before stopping.
    device, precision, n_threads, seed
        Where, in which arithmetic, on how many CPU threads, from which seed.
    checkpoint, identity
        File to write and resume from, and the fingerprint of the fit.
    callbacks, net_params
        More skorch callbacks; more arguments of the skorch net.
    verbose, name, advice
        Progress bar, its title, and what to say when the loss diverges.
    """

    outer_lr: float = 1e-3
    optimizer: str | type[torch.optim.Optimizer] = "adam"
    weight_decay: float = 0.0
    gradient_clip: float | None = 10.0
    max_epochs: int = 20
    steps_per_epoch: int = 100
    lr_schedule: str = "constant"
    validation: tuple[Episode, ...] = ()
    patience: int | None = None
    device: str = "cpu"
    precision: str = "float32"
    n_threads: int | None = 1
    seed: int = 0
    checkpoint: Any = None
    identity: dict[str, str] = field(default_factory=dict)
    callbacks: list[Any] = field(default_factory=list)
    net_params: dict[str, Any] = field(default_factory=dict)
    verbose: int = 0
    name: str = "meta-train"
    advice: str = "Lower outer_lr."


def meta_train(
    learner: MetaLearner, sampler: EpisodeSampler, plan: TrainingPlan, *, net: MetaNet | None = None
) -> MetaNet:
    """Meta-train a learner.

    Parameters
    ----------
    learner : MetaLearner
        The module; it is changed in place and moved to the plan's device.
    sampler : EpisodeSampler
        The source of meta-training episodes.
    plan : TrainingPlan
        How to train.
    net : MetaNet, optional
        An earlier net whose optimiser and history go on; it is left as it is.

    Returns
    -------
    MetaNet
        The net, whose ``module_`` is the learner and whose ``history`` holds the losses.

    Raises
    ------
    DivergenceError
        If the loss or a weight becomes infinite or not a number, or the loss explodes.
    CheckpointError
        If the checkpoint cannot be written or belongs to another fit.
    """
    best = BestOnValidation(plan.patience) if plan.validation else None
    stateful = {} if best is None else {"best": best}
    checkpoint = None
    if plan.checkpoint is not None:
        checkpoint = FullCheckpoint(plan.checkpoint, sampler, plan.identity, stateful)
        checkpoint.require_writable()
    earlier = 0 if net is None else len(net.history)
    net = new_net(learner, plan) if net is None else _continued(net, learner, plan)
    net.validation, net.max_epochs = plan.validation, earlier + plan.max_epochs
    net.earlier_epochs = earlier
    net.callbacks = _callbacks(plan, best, checkpoint, earlier)
    with seeded(plan.seed), limit_threads(plan.n_threads):
        net.initialize_callbacks()
        if checkpoint is not None:
            checkpoint.resume(net)
        resumed_at_the_end = best is not None and len(net.history) > earlier and best.exhausted(net)
        if not resumed_at_the_end:
            _run(net, sampler)
        if best is not None:
            best.restore(net)
        net.refuse_lost_weights()
    # The net outlives the fit; the rows of the fit need not.
    net.validation = ()
    net.callbacks_ = [named for named in net.callbacks_ if named[1] is not checkpoint]
    net.callbacks = list(plan.callbacks)
    return net


def _run(net: MetaNet, sampler: EpisodeSampler) -> None:
    """Run the epochs that are still to do; Ctrl-C goes through."""
    try:
        net.partial_fit(sampler, epochs=max(net.max_epochs - len(net.history), 0))
    except Interrupted as interrupt:
        raise KeyboardInterrupt from interrupt


def _continued(net: MetaNet, learner: MetaLearner, plan: TrainingPlan) -> MetaNet:
    """Return a net for a copy of `net`'s learner, with a copy of its optimiser and history."""
    new = new_net(learner, plan)
    if type(new.optimizer_) is type(net.optimizer_):
        _take_up_optimizer(new, net)
    new.history_ = type(net.history)(copy.deepcopy(net.history.to_list()))
    return new


def _take_up_optimizer(new: MetaNet, net: MetaNet) -> None:
    """Take up an optimiser's state by name: its groups may differ, as the weight decay may."""
    names = {id(p): name for name, p in net.module_.named_parameters()}
    kept = {names[id(p)]: state for p, state in net.optimizer_.state.items() if id(p) in names}
    own = {id(p): name for name, p in new.module_.named_parameters()}
    learned = [own[id(p)] for group in new.optimizer_.param_groups for p in group["params"]]
    state = new.optimizer_.state_dict()
    state["state"] = {i: copy.deepcopy(kept[n]) for i, n in enumerate(learned) if n in kept}
    new.optimizer_.load_state_dict(state)


def _callbacks(
    plan: TrainingPlan,
    best: BestOnValidation | None,
    checkpoint: FullCheckpoint | None,
    earlier: int,
) -> list[Any]:
    """Return the callbacks in the order in which they must run."""
    callbacks: list[Any] = list(plan.callbacks)
    if checkpoint is not None:
        _refuse_unsaved_state(callbacks)
    if plan.lr_schedule == "cosine":
        callbacks.append(("cosine_rate", CosineRate(earlier, plan.max_epochs)))
    elif plan.lr_schedule != "constant":
        raise ParameterError(
            f"lr_schedule must be 'constant' or 'cosine', got {plan.lr_schedule!r}. For another "
            "one pass skorch's LRScheduler in callbacks."
        )
    if best is not None:
        callbacks.append(("best", best))
    if plan.verbose:
        callbacks.append(("progress", ShowProgress(plan.name)))
    if checkpoint is not None:
        callbacks.append(("checkpoint", checkpoint))
    if best is not None:
        callbacks.append(("stop", StopWhenExhausted(best)))
    return callbacks


def _refuse_unsaved_state(callbacks: list[Any]) -> None:
    """Raise if a resumed fit would differ because a callback of skorch's starts afresh."""
    instead = {LRScheduler: "lr_schedule='cosine'", EarlyStopping: "patience"}
    for callback in callbacks:
        callback = callback[1] if isinstance(callback, tuple) else callback
        for kind, replacement in instead.items():
            if isinstance(callback, kind):
                raise ParameterError(
                    f"callbacks must not hold an {kind.__name__} beside a checkpoint, which does "
                    f"not keep its state. Use {replacement}, or leave the checkpoint out."
                )


def new_net(learner: MetaLearner, plan: TrainingPlan) -> MetaNet:
    """Return the initialised net of a learner, not trained."""
    optimizer, fused = plan.optimizer, {}
    if isinstance(optimizer, str):
        if optimizer not in _OPTIMIZERS:
            raise ParameterError(
                f"optimizer must be one of {sorted(_OPTIMIZERS)} or a torch optimizer class, got "
                f"{optimizer!r}.{did_you_mean(optimizer, sorted(_OPTIMIZERS))}"
            )
        own = {"optimizer", "optimizer__foreach"} & {*plan.net_params}
        fused = {"optimizer__fused": True} if optimizer in _FUSED and not own else {}
        optimizer = _OPTIMIZERS[optimizer]
    arguments = {
        "optimizer": optimizer,
        **_decay(optimizer, plan.weight_decay),
        **fused,
        "lr": plan.outer_lr,
        "max_epochs": plan.max_epochs,
        "steps_per_epoch": plan.steps_per_epoch,
        "gradient_clip": plan.gradient_clip,
        "precision": plan.precision,
        "advice": plan.advice,
        "device": plan.device,
        "verbose": 0,
    }
    net: MetaNet = MetaNet(learner, **{**arguments, **plan.net_params})
    net.initialize()
    return net


def _decay(optimizer: type[torch.optim.Optimizer], weight_decay: float) -> dict[str, float]:
    """Return the weight decay as the net takes it; nothing for an optimiser that has none."""
    taken = inspect.signature(optimizer).parameters
    if "weight_decay" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return {"optimizer__weight_decay": weight_decay}
    if weight_decay:
        raise ParameterError(
            f"weight_decay must be 0 with {optimizer.__name__}, which has none, got "
            f"{weight_decay}. Take optimizer='adamw'."
        )
    return {}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for a while, leaving the process's own random state as it was found."""
    with _SEEDING:  # torch's random state is the process's: fits in threads take turns
        yield from _seeded(seed)


def _seeded(seed: int) -> Iterator[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
