"""The laws of meta-training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metaskl.learners import MetaLearner
from metaskl.testing.comparing import require_close
from metaskl.testing.trials import SIZES, Trial


class TrainingLaws:
    """The outer gradient is the one that the definition says, and it helps."""

    def test_the_outer_gradient_reaches_the_parameters(
        self, trials: list[Trial], without_gradient: frozenset[str]
    ) -> None:
        """All that require one, but those that `without_gradient` lists."""
        for trial in trials:
            learner = trial.learner().train()
            learner.episode_loss(trial.episode()).backward()  # type: ignore[no-untyped-call]
            named = {n: p for n, p in learner.named_parameters() if p.requires_grad}
            reached = {
                n for n, p in named.items() if p.grad is not None and bool((p.grad != 0).any())
            }
            assert reached, f"{trial.name}: the outer gradient reaches no parameter"
            missed = sorted(set(named) - reached - without_gradient)
            assert not missed, f"{trial.name}: the outer gradient does not reach {missed}"
            endless = [n for n in reached if not bool(torch.isfinite(named[n].grad).all())]  # type: ignore[arg-type]
            assert not endless, f"{trial.name}: the outer gradient of {endless} is not finite"

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
