"""What is worth searching of ordinary scikit-learn models: the insides of the baselines."""

from __future__ import annotations

from typing import Any

from metaskl.learners.space import Choice, Dimension, Integer, Real

_PENALTY = Real(1e-3, 1e4, log=True)
_FOREST: dict[str, Dimension] = {
    "min_samples_leaf": Integer(1, 20, log=True),
    "max_features": Real(0.1, 1.0),
}
_BOOSTING: dict[str, Dimension] = {
    "learning_rate": Real(0.01, 0.3, log=True),
    "min_samples_leaf": Integer(2, 50, log=True),
    "max_leaf_nodes": Integer(3, 31, log=True),
    "l2_regularization": Real(1e-3, 10.0, log=True),
}
_NEIGHBORS: dict[str, Dimension] = {
    "n_neighbors": Integer(1, 15, log=True),
    "weights": Choice(("uniform", "distance")),
}
_MACHINE: dict[str, Dimension] = {
    "C": Real(1e-2, 1e3, log=True),
    "gamma": Real(1e-4, 1.0, log=True),
}
_ORDINARY: dict[str, dict[str, Dimension]] = {
    "Ridge": {"alpha": _PENALTY},
    "RidgeClassifier": {"alpha": _PENALTY},
    "Lasso": {"alpha": Real(1e-4, 10.0, log=True)},
    "ElasticNet": {"alpha": Real(1e-4, 10.0, log=True), "l1_ratio": Real(0.0, 1.0)},
    "LogisticRegression": {"C": Real(1e-3, 1e2, log=True)},
    "RandomForestRegressor": _FOREST,
    "RandomForestClassifier": _FOREST,
    "ExtraTreesRegressor": _FOREST,
    "ExtraTreesClassifier": _FOREST,
    "HistGradientBoostingRegressor": _BOOSTING,
    "HistGradientBoostingClassifier": _BOOSTING,
    "KNeighborsRegressor": _NEIGHBORS,
    "KNeighborsClassifier": _NEIGHBORS,
    "SVR": _MACHINE,
    "SVC": _MACHINE,
    "ShrunkRegressor": {"random_effects": Choice(("intercept", "slopes"))},
    "ShrunkClassifier": {"random_effects": Choice(("intercept", "slopes"))},
}


def ordinary_space(estimator: Any) -> dict[str, Dimension]:
    """Return the space of an ordinary model, by its class or the nearest that it inherits from.

    A `RidgeCV` may keep to its own choice among its penalties, or be held to one of them: what
    suits the support of one task is chosen there on few rows, here on many tasks.
    """
    names = [parent.__name__ for parent in type(estimator).__mro__]
    if "RidgeCV" in names:
        grid = [float(alpha) for alpha in estimator.alphas]
        return {"alphas": Choice((grid, *([alpha] for alpha in grid)))}
    return next((dict(_ORDINARY[name]) for name in names if name in _ORDINARY), {})
