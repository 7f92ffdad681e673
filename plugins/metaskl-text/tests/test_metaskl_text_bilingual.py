"""Maps between languages: closed forms, gradients, and what other pairs are worth."""

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from metaskl import MetaRegressor
from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl_text import LanguagePairs, OrthogonalMap, Procrustes, precision_at_one, translate
from metaskl_text.polar import orthogonal_factor


def rng():
    return np.random.default_rng(0)


def test_the_map_is_scipys():
    X, y = rng().normal(size=(2, 30, 4))
    model = OrthogonalMap().fit(X, y)
    assert pytest.approx(orthogonal_procrustes(X, y)[0]) == model.coef_.T
    assert model.coef_ @ model.coef_.T == pytest.approx(np.eye(4))


def test_with_fewer_outputs_than_features_the_agreement_is_greatest():
    # Xᵀy = (1, 4): W = (1, 4) / √17. The squared error is less for (1, ½) / √1.25, which is not it.
    X, y = np.diag([1.0, 4.0]), np.array([1.0, 1.0])
    found = OrthogonalMap().fit(X, y).coef_
    assert found == pytest.approx(np.array([[1.0, 4.0]]) / 17**0.5)
    other = np.array([[1.0, 0.5]]) / 1.25**0.5
    assert ((X @ other[0] - y) ** 2).sum() < ((X @ found[0] - y) ** 2).sum()


def test_a_turned_and_shifted_language_is_found_exactly():
    X, turn = rng().normal(size=(10, 4)), ortho_group.rvs(4, random_state=1)
    y = X @ turn + np.array([1.0, 2.0, 3.0, 4.0])
    model = OrthogonalMap(centre=True).fit(X, y)
    assert model.predict(X) == pytest.approx(y)
    assert pytest.approx(turn) == model.coef_.T


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (4, 1)])
def test_the_gradient_of_the_orthogonal_factor(shape):
    matrix = torch.from_numpy(rng().normal(size=(2, *shape))).requires_grad_()
    assert torch.autograd.gradcheck(orthogonal_factor, matrix)


