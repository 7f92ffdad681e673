import itertools
import math
import re
import signal
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from metaskl import MAMLRegressor, RidgeHeadRegressor, TransferRegressor
from metaskl.backbones import MLP, EpisodeDropout
from metaskl.errors import DivergenceError, ParameterError
from metaskl.learners.in_context import InContext
from metaskl.learners.maml import MAML
from metaskl.learners.matching import Matching
from metaskl.learners.ridge_head import RidgeHead
from metaskl.tasks import LinearTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train, new_net

LINES = LinearTasks(n_features=2).sample(12, 14, random_state=0)
SMALL = {"backbone": MLP((4,)), "max_epochs": 3, "steps_per_epoch": 2, "random_state": 0}

RATES_OF_A_LAYER = (
    "body__layers__0__weight",
    "body__layers__0__bias",
    "head__weight",
    "head__bias",
)


def fit(cls=RidgeHeadRegressor, **parameters):
    return cls(**{**SMALL, **parameters}).fit(LINES.X, LINES.y, groups=LINES.groups)


def weights(estimator):
    return {n: p.clone() for n, p in estimator.net_.module_.state_dict().items()}


class Diary(Callback):
    """Note what was called, and the weights and the rate after each epoch."""

    def __init__(self):
        self.calls, self.states, self.rates = [], [], []

    def on_train_begin(self, net, **kwargs):
        self.calls.append("train begin")

    def on_batch_end(self, net, training, **kwargs):
        self.calls.append("training batch" if training else "validation batch")

    def on_epoch_end(self, net, **kwargs):
        self.calls.append("epoch end")
        self.states.append({n: p.clone() for n, p in net.module_.state_dict().items()})
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_train_end(self, net, **kwargs):
        self.calls.append("train end")


class TestCallbacks:
    def test_they_are_called_as_skorch_calls_them(self):
        diary = Diary()
        meta = fit(callbacks=[("diary", diary)])
        epoch = ["training batch"] * 2 + ["epoch end"]
        assert diary.calls == ["train begin", *epoch * 3, "train end"]
        assert meta.n_iter_ == 3
        assert [row["epoch"] for row in meta.history_] == [1, 2, 3]
        assert all(math.isfinite(row["train_loss"]) for row in meta.history_)

    def test_skorchs_early_stopping_stops(self):
        # No epoch is better than the first by so much: it stops `patience` epochs after that.
        stopping = EarlyStopping(
            monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs"
        )
        diary = Diary()
        meta = fit(max_epochs=50, callbacks=[stopping, diary])
        assert meta.n_iter_ == 3 < 50
        assert diary.calls[-2:] == ["epoch end", "train end"], "the others miss the last epoch"

    def test_skorchs_schedulers_work(self):
        diary = Diary()
        scheduler = LRScheduler(policy="StepLR", step_size=1, gamma=0.1)
        fit(outer_lr=0.5, lr_schedule="constant", callbacks=[diary, scheduler])
        np.testing.assert_allclose(diary.rates, [0.5, 0.05, 0.005])

    def test_the_estimators_own_callbacks_stay_as_given(self):
        diary = Diary()
        meta = fit(callbacks=[diary])
        assert meta.callbacks == [diary]

    def test_a_fault_in_one_is_raised(self):
        class Broken(Callback):
            def on_epoch_end(self, net, **kwargs):
                raise RuntimeError("my callback failed")

        with pytest.raises(RuntimeError, match="my callback failed"):
            fit(callbacks=[Broken()])


class Counting(RidgeHead):
    """Note the epochs that it is told of."""

    epochs = ()

    def begin_epoch(self, epoch):
        self.epochs = (*self.epochs, epoch)


def test_the_learner_is_told_how_far_training_is(tmp_path):
    def train(max_epochs, net=None, **plan):
        learner = Counting(MLP(()).build((2,)), 1)
        sampler = TaskEpisodes(LINES.task_set(), random_state=0)
        plan = TrainingPlan(max_epochs=max_epochs, steps_per_epoch=1, **plan)
        return meta_train(learner, sampler, plan, net=net)

    net = train(3)
    assert net.module_.epochs == (0, 1, 2)
    assert train(2, net=net).module_.epochs == (3, 4)  # further training
    train(2, checkpoint=tmp_path / "half")
    assert train(5, checkpoint=tmp_path / "half").module_.epochs == (2, 3, 4)  # resumed


