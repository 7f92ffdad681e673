import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl import MAMLRegressor, MetaClassifier, MetaRegressor, PerTask, ShrunkRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.evaluation.candidates import make_baselines, make_learners
from metaskl.learners.space import Choice, Integer, Real
from metaskl.search import Candidate, decode, distribution_of, search_space_of
from metaskl.search.spaces import make_space
from metaskl.testing.spaces import samples


def test_learning_rates_are_logarithmic_under_every_wrapper():
    estimator = TransformedTargetRegressor(make_pipeline(StandardScaler(), MAMLRegressor()))
    space = search_space_of(estimator)
    for name in ("inner_lr", "outer_lr"):
        assert distribution_of(space[f"regressor__mamlregressor__{name}"]).log


def test_networks_are_searched_for_tables_unless_one_is_given():
    assert "backbone" in search_space_of(MAMLRegressor())
    assert "backbone" not in search_space_of(MAMLRegressor(), tabular=False)
    assert "backbone" not in search_space_of(MAMLRegressor(backbone=MLP((8,))))


def every_candidate(kind):
    return make_learners("all", kind=kind) | make_baselines(kind)


def value_in(estimator, key):
    outer, _, own = key.rpartition("learner_params__")
    held = estimator.learner_params if outer or own != key else estimator.get_params()
    return held[own]


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_every_value_of_every_candidate_can_be_set(kind):
    for name, estimator in every_candidate(kind).items():
        space = search_space_of(estimator)
        known = estimator.get_params()
        candidate = Candidate(name, estimator, space)
        for values in samples({k: d for k, d in space.items() if not isinstance(d, Choice)}):
            made = candidate.make(values)
            for key, value in values.items():
                assert value_in(made, key) == value
        assert all(key in known or "learner_params__" in key for key in space), name
        for key, domain in space.items():
            for value in distribution_of(domain).choices if isinstance(domain, Choice) else ():
                made = candidate.make({key: value})
                assert str(value_in(made, key)) == str(decode(space, {key: value})[key])


def test_defaults_are_those_of_the_estimator():
    candidate = Candidate("maml", MetaRegressor(learner="maml"), {})
    space = search_space_of(candidate.estimator)
    defaults = Candidate("maml", candidate.estimator, space).defaults()
    assert defaults["learner_params__inner_lr"] == 0.05
    assert defaults["outer_lr"] == 1e-3
    assert defaults["weight_decay"] == 0.0
    assert defaults["backbone"] is None
    given = MetaRegressor(learner="maml", learner_params={"inner_lr": 0.2})
    assert Candidate("m", given, space).defaults()["learner_params__inner_lr"] == 0.2
    outside = Candidate("m", MetaRegressor(learner="maml", outer_lr=0.5), space).defaults()
    assert "outer_lr" not in outside  # the space cannot express it


def test_the_variants_of_maml_are_in_its_space():
    space = search_space_of(MAMLRegressor())
    variants = {
        "FOMAML": {"first_order": True, "inner_lr_mode": "fixed"},
        "ANIL": {"adapt_part": "head", "inner_lr_mode": "fixed"},
        "BOIL": {"adapt_part": "body", "inner_lr_mode": "fixed"},
        "Meta-SGD": {"inner_lr_mode": "per_parameter", "negative_rates": True},
        "MAML++": {"inner_lr_mode": "per_step", "negative_rates": True, "multi_step_loss": True},
    }
    for name, parameters in variants.items():
        for key, value in parameters.items():
            assert value in space[key].options, (name, key)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_every_learner_has_something_of_its_own_to_search(kind):
    for name, estimator in make_learners("all", kind=kind).items():
        shared = {"weight_decay", "backbone", "outer_lr"}
        assert search_space_of(estimator).keys() - shared, name


def test_ridge_may_choose_its_penalty_or_be_held_to_one():
    model = PerTask(RidgeCV(np.array([0.1, 10.0])))
    space = search_space_of(model)
    candidate = Candidate("ridge", model, space)
    (distribution,) = map(distribution_of, space.values())
    assert distribution.choices == ("[0.1, 10.0]", "[0.1]", "[10.0]")
    assert candidate.defaults() == {"estimator__alphas": "[0.1, 10.0]"}
    made = candidate.make({"estimator__alphas": "[10.0]"})
    assert made.estimator.alphas == [10.0]
    assert made.fit(np.eye(4), np.arange(4.0)).shared_.alpha_ == 10.0


def test_options_that_no_storage_keeps_go_by_their_repr():
    space = {"backbone": Choice((None, MLP((8,)))), "n": Integer(1, 3), "x": Real(0.1, 1.0)}
    assert distribution_of(space["backbone"]).choices == (None, "MLP(hidden_layer_sizes=(8,))")
    values = decode(space, {"backbone": "MLP(hidden_layer_sizes=(8,))", "n": 2})
    assert values["n"] == 2
    assert values["backbone"].hidden_layer_sizes == (8,)


def test_wrappers_own_values_come_beside_those_inside():
    assert set(search_space_of(ShrunkRegressor(Ridge()))) == {"random_effects", "estimator__alpha"}


def test_set_params_reaches_the_learners_own():
    model = MetaClassifier(learner="maml", learner_params={"inner_lr": 0.1})
    pipe = make_pipeline(StandardScaler(), model)
    pipe.set_params(metaclassifier__learner_params__adaptation_steps=3)
    assert model.learner_params == {"inner_lr": 0.1, "adaptation_steps": 3}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([1], r"space must be a dict of distributions, got \[1\]"),
        ({"a": 1}, r"map candidates to dicts .* got 'a': 1\."),
        ({"c": {"x": 1}}, r"got 'c': \{'x': 1\}"),
        ({"a": {"alpha_": Real(1, 2)}}, r"got 'alpha_'\. Did you mean 'alpha'\?"),
        (
            {"a": {"alpha": 3}},
            r"space\['alpha'\] must be a distribution or a list of values, got 3",
        ),
    ],
)
def test_spaces_that_cannot_be_searched(space, message):
    models = {"a": Ridge(), "b": Ridge()}
    with pytest.raises(ParameterError, match=message):
        make_space(models, {"a": "learner", "b": "learner"}, space, tabular=True)


def test_users_space_takes_the_place_of_the_learners_own():
    own = {"alpha": FloatDistribution(0.1, 1.0)}
    (one,) = make_space({"a": Ridge()}, {"a": "learner"}, own, tabular=True)
    assert one.space == own
    models, families = {"a": Ridge(), "b": Ridge()}, {"a": "learner", "b": "learner"}
    first, second = make_space(models, families, {"a": own}, tabular=True)
    assert first.space == own
    assert set(second.space) == {"alpha"}
    plain = {"alpha": CategoricalDistribution([1.0, 2.0])}
    (one,) = make_space({"a": Ridge()}, {"a": "learner"}, {"a": plain}, tabular=True)
    assert one.space == plain