def test_equal_singular_values_do_not_break_the_gradient():
    matrix = (2 * torch.eye(3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(orthogonal_factor, matrix)
    with torch.no_grad():
        factor = orthogonal_factor(matrix)
    assert factor.numpy() == pytest.approx(np.eye(3))


def learner(strength=1.0, n_features=4, n_outputs=4):
    return Procrustes(MLP(()).build((n_features,)), n_outputs, strength=strength)


def test_between_the_prior_and_the_plain_map():
    X, y = (torch.from_numpy(part).float() for part in rng().normal(size=(2, 30, 4)))
    plain = torch.from_numpy(OrthogonalMap().fit(X.numpy(), y.numpy()).coef_.T)
    weak, strong = (learner(strength).adapt(X, y)["map"] for strength in (1e-5, 1e5))
    assert weak.detach().numpy() == pytest.approx(plain.numpy(), abs=1e-4)
    assert strong.detach().numpy() == pytest.approx(np.eye(4), abs=1e-3)
    assert learner().initial()["map"].numpy() == pytest.approx(np.eye(4))


def test_the_adapted_map_has_the_highest_posterior_density():
    # log p(W | X, Y) is, but for a constant, tr((XᵀY + F)ᵀ W), as ‖X W‖ does not depend on W.
    X, y = (torch.from_numpy(part).float() for part in rng().normal(size=(2, 6, 4)))
    found = learner(3.0).adapt(X, y)["map"].detach().numpy()
    posterior = X.double().numpy().T @ y.double().numpy() + 3.0 * np.eye(4)
    others = ortho_group.rvs(4, size=500, random_state=0)
    assert np.sum(posterior * found) > (posterior * others).sum((1, 2)).max()


def test_half_way_between_the_prior_and_the_evidence_by_hand():
    # In the plane: XᵀY turns by 90 degrees with singular values 1, F by none with 1. Their sum is
    # [[1, 1], [-1, 1]], the turn by 45 degrees times the root of 2.
    adapted = learner(1.0, 2, 2).adapt(torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    half = 0.5**0.5
    assert adapted["map"].detach().numpy() == pytest.approx(np.array([[half, half], [-half, half]]))


def test_strength_must_be_positive():
    with pytest.raises(ParameterError, match="strength must be above 0, got 0"):
        learner(0)


def test_nearest_and_csls_by_hand():
    # The hub (1, 1)/√2 is near to both sources; each has its own target a little further off.
    sources = np.array([[np.cos(a), np.sin(a)] for a in np.radians([20, 70])])
    targets = np.array([[np.cos(a), np.sin(a)] for a in np.radians([-6, 45, 96])])
    # Cosines: 25 degrees to the hub, 26 to the own target.
    assert translate(sources, targets, method="nearest").tolist() == [1, 1]
    # With one neighbour r(hub) = cos 25° and r(own) = cos 26°: 2 cos 25° − cos 25° = 0.906 beats
    # 2 cos 26° − cos 26° = 0.899 still; with two, r(own) = (cos 26° + cos 76°) / 2 = 0.570 is far
    # below r(hub) = 0.906: 1.228 beats 0.906.
    assert translate(sources, targets, n_neighbors=1).tolist() == [1, 1]
    assert translate(sources, targets, n_neighbors=2).tolist() == [0, 2]
    assert precision_at_one(sources, targets, [0, 2], n_neighbors=2) == 1.0
    assert precision_at_one(sources, targets, [1, 2], method="nearest") == 0.5
    with pytest.raises(ParameterError, match="method must be one of"):
        translate(sources, targets, method="cosine")
    with pytest.raises(ParameterError, match="n_neighbors must be at least 1, got 0"):
        translate(sources, targets, n_neighbors=0)


def test_translating_many_words_equals_a_table_of_all_cosines():
    X, Y = rng().normal(size=(1500, 5)), rng().normal(size=(1100, 5))
    cosines = (X / np.linalg.norm(X, axis=1)[:, None]) @ (Y / np.linalg.norm(Y, axis=1)[:, None]).T
    near_Y = np.sort(cosines, axis=0)[-10:].mean(0)
    near_X = np.sort(cosines, axis=1)[:, -10:].mean(1)
    best = (2 * cosines - near_X[:, None] - near_Y).argmax(1)
    assert (translate(X, Y) == best).all()


def test_languages_without_noise_turn_into_each_other_exactly():
    pairs = LanguagePairs(6, spread=0.7, noise=0.0).sample(3, 20, random_state=0)
    for task in range(3):
        here = pairs.groups == task
        assert pairs.truth(task, pairs.X[here]) == pytest.approx(pairs.y[here])
        turn = pairs.parameters["rotation"][task]
        assert turn @ turn.T == pytest.approx(np.eye(6))


def test_how_far_pairs_are_turned_from_their_common_map():
    for spread in (0.0, 0.5, 1.0):
        pairs = LanguagePairs(80, spread=spread).sample(2, 5, random_state=0)
        turns = pairs.parameters["common"][0].T @ pairs.parameters["rotation"]
        angles = np.abs(np.angle(np.linalg.eigvals(turns))).max()
        assert angles == pytest.approx(spread, rel=0.15, abs=1e-6)
    with pytest.raises(ParameterError, match="spread, noise and decay 0 or more"):
        LanguagePairs(spread=-1)


def test_a_new_pair_is_learned_from_few_words_where_the_pairs_are_alike():
    sample = LanguagePairs(20, spread=1.5, noise=0.4).sample(30, 120, random_state=0)
    X, y, groups = sample.X, sample.y, sample.groups
    known = groups < 25
    meta = MetaRegressor(
        learner="procrustes",
        backbone=MLP(()),
        standardize=False,
        n_shot=(5, 40),
        n_query=40,
        max_epochs=2,
        random_state=0,
    ).fit(X[known], y[known], groups=groups[known])
    common = OrthogonalMap().fit(X[known], y[known])
    found = {"meta": [], "own": [], "common": []}
    for task in range(25, 30):
        here, there = X[groups == task], y[groups == task]
        models = {
            "meta": meta.adapt(here[:8], there[:8]),
            "own": OrthogonalMap().fit(here[:8], there[:8]),
            "common": common,
        }
        for name, model in models.items():
            mapped = model.predict(here[60:])
            found[name].append(precision_at_one(mapped, there, np.arange(60, 120)))
    means = {name: np.mean(values) for name, values in found.items()}
    assert means["meta"] > means["own"] + 0.2
    assert means["meta"] > means["common"] + 0.02