class TestOuterStep:
    def test_the_cosine_falls_from_the_rate_to_nearly_nothing(self):
        diary = Diary()
        fit(outer_lr=0.2, max_epochs=4, lr_schedule="cosine", callbacks=[diary])
        expected = [0.2 * 0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
        np.testing.assert_allclose(diary.rates, expected)

    def test_each_group_falls_from_the_rate_that_it_was_given(self, tmp_path):
        own = {"optimizer__param_groups": [("network.head*", {"lr": 0.4})], "optimizer__lr": 0.1}
        how = {"cls": MAMLRegressor, "optimizer": "adamw", "net_params": own, "max_epochs": 2}
        meta = fit(weight_decay=0.5, **how, checkpoint=tmp_path / "fit")
        for each in (meta, fit(weight_decay=0.5, **how, checkpoint=tmp_path / "fit")):  # resumed
            groups = each.net_.optimizer_.param_groups
            found = [(g["lr"], g["weight_decay"], len(g["params"])) for g in groups]
            # Half of them in the second epoch of two: the head, the body, and the learned rates.
            assert found == [
                (pytest.approx(lr), decay, n)
                for lr, decay, n in [(0.2, 0.5, 2), (0.05, 0.5, 2), (0.05, 0.0, 4)]
            ]
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        rates = [group["lr"] for group in meta.net_.optimizer_.param_groups]
        assert rates == pytest.approx([0.2, 0.05, 0.05])

    def test_a_constant_rate_stays(self):
        diary = Diary()
        fit(outer_lr=0.2, lr_schedule="constant", callbacks=[diary])
        assert diary.rates == [0.2] * 3

    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", torch.optim.Adagrad])
    def test_optimizers_by_name_and_class(self, optimizer):
        meta = fit(optimizer=optimizer, weight_decay=0.01)
        expected = optimizer if isinstance(optimizer, type) else None
        found = type(meta.net_.optimizer_)
        assert found is expected or found.__name__.lower() == optimizer
        assert meta.net_.optimizer_.param_groups[0]["weight_decay"] == 0.01

    def test_an_optimizer_without_weight_decay_runs_without(self):
        meta = fit(optimizer=torch.optim.Rprop)
        assert type(meta.net_.optimizer_) is torch.optim.Rprop
        with pytest.raises(ParameterError, match=r"weight_decay must be 0 with Rprop.*got 0.1"):
            fit(optimizer=torch.optim.Rprop, weight_decay=0.1)

    def test_decay_pulls_weights_and_leaves_rates_and_scales_alone(self):
        class Still(MAML):
            """No gradient but 0, so that a step is the decay alone."""

            def episode_loss(self, episode):
                return sum((0.0 * parameter).sum() for parameter in self.parameters())

            def outer_step(self, episode, optimizer, clip):
                return None

        module = Still(MLP((4,)).build((2,)), 1)
        before = {name: p.detach().clone() for name, p in module.named_parameters()}
        sampler = TaskEpisodes(LINES.task_set(), meta_batch_size=2, random_state=0)
        plan = TrainingPlan(
            optimizer="adamw", outer_lr=0.1, weight_decay=0.5, max_epochs=1, steps_per_epoch=2
        )
        net = meta_train(module, sampler, plan)
        for name, p in module.named_parameters():
            factor = 1.0 if name.startswith("rates.") else (1 - 0.1 * 0.5) ** 2
            torch.testing.assert_close(p.detach(), factor * before[name])
        decays = [group["weight_decay"] for group in net.optimizer_.param_groups]
        assert decays == [0.5, 0.0]

    @pytest.mark.parametrize(
        ("learner", "names"),
        [
            (MAML, {f"rates.{n}" for n in RATES_OF_A_LAYER}),
            (RidgeHead, {"log_noise", "log_precision", "log_scale"}),
            (Matching, {"log_scale", "log_prior_count", "log_noise", "log_spread"}),
            (InContext, set()),
            (partial(InContext, kind="classification", private_labels=True), {"same_class"}),
        ],
    )
    def test_what_is_left_alone(self, learner, names):
        module = learner(MLP((4,)).build((2,)), 1)
        found = {n for n, p in module.named_parameters() if any(p is q for q in module.undecayed())}
        assert found == names

    def test_without_decay_there_is_one_group(self):
        groups = fit(MAMLRegressor).net_.optimizer_.param_groups
        assert [group["weight_decay"] for group in groups] == [0.0]

    def test_a_decay_of_ones_own_stays(self):
        own = [("*", {"weight_decay": 0.25})]
        meta = fit(weight_decay=0.5, net_params={"optimizer__param_groups": own})
        groups = meta.net_.optimizer_.param_groups
        assert [group["weight_decay"] for group in groups] == [0.25]

    @pytest.mark.parametrize("decays", [(0.0, 0.01), (0.01, 0.0), (0.01, 0.02)])
    def test_further_training_takes_another_decay_and_keeps_the_state(self, decays):
        meta = fit(MAMLRegressor, optimizer="adamw", weight_decay=decays[0])
        meta.set_params(weight_decay=decays[1])
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        optimizer, module = meta.net_.optimizer_, meta.net_.module_
        assert optimizer.param_groups[0]["weight_decay"] == decays[1]
        steps = {int(optimizer.state[p]["step"]) for p in module.parameters()}
        assert steps == {2 * 6}
        for p in module.parameters():
            assert optimizer.state[p]["exp_avg"].shape == p.shape

    def test_one_step_of_gradient_descent_is_that_of_the_gradient(self):
        tasks = LINES.task_set()
        plan = TrainingPlan(
            outer_lr=0.01, optimizer="sgd", max_epochs=1, steps_per_epoch=1, gradient_clip=None
        )
        learner, twin = (RidgeHead(MLP(()).build((2,)), 1) for _ in "ab")
        meta_train(learner, TaskEpisodes(tasks, random_state=0), plan)
        twin.episode_loss(TaskEpisodes(tasks, random_state=0).sample()).backward()
        for moved, start in zip(learner.parameters(), twin.parameters(), strict=True):
            if start.requires_grad:
                torch.testing.assert_close(moved.detach(), (start - 0.01 * start.grad).detach())

    def test_a_long_outer_gradient_is_cut(self):
        tasks = LINES.task_set()
        plan = TrainingPlan(
            outer_lr=1.0, optimizer="sgd", max_epochs=1, steps_per_epoch=1, gradient_clip=1e-3
        )
        learner, start = (RidgeHead(MLP(()).build((2,)), 1) for _ in "ab")
        meta_train(learner, TaskEpisodes(tasks, random_state=0), plan)
        moved = [
            (a - b).flatten() for a, b in zip(learner.parameters(), start.parameters(), strict=True)
        ]
        assert float(torch.cat(moved).detach().norm()) == pytest.approx(1e-3, rel=1e-3)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"optimizer": "adagrad2"}, "optimizer must be one of .* got 'adagrad2'"),
            ({"optimizer": "Adam"}, r"optimizer must be .* got 'Adam'\. Did you mean 'adam'"),
            ({"lr_schedule": "linear"}, "lr_schedule must be 'constant' or 'cosine', got 'linear'"),
            ({"precision": "float16"}, "precision must be 'auto', .* got 'float16'"),
            ({"patience": 3}, "patience=3 needs meta-validation tasks to watch"),
            ({"validation_fraction": 1.0}, r"validation_fraction must be in \[0, 1\), got 1\.0"),
        ],
    )
    def test_other_settings_are_refused(self, parameters, message):
        with pytest.raises(ParameterError, match=message):
            fit(**parameters)

    def test_half_precision_trains(self):
        exact, half = (fit(precision=p, max_epochs=6) for p in ("float32", "bfloat16"))
        assert math.isfinite(half.history_[-1]["train_loss"])
        assert weights(half)["log_noise"].dtype == torch.float32
        assert half.history_[-1]["train_loss"] != exact.history_[-1]["train_loss"]


