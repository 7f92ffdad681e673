"""Synthetic pairs of languages whose dictionary is known."""

from __future__ import annotations

import numpy as np
from scipy.stats import ortho_group

from metaskl.errors import ParameterError
from metaskl.tasks.synthetic import Array, Seed, TaskFamily, TaskSample


class LanguagePairs(TaskFamily):
    """Word vectors of pairs of languages that turn into each other by a rotation each.

    Words mean concepts: vectors c, whose spread falls from direction to direction as in real word
    vectors. In the pair t a word's source vector is x = c + ε and its translation's
    y = c W_t + ε′, both scaled to length 1, with normal noise ε, ε′. The rotation of a pair is
    W_t = W₀ exp(τ A_t): W₀ is common to all pairs, A_t a random skew-symmetric matrix of spectral
    norm about 1. Where τ = 0 one dictionary serves all pairs; where τ is large, the pairs have
    nothing in common.

    Parameters
    ----------
    n_features : int, default=50
        Length of a vector, >= 2.
    spread : float, default=0.5
        τ, how much the pairs differ, >= 0: about the largest angle, in radians, by which a pair is
        turned away from the common map.
    noise : float, default=0.3
        Length of ε relative to a concept's vector, >= 0: how unlike words and translations are.
    decay : float, default=0.5
        The standard deviation of direction i is (i + 1) to the power of −`decay`, >= 0.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.

    Examples
    --------
    >>> from metaskl_text import LanguagePairs
    >>> pairs = LanguagePairs(8).sample(3, 100, random_state=0)
    >>> pairs.X.shape, pairs.y.shape, pairs.parameters["rotation"].shape
    ((300, 8), (300, 8), (3, 8, 8))
    """

    def __init__(
        self,
        n_features: int = 50,
        *,
        spread: float = 0.5,
        noise: float = 0.3,
        decay: float = 0.5,
    ) -> None:
        if n_features < 2 or min(spread, noise, decay) < 0:
            raise ParameterError(
                "n_features must be at least 2, and spread, noise and decay 0 or more, got "
                f"{n_features}, {spread}, {noise} and {decay}."
            )
        self.n_features = n_features
        self.spread = spread
        self.noise = noise
        self.decay = decay

    def sample(self, n_tasks: int, n_rows: int, *, random_state: Seed = None) -> TaskSample:
        """Draw pairs of languages; rows are words with their translations.

        Parameters
        ----------
        n_tasks : int
            Pairs of languages, around one common map.
        n_rows : int
            Words of each, drawn anew.
        random_state : int, Generator or None, default=None
            Seed.

        Returns
        -------
        TaskSample
            `X` and `y` of shape (n_tasks * n_rows, n_features), the `parameters` ``rotation``
            (the true maps) and ``common`` (W₀, the same for each).
        """
        rng = np.random.default_rng(random_state)
        size = self.n_features
        common = ortho_group.rvs(size, random_state=rng)
        rotation = np.stack([common @ self._turn(rng) for _ in range(n_tasks)])
        deviation = np.arange(1, size + 1) ** -self.decay
        deviation /= np.linalg.norm(deviation)
        concepts = rng.standard_normal((n_tasks, n_rows, size)) * deviation
        # Concepts are spread around directions that no axis favours.
        concepts = concepts @ ortho_group.rvs(size, random_state=rng)
        X = _unit(concepts + self._noise(rng, concepts.shape))
        y = _unit(concepts @ rotation + self._noise(rng, concepts.shape))

        def truth(task: int, X: Array) -> Array:
            mapped: Array = X @ rotation[task]
            return mapped

        parameters = {"rotation": rotation, "common": np.stack([common] * n_tasks)}
        groups = np.repeat(np.arange(n_tasks), n_rows)
        return TaskSample(X.reshape(-1, size), y.reshape(-1, size), groups, parameters, truth)

    def _turn(self, rng: np.random.Generator) -> Array:
        """Return exp(τ A), by the eigenvalues of the Hermitian iA."""
        free = rng.standard_normal((self.n_features, self.n_features))
        # The spectral norm of a random skew-symmetric matrix tends to this.
        skew = (free - free.T) / np.sqrt(8 * self.n_features)
        angles, vectors = np.linalg.eigh(1j * skew)
        turn = (vectors * np.exp(-1j * self.spread * angles)) @ vectors.conj().T
        return np.asarray(turn.real)

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.noise * rng.standard_normal(shape) / np.sqrt(self.n_features))


def _unit(vectors: Array) -> Array:
    scaled: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
