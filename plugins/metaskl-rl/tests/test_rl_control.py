"""Pendulum and cart and pole: physics, transitions, planning, adapting."""

import math
import warnings

import gymnasium
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl_rl import (
    CartPoleTasks,
    ModelPredictiveControl,
    PendulumTasks,
    TrueDynamics,
    collect,
    control_returns,
    transition_table,
)

FAMILIES = [PendulumTasks(), CartPoleTasks()]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_equations_are_those_of_the_environment(family):
    # Both compute alike; gymnasium hands observations out in single precision.
    for i, task in enumerate(family.sample(3)):
        X, y = collect(family.make(task), 60, random_state=i)
        np.testing.assert_allclose(TrueDynamics(family, task).predict(X), y, atol=2e-6)


def test_a_pendulum_by_hand():
    # At rest and level: velocity changes by 3g/2l dt without torque, dt being 0.05.
    model = TrueDynamics(PendulumTasks(), {"gravity": 8.0, "length": 1.2, "mass": 0.5})
    change = model.predict(np.array([[0.0, 1.0, 0.0, 0.0]]))
    assert change[0, 2] == pytest.approx(0.05 * 3 * 8.0 / (2 * 1.2))


@pytest.mark.parametrize("family", FAMILIES)
def test_tasks_differ_and_are_drawn_from_their_ranges(family):
    tasks = family.sample(50)
    for name, (low, high) in family.constants.items():
        drawn = [task[name] for task in tasks]
        assert low <= min(drawn) < max(drawn) <= high
    assert family.sample(50) == tasks != family.sample(50, random_state=1)


def test_transitions_of_tasks_are_rows_with_the_tasks_number():
    family = PendulumTasks()
    tasks = family.sample(3)
    X, y, groups = transition_table(family, tasks, 7)
    assert X.shape == (21, 4)
    assert y.shape == (21, 3)
    assert groups.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    again = transition_table(family, tasks, 7)
    assert np.array_equal(X, again[0])
    assert not np.array_equal(X[:7, :3], X[7:14, :3])


def test_planning_with_the_true_dynamics_swings_the_pendulum_up():
    family = PendulumTasks()
    task = {"gravity": 10.0, "mass": 1.0, "length": 1.0}  # gymnasium's own
    control = ModelPredictiveControl(family, TrueDynamics(family, task))
    returns = control_returns(family, task, control, n_episodes=4, n_steps=200)
    # A policy that acts at random gets some -1200; the start decides how much is lost at least.
    assert returns.mean() > -300
    assert returns.min() > -500


@pytest.mark.parametrize("method", ["cem", "shooting"])
def test_planning_with_the_true_dynamics_balances_the_pole(method):
    family = CartPoleTasks()
    (task,) = family.sample(1)
    control = ModelPredictiveControl(family, TrueDynamics(family, task), method=method)
    returns = control_returns(family, task, control, n_episodes=2, n_steps=100)
    assert returns.tolist() == [100.0, 100.0]


class Counted(PendulumTasks):
    """Pendulums that tell how many of them are open."""

    n_open = 0

    def make(self, task):
        family, env = self, super().make(task)

        class Told(gymnasium.Wrapper):
            def close(self):
                family.n_open -= 1
                super().close()

        self.n_open += 1
        return Told(env)


def test_environments_are_closed():
    family = Counted()
    tasks = family.sample(2)
    transition_table(family, tasks, 3)
    assert family.n_open == 0
    model = TrueDynamics(family, tasks[0])
    assert family.n_open == 0
    control = ModelPredictiveControl(family, model, horizon=2, n_candidates=8)
    control_returns(family, tasks[0], control, n_episodes=3, n_steps=2)
    assert family.n_open == 0


class Runaway:
    def predict(self, X):
        return 1e200 * X[:, :4]


def test_a_model_that_runs_away_is_planned_with_all_the_same():
    control = ModelPredictiveControl(CartPoleTasks(), Runaway(), n_candidates=16)
    assert control.act(np.full((2, 4), 0.01)).tolist() in ([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_plans_are_the_same_from_the_same_seed():
    family = PendulumTasks()
    at = np.array([[math.cos(2.0), math.sin(2.0), 0.5]])

    def act():
        return ModelPredictiveControl(family, TrueDynamics(family, {}), random_state=3).act(at)

    assert np.array_equal(act(), act())
    assert -2 <= act()[0] <= 2


def test_control_may_go_on_to_other_episodes():
    family = PendulumTasks()
    (task,) = family.sample(1)
    control = ModelPredictiveControl(family, TrueDynamics(family, task), horizon=3, n_candidates=8)
    for n_episodes in (2, 3):  # a plan of the two would not fit the three
        assert control_returns(family, task, control, n_episodes=n_episodes, n_steps=4).shape == (
            n_episodes,
        )


def test_a_few_transitions_adapt_the_model_to_another_pendulum():
    family = PendulumTasks()
    X, y, groups = transition_table(family, family.sample(30), 60)
    meta = MetaRegressor(
        learner="ridge_head",
        backbone=MLP((32,), "tanh", skip=True),
        max_epochs=3,
        n_shot=20,
        random_state=0,
    ).fit(X, y, groups=groups)
    pooled = MLPRegressor(hidden_layer_sizes=(32, 32), random_state=0, max_iter=30)
    errors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it might train for longer
        pooled.fit(X, y)
    for i, task in enumerate(family.sample(8, random_state=1)):
        rows, changes = collect(family.make(task), 220, random_state=100 + i)
        adapted = meta.adapt(rows[:20], changes[:20])
        errors.append(
            [
                np.sqrt(np.mean((model.predict(rows[20:]) - changes[20:])[:, 2] ** 2))
                for model in (adapted, pooled)
            ]
        )
    adapted, before = np.mean(errors, axis=0)
    assert adapted < 0.75 * before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PendulumTasks({"friction": (0.1, 1.0)}), "ranges must be of"),
        (lambda: PendulumTasks({"mass": (0.0, 1.0)}), "ranges.'mass'. must be 0 < low"),
        (
            lambda: ModelPredictiveControl(PendulumTasks(), None, method="tree"),
            "method must be one of",
        ),
        (
            lambda: ModelPredictiveControl(PendulumTasks(), None, n_elite=9, n_candidates=8),
            "n_candidates at least n_elite",
        ),
    ],
)
def test_bad_parameters_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_a_plan_is_of_as_many_episodes_as_it_began_with():
    family = PendulumTasks()
    control = ModelPredictiveControl(family, TrueDynamics(family, {}), horizon=2, n_candidates=8)
    control.act(np.array([[1.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"plan is of 1 episodes, got observations of 2; call"):
        control.act(np.array([[1.0, 0.0, 0.0]] * 2))


@pytest.mark.parametrize("wrong", [{"n_steps": 0}, {"n_steps": 5, "restart_every": 0}])
def test_there_are_transitions_to_collect(wrong):
    with pytest.raises(ParameterError, match="must be at least 1, got 0"):
        collect(PendulumTasks().make({}), **wrong)