class TestValidation:
    def test_the_best_weights_are_restored(self):
        # A rate so high that the loss soon gets worse.
        diary = Diary()
        meta = fit(
            validation_fraction=0.3,
            outer_lr=1.0,
            lr_schedule="constant",
            max_epochs=8,
            callbacks=[diary],
        )
        losses = [row["valid_loss"] for row in meta.history_]
        best = int(np.argmin(losses))
        assert best < 7, "the last epoch is the best: nothing is tested"
        assert [row["valid_loss_best"] for row in meta.history_][best]
        for name, value in weights(meta).items():
            assert torch.equal(value, diary.states[best][name])

    def test_patience_ends_training_early(self):
        meta = fit(
            validation_fraction=0.3,
            patience=2,
            outer_lr=1.0,
            lr_schedule="constant",
            max_epochs=200,
        )
        losses = [row["valid_loss"] for row in meta.history_]
        assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 200

    def test_validation_tasks_are_not_trained_on(self):
        seen = Seen()
        fit(validation_fraction=0.25, meta_batch_size=12, callbacks=[seen])
        assert all(seen.values.values())
        assert not seen.values[True] & seen.values[False]


class Steep(RidgeHead):
    """A loss whose slope is not a number, as that of a root at 0."""

    def episode_loss(self, episode):
        nothing = sum((0 * p).square().sum() for p in self.parameters())
        return super().episode_loss(episode) + nothing.sqrt()


