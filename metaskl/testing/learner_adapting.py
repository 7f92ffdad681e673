"""The laws of adapting and predicting."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

from metaskl.learners import Adapted, MetaLearner
from metaskl.tasks import Episode
from metaskl.testing.comparing import differing, require_close, snapshot
from metaskl.testing.trials import SIZES, Trial

_WITHOUT_DEVICE = "adapt or predict makes a tensor without device=X.device"


class AdaptingLaws:
    """What is learned from a support depends on that support alone, and is returned."""

    def test_adapting_leaves_the_learner_as_it_was(self, trials: list[Trial]) -> None:
        """Parameters, buffers, gradients and attributes are the same, bit by bit."""
        for trial in trials:
            for mode in ("train", "eval"):
                learner = getattr(trial.learner(), mode)()
                before = snapshot(learner)
                adapt_and_predict(learner, trial)
                with torch.no_grad():
                    adapt_and_predict(learner, trial)
                changed = differing(before, snapshot(learner))
                assert not changed, f"{trial.name}: adapt or predict changed {changed}"

    def test_what_is_adapted_is_a_flat_dict_of_tensors(self, trials: list[Trial]) -> None:
        """A stack has the task axis first; without gradients nothing holds a graph."""
        for trial in trials:
            learner = trial.learner().eval()
            with torch.no_grad():
                adapted = learner.adapt(*trial.task(5))
                stack = adapt_episode(learner, trial.episode())
            for state in (adapted, stack):
                assert type(state) is dict, f"{trial.name}: adapt returned a {type(state)}"
                kinds = {type(value) for value in state.values()} | {type(name) for name in state}
                assert kinds == {Tensor, str}, f"{trial.name}: adapt returned {kinds}"
                graphs = [name for name, value in state.items() if value.requires_grad]
                assert not graphs, f"{trial.name}: adapted {graphs} hold a graph under no_grad"
            axes = {name: (len(SIZES), value.ndim + 1) for name, value in adapted.items()}
            found = {name: (len(value), value.ndim) for name, value in stack.items()}
            assert found == axes, f"{trial.name}: a stack has no leading task axis"

    def test_a_stack_of_tasks_equals_its_tasks_one_by_one(self, trials: list[Trial]) -> None:
        """Tasks of unequal size and their padding do not touch each other."""
        for trial in trials:
            learner = trial.learner().eval()
            episode = trial.episode()
            with torch.no_grad():
                stack = adapt_episode(learner, episode)
                outputs = learner.predict_tasks(stack, episode.X_query)
                for t in range(len(SIZES)):
                    alone = trial.episode(only=t)
                    adapted = learner.adapt(alone.X_support[0], alone.y_support[0])
                    expected = learner.predict(adapted, episode.X_query[t])
                    what = f"{trial.name}, task {t} of the stack"
                    hint = " (is padding left out of every sum and mean, by weight?)"
                    require_close(outputs[t], expected, what + hint)
                    own = {name: value[t] for name, value in stack.items()}
                    std = learner.predict_std(own, episode.X_query[t])
                    alone_std = learner.predict_std(adapted, episode.X_query[t])
                    assert (std is None) == (alone_std is None), what
                    if std is not None and alone_std is not None:
                        require_close(std, alone_std, f"{what}, standard deviation")

    def test_the_order_of_the_support_does_not_matter(self, trials: list[Trial]) -> None:
        """Unless `support_order_matters` says why."""
        for trial in trials:
            reason = trial.learner_class.support_order_matters
            if reason is not None:
                assert len(reason.split()) > 2, f"support_order_matters must say why: {reason!r}"
                continue
            learner = trial.learner().eval()
            X, y = trial.task(9)
            order = torch.tensor([4, 0, 8, 2, 6, 1, 5, 3, 7])
            query = trial.task(4, seed=1)[0]
            with torch.no_grad():
                expected = learner.predict(learner.adapt(X, y), query)
                found = learner.predict(learner.adapt(X[order], y[order]), query)
            require_close(found, expected, f"{trial.name}, support in another order")

    def test_a_prediction_does_not_depend_on_the_other_query_rows(
        self, trials: list[Trial]
    ) -> None:
        """No transductive leak, in training and in use."""
        for trial in trials:
            for mode in ("train", "eval"):
                learner = getattr(trial.learner(), mode)()
                query = trial.task(6, seed=1)[0]
                with torch.no_grad():
                    adapted = learner.adapt(*trial.task(5))
                    together = learner.predict(adapted, query)
                    alone = torch.cat([learner.predict(adapted, row[None]) for row in query])
                require_close(together, alone, f"{trial.name}, {mode} mode, rows one by one")

    def test_what_is_known_before_a_support_looks_like_what_is_adapted(
        self, trials: list[Trial]
    ) -> None:
        """`initial` is None, or a state as of `adapt`, without a graph."""
        for trial in trials:
            learner = trial.learner().eval()
            initial = learner.initial()
            if initial is None:
                continue
            with torch.no_grad():
                adapted = learner.adapt(*trial.task(5))
                output = learner.predict(initial, trial.task(4)[0])
            assert set(initial) == set(adapted), trial.name
            assert not any(value.requires_grad for value in initial.values()), trial.name
            assert output.shape == (4, trial.n_outputs), trial.name

    def test_hundreds_of_adaptations_keep_nothing(self, trials: list[Trial]) -> None:
        """The number of tensors alive does not grow, with gradients on."""
        trial = trials[0]
        learner = trial.learner().eval()
        rows = trial.task(4)
        counts = []
        for n_adaptations in (5, 200):
            for _ in range(n_adaptations):
                learner.predict(learner.adapt(*rows), rows[0])
            gc.collect()
            counts.append(sum(issubclass(type(item), Tensor) for item in gc.get_objects()))
        assert counts[1] <= counts[0], f"tensors alive after 5 and 205 adaptations: {counts}"

    def test_tensors_are_made_on_the_device_of_the_rows(self, trials: list[Trial]) -> None:
        """Tried on any machine: what is made without a device lands where nothing can be read.

        Nor can it be moved from there, as by ``torch.eye(n).to(X)``: give `dtype` and `device`.
        """
        for trial in trials:
            learner = trial.learner().eval()
            rows, query = trial.task(5), trial.task(4, seed=1)[0]
            try:
                with torch.no_grad(), torch.device("meta"):
                    output = learner.predict(learner.adapt(*rows), query)
            except RuntimeError as error:
                raise AssertionError(f"{trial.name}: {_WITHOUT_DEVICE} ({error})") from error
            assert output.device == query.device, f"{trial.name}: {_WITHOUT_DEVICE}"

    def test_cpu_and_gpu_agree(self, trials: list[Trial]) -> None:
        """The same learner and support give the same predictions on both."""
        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device on this machine")
        for trial in trials:
            learner = trial.learner().eval()
            rows, query = trial.task(5), trial.task(4, seed=1)[0]
            with torch.no_grad():
                expected = learner.predict(learner.adapt(*rows), query)
                learner = learner.to("cuda")
                adapted = learner.adapt(*(part.to("cuda") for part in rows))
                found = learner.predict(adapted, query.to("cuda")).cpu()
            require_close(found, expected, f"{trial.name}, on the GPU", rtol=1e-5, atol=1e-6)


def adapt_episode(learner: MetaLearner, episode: Episode) -> Adapted:
    """Adapt to the stack of supports."""
    return learner.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)


def adapt_and_predict(learner: MetaLearner, trial: Trial) -> Tensor:
    """Call everything that adapts or predicts; return one task's prediction."""
    episode = trial.episode()
    learner.predict_tasks(adapt_episode(learner, episode), episode.X_query)
    adapted = learner.adapt(*trial.task(5))
    learner.predict_std(adapted, episode.X_query[0])
    return learner.predict(adapted, episode.X_query[0])
