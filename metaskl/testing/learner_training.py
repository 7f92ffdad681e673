"""The laws of meta-training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metaskl.learners import MetaLearner
from metaskl.testing.comparing import require_close
from metaskl.testing.trials import SIZES, Trial

_CUT = (
    "Look for what cuts the graph between it and the query's loss: .detach(), .data, .item(), "
    "torch.no_grad(), argmax, round, or a new torch.tensor(...) of a tensor."
)


class TrainingLaws:
    """The outer gradient is the one that the definition says, and it helps."""

    def test_the_outer_gradient_reaches_the_parameters(
        self, trials: list[Trial], without_gradient: frozenset[str]
    ) -> None:
        """All that require one, but those that `without_gradient` lists."""
        gradients = {trial.name: _outer_gradients(trial) for trial in trials}
        reached = {
            name: {n for n, g in found.items() if g is not None and bool((g != 0).any())}
            for name, found in gradients.items()
        }
        for name, found in gradients.items():
            assert reached[name], f"{name}: the outer gradient reaches no parameter. {_CUT}"
            missed = sorted(set(found) - reached[name] - without_gradient)
            assert not missed, (
                f"{name}: the outer gradient does not reach {missed}. "
                f"{_why_missed(missed, reached)} If it is meant, list the names in the fixture "
                "without_gradient, or set requires_grad_(False)."
            )
            endless = [n for n in sorted(reached[name]) if not bool(found[n].isfinite().all())]
            assert not endless, f"{name}: the outer gradient of {endless} is not finite"

    def test_the_meta_gradient_of_a_stack_is_the_mean_of_its_tasks(
        self, trials: list[Trial]
    ) -> None:
        """Against a plain loop over tasks without a task axis, where the loss is the usual one.

        A gradient taken over mapped gradients is silently wrong with norm layers.
        """
        for trial in trials:
            found = _gradients(trial, lambda learner, t=trial: learner.episode_loss(t.episode()))
            expected = _gradients(trial, lambda learner, t=trial: _loss_one_by_one(learner, t))
            assert set(found) == set(expected), f"{trial.name}: other parameters are reached"
            for name, value in expected.items():
                require_close(found[name], value, f"{trial.name}, meta-gradient of {name!r}")

    def test_meta_training_lowers_the_outer_loss(self, trials: list[Trial]) -> None:
        """A few steps down the outer gradient of one episode stack."""
        for trial in trials:
            learner = trial.learner().train()
            trained = [p for p in learner.parameters() if p.requires_grad]
            optimizer = torch.optim.Adam(trained, lr=3e-3)
            losses = []
            for _ in range(12):
                loss = learner.episode_loss(trial.episode())
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                learner.after_step()
                losses.append(float(loss.detach()))
            assert losses[-1] < losses[0], f"{trial.name}: {losses[0]} rose to {losses[-1]}"

    def test_the_validation_loss_is_a_number(self, trials: list[Trial]) -> None:
        """One finite number, without a graph where gradients are off."""
        for trial in trials:
            with torch.no_grad():
                loss = trial.learner().eval().validation_loss(trial.episode())
            assert loss.shape == (), trial.name
            assert torch.isfinite(loss), trial.name
            assert not loss.requires_grad, trial.name


def _outer_gradients(trial: Trial) -> dict[str, Any]:
    """Return the outer gradient of each parameter that requires one, None where it has none."""
    learner = trial.learner().train()
    loss = learner.episode_loss(trial.episode())
    if loss.requires_grad:  # else the graph is cut from every parameter
        loss.backward()  # type: ignore[no-untyped-call]
    return {n: p.grad for n, p in learner.named_parameters() if p.requires_grad}


def _why_missed(missed: list[str], reached: dict[str, set[str]]) -> str:
    """Say what to look for where no gradient reaches some parameters of a trial."""
    elsewhere = [name for name, found in reached.items() if found.issuperset(missed)]
    if not elsewhere:
        return _CUT
    return (
        f"It does for {', '.join(map(repr, elsewhere))}: what serves one kind of target only is "
        "made for that kind only (if kind == ...)."
    )


def _gradients(trial: Trial, loss: Any) -> dict[str, Tensor]:
    learner = trial.learner().train()
    loss(learner).backward()
    return {n: p.grad for n, p in learner.named_parameters() if p.grad is not None}


def _loss_one_by_one(learner: MetaLearner, trial: Trial) -> Tensor:
    """Return the mean outer loss of the tasks, each by itself."""
    losses = []
    for t in range(len(SIZES)):
        alone = trial.episode(only=t)
        if type(learner).episode_loss is not MetaLearner.episode_loss:  # a loss of its own
            losses.append(learner.episode_loss(alone))
            continue
        adapted = learner.adapt(alone.X_support[0], alone.y_support[0])
        output = learner.predict(adapted, alone.X_query[0])
        losses.append(learner.task_loss(output, alone.y_query[0], alone.weight_query[0]))
    return torch.stack(losses).mean()