class TestGoingWrong:
    def test_weights_that_the_last_step_lost_are_no_model(self):
        learner = Steep(MLP(()).build((2,)), 1)
        sampler = TaskEpisodes(LINES.task_set(), random_state=0)
        message = "after epoch 1 there are weights that are infinite or not a number. Lower outer"
        with pytest.raises(DivergenceError, match=message):
            meta_train(learner, sampler, TrainingPlan(max_epochs=1, steps_per_epoch=1))

    def test_a_diverging_loss_says_what_to_lower(self):
        message = (
            r"meta-training diverged: the outer loss is .* Lower outer_lr \(now 1000000\.0\), "
            r"inner_lr \(now 0\.01\), adaptation_steps \(now 30\), or set standardize=True"
        )
        with pytest.raises(DivergenceError, match=message):
            fit(
                TransferRegressor,
                max_epochs=50,
                standardize=False,
                outer_lr=1e6,
                inner_lr=0.01,
                adaptation_steps=30,
                optimizer="sgd",
            )

    def test_an_exploding_inner_loop_says_so_too(self):
        message = r"the outer loss is nan in epoch 1.*inner_lr \(now 1000000\.0\)"
        with pytest.raises(DivergenceError, match=message):
            fit(
                MAMLRegressor,
                inner_lr=1e6,
                inner_lr_mode="fixed",
                inner_clip=None,
                adaptation_steps=20,
            )

    def test_ctrl_c_stops_a_fit(self):
        code = """
            import sys
            from skorch.callbacks import Callback
            from metaskl import RidgeHeadRegressor
            from metaskl.tasks import LinearTasks

            class Tell(Callback):
                def on_epoch_begin(self, net, **kwargs):
                    print("epoch", flush=True)

            lines = LinearTasks().sample(12, 14, random_state=0)
            meta = RidgeHeadRegressor(max_epochs=10**6, steps_per_epoch=5, callbacks=[Tell()])
            try:
                meta.fit(lines.X, lines.y, groups=lines.groups)
            except KeyboardInterrupt:
                print("interrupted", hasattr(meta, "net_"), flush=True)
                sys.exit(7)
            print("returned as if done", flush=True)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "epoch\n"
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=120)
        assert rest.splitlines()[-1] == "interrupted False"
        assert process.returncode == 7

    def test_ctrl_c_while_the_checkpoint_is_written_stops_too(self, tmp_path):
        class Pressed(TaskEpisodes):
            def state_dict(self):  # called for the checkpoint, after an epoch
                signal.raise_signal(signal.SIGINT)
                return super().state_dict()

        plan = TrainingPlan(max_epochs=3, steps_per_epoch=1, checkpoint=tmp_path / "fit.pt")
        learner = RidgeHead(MLP(()).build((2,)), 1)
        with pytest.raises(KeyboardInterrupt):
            meta_train(learner, Pressed(LINES.task_set(), random_state=0), plan)


class Seen(Callback):
    """Collect the values that were trained on, and those validated on."""

    def __init__(self):
        self.values, self.batches = {True: set(), False: set()}, []

    def on_batch_end(self, net, batch, training, **kwargs):
        both = torch.cat([batch.X_support.flatten(), batch.X_query.flatten()])
        self.values[training] |= set(both.tolist()) - {0.0}
        self.batches.append(batch.X_support)


class TestFurtherTraining:
    def test_validation_tasks_stay_apart(self):
        seen = Seen()
        meta = fit(validation_fraction=0.25, meta_batch_size=12, callbacks=[seen])
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert seen.values[False]
        assert not seen.values[True] & seen.values[False]

    def test_other_episodes_are_drawn(self):
        seen = Seen()
        meta = fit(callbacks=[seen])
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        first = seen.batches[0], seen.batches[6], seen.batches[12]
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(first, 2))

    def test_the_same_calls_draw_the_same(self):
        found = []
        for _ in range(2):
            seen = Seen()
            meta = fit(callbacks=[seen], random_state=np.random.RandomState(7))
            seed = meta.seed_
            meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
            assert meta.seed_ == seed, "validation tasks would change"
            found.append((seed, torch.stack(seen.batches)))
        assert found[0][0] == found[1][0]
        assert torch.equal(found[0][1], found[1][1])

    def test_the_cosine_starts_anew(self):
        diary = Diary()
        meta = fit(outer_lr=0.2, callbacks=[diary])
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert diary.rates[0] == 0.2
        np.testing.assert_allclose(diary.rates, diary.rates[:3] * 3)

    def test_a_new_rate_is_taken_up(self):
        diary = Diary()
        meta = fit(outer_lr=0.2, lr_schedule="constant", callbacks=[diary])
        meta.set_params(outer_lr=0.05).partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert diary.rates == [0.2] * 3 + [0.05] * 3

    def test_history_and_optimizer_go_on(self):
        meta = fit()
        steps = _adam_steps(meta)
        before = weights(meta)
        net = meta.net_
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert meta.n_iter_ == 6
        assert _adam_steps(meta) == 2 * steps
        assert any(not torch.equal(value, before[n]) for n, value in weights(meta).items())
        assert all(torch.equal(v, before[n]) for n, v in net.module_.state_dict().items())

    def test_a_first_call_is_a_fit(self):
        first = RidgeHeadRegressor(**SMALL).partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        for name, value in weights(fit()).items():
            assert torch.equal(value, weights(first)[name])

    def test_a_loaded_estimator_goes_on(self):
        import pickle

        meta = pickle.loads(pickle.dumps(fit()))
        assert meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups).n_iter_ == 6


def _adam_steps(meta):
    return max(int(state["step"]) for state in meta.net_.optimizer_.state.values())


def test_the_net_keeps_no_rows_of_the_fit(tmp_path):
    meta = fit(validation_fraction=0.3, checkpoint=tmp_path / "fit.pt")
    assert meta.net_.validation == ()
    assert "checkpoint" not in dict(meta.net_.callbacks_)


def test_epochs_and_losses_are_shown(capsys):
    fit(verbose=1, validation_fraction=0.3)
    shown = capsys.readouterr().err
    assert re.fullmatch(
        r"RidgeHeadRegressor: 3/3 epochs, \d+ s, train loss [\d.]+, valid loss [\d.]+\n", shown
    )


def test_the_history_holds_the_losses_of_each_epoch():
    assert [set(row) for row in fit().history_] == [{"epoch", "train_loss"}] * 3
    keys = {"epoch", "train_loss", "valid_loss", "valid_loss_best"}
    assert [set(row) for row in fit(validation_fraction=0.3).history_] == [keys] * 3


def test_net_params_reach_the_net():
    assert fit(net_params={"gradient_clip": 3.5}).net_.gradient_clip == 3.5
    learner = RidgeHead(MLP(()).build((2,)), 1)
    assert new_net(learner, TrainingPlan(gradient_clip=2.0)).gradient_clip == 2.0


@pytest.mark.parametrize(
    "net_params", [{"optimizer": torch.optim.RMSprop}, {"optimizer__foreach": True}]
)
def test_net_params_may_ask_for_another_optimizer(net_params):
    meta = fit(net_params=net_params, max_epochs=1)
    assert len(meta.history_) == 1
    optimizer = meta.net_.optimizer_
    assert type(optimizer) is net_params.get("optimizer", torch.optim.Adam)
    assert optimizer.param_groups[0]["foreach"] is net_params.get("optimizer__foreach")


def test_every_part_of_the_learner_is_in_training_mode():
    learner = RidgeHead(MLP((4,), dropout=0.5).build((2,)), 1)
    learner.backbone.eval()
    seen = []

    class Modes(Callback):
        def on_batch_end(self, net, training, **kwargs):
            seen.append({m.training for m in net.module_.modules()} == {training})

    sampler = TaskEpisodes(LINES.task_set(), meta_batch_size=2, random_state=0)
    plan = TrainingPlan(
        max_epochs=2, steps_per_epoch=2, validation=(sampler.sample(),), callbacks=[Modes()]
    )
    meta_train(learner, sampler, plan)
    assert seen == [True] * 6


class Masks(Callback):
    """Note which units each outer step drops."""

    def __init__(self):
        self.seen, self.part = [], None

    def on_grad_computed(self, net, **kwargs):
        (self.part,) = [m for m in net.module_.modules() if isinstance(m, EpisodeDropout)]
        self.seen.append(self.part.mask.tolist())


@pytest.mark.parametrize("cls", [RidgeHeadRegressor, MAMLRegressor, TransferRegressor])
def test_an_outer_step_drops_the_same_units_for_all_its_rows(cls):
    diaries = [Masks(), Masks()]
    for diary in diaries:
        fit(cls, backbone=MLP((20,), dropout=0.5), callbacks=[("masks", diary)])
    first, again = diaries
    assert first.seen == again.seen
    assert len(set(map(tuple, first.seen))) == len(first.seen) == 6
    assert first.part.mask is None
