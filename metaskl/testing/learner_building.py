"""The laws of building, storing and configuring a learner."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import re

import pytest
import torch

from metaskl.errors import ParameterError
from metaskl.learners import Adapted, MetaLearner
from metaskl.testing.comparing import require_close
from metaskl.testing.learner_adapting import adapt_and_predict
from metaskl.testing.spaces import samples
from metaskl.testing.trials import Trial


class BuildingLaws:
    """A learner is what its arguments and its seed say, and can be stored."""

    def test_the_same_seed_gives_the_same_result(self, trials: list[Trial]) -> None:
        """Bit by bit; and neither adapting nor predicting draws random numbers in use."""
        for trial in trials:
            state = torch.get_rng_state()
            with torch.no_grad():
                first, second = (adapt_and_predict(trial.learner().eval(), trial) for _ in "ab")
            assert torch.equal(first, second), f"{trial.name}: the same seed gave another result"
            assert torch.equal(state, torch.get_rng_state()), f"{trial.name}: draws random numbers"

    def test_pickle_and_deepcopy_round_trips(self, trials: list[Trial]) -> None:
        """The learner and what it adapted predict the same afterwards, bit by bit."""
        for trial in trials:
            learner = trial.learner().eval()
            with torch.no_grad():
                adapted = learner.adapt(*trial.task(5))
                query = trial.task(4, seed=1)[0]
                expected = learner.predict(adapted, query)
                for other, state in _round_trips(learner, adapted):
                    assert torch.equal(other.predict(state, query), expected), trial.name
                    again = other.predict(other.adapt(*trial.task(5)), query)
                    assert torch.equal(again, expected), f"{trial.name}: adapts otherwise"

    def test_every_way_of_building_works(self, trials: list[Trial]) -> None:
        """Outputs of the right shape and type, also for the smallest supports."""
        for trial in trials:
            for dtype in (torch.float32, torch.float64):
                learner = trial.learner(dtype=dtype).eval()
                X, y = trial.task(7, dtype=dtype)
                for n_support in (1, 2, 7):
                    with torch.no_grad():
                        adapted = learner.adapt(X[:n_support], y[:n_support])
                        output, std = learner.predict(adapted, X), learner.predict_std(adapted, X)
                    what = f"{trial.name}, {n_support} support rows"
                    assert output.shape == (7, trial.n_outputs), what
                    assert output.dtype == dtype, what
                    assert torch.isfinite(output).all(), what
                    assert std is None or (std.shape == output.shape and (std > 0).all()), what
        refused = {"regression", "classification"} - set(trials[0].learner_class.kinds)
        for kind in refused:
            with pytest.raises(ParameterError, match="kind must be one of"):
                Trial("", trials[0].learner_class, kind=kind).learner()

    def test_other_numbers_of_private_classes(self, trials: list[Trial]) -> None:
        """A learner whose `fixed_ways` is False takes any number of classes when adapting."""
        for trial in (t for t in trials if t.private_labels):
            learner = trial.learner().eval()
            if learner.fixed_ways:
                continue
            X = trial.task(10)[0]
            for n_way in (2, 5):
                y = torch.eye(n_way, dtype=X.dtype)[torch.arange(10) % n_way]
                with torch.no_grad():
                    output = learner.predict(learner.adapt(X, y), X)
                assert output.shape == (10, n_way), f"{trial.name}, {n_way} classes"

    def test_private_classes_are_what_their_rows_say(self, trials: list[Trial]) -> None:
        """A learner whose `fixed_ways` is False predicts alike, however classes are numbered."""
        for trial in (t for t in trials if t.private_labels):
            learner = trial.learner().eval()
            if learner.fixed_ways:
                continue
            X, y = trial.task(10)
            turned = torch.arange(trial.n_outputs).roll(1)
            with torch.no_grad():
                expected = learner.predict(learner.adapt(X, y), X).softmax(-1)[:, turned]
                found = learner.predict(learner.adapt(X, y[:, turned]), X).softmax(-1)
            require_close(found, expected, f"{trial.name}, classes numbered otherwise")

    def test_hyper_parameters_are_explicit_and_documented(self, trials: list[Trial]) -> None:
        """No `**kwargs`; each name stands in the class's documentation."""
        learner_class = trials[0].learner_class
        parameters = inspect.signature(learner_class).parameters.values()
        loose = [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        assert not loose, f"hyper-parameters must be explicit, got {loose}"
        doc = inspect.getdoc(learner_class) or ""
        # "name : type" or "name, name", and indented below what there is to say.
        entries = re.findall(r"^(\w[\w, ]*?)(?: : .*)?\n(?=    )", doc, flags=re.MULTILINE)
        described = {name.strip() for entry in entries for name in entry.split(",")}
        silent = [p.name for p in parameters if p.name not in described]
        assert not silent, (
            f"the documentation of {learner_class.__name__} lacks {silent}: give each an entry "
            "under Parameters, as numpydoc has them"
        )

    def test_samples_of_the_search_space_can_be_fitted(self, trials: list[Trial]) -> None:
        """Every value, the limits of each range included, makes a learner that trains and adapts.

        In single precision, in which it will be used: its outer loss, its gradient and its
        predictions are finite.
        """
        for trial in trials:
            for arguments in samples(trial.learner_class.search_space()):
                what = f"{trial.name}, {arguments}"
                chosen = {**trial.arguments, **arguments}
                own = Trial(**{**vars(trial), "arguments": chosen})
                learner = own.learner(dtype=torch.float32).train()
                loss = learner.episode_loss(own.episode(dtype=torch.float32))
                loss.backward()  # type: ignore[no-untyped-call]
                gradients = [p.grad for p in learner.parameters() if p.grad is not None]
                assert torch.isfinite(loss), f"{what}: the outer loss is {loss.detach()}"
                assert all(bool(torch.isfinite(g).all()) for g in gradients), f"{what}: gradient"
                rows = own.task(5, dtype=torch.float32)
                with torch.no_grad():
                    learner.eval()
                    output = learner.predict(learner.adapt(*rows), rows[0])
                assert output.shape[-1] == trial.n_outputs, what
                assert torch.isfinite(output).all(), f"{what}: predictions"


def _round_trips(learner: MetaLearner, adapted: Adapted) -> list[tuple[MetaLearner, Adapted]]:
    file = io.BytesIO()
    torch.save(adapted, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    return [
        pickle.loads(pickle.dumps((learner, adapted))),
        (copy.deepcopy(learner), copy.deepcopy(adapted)),
        (learner, loaded),
    ]
