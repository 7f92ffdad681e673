"""Token tables, features of tokens, and taggers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from metaskl import MetaClassifier, adapt
from metaskl.errors import ParameterError, TableError
from metaskl_text import (
    Span,
    SpanTagger,
    TokenFeatures,
    TokenWindows,
    TwoStageTagger,
    span_windows,
)
from metaskl_text.token_features import long_shape_of, shape_of

TABLE = pd.DataFrame({"sentence": [0, 0, 0, 1], "token": ["I", "met", "Ann", "Bye"]})


def sentences(domain, n_sentences, seed):
    """Return sentences about people and a kind of thing that this domain alone has."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n_sentences):
        name = "".join(rng.choice(list("abcdefgh"), 5))
        thing = f"{domain}{rng.integers(100, 999)}"
        words = ["we", "saw", name.title(), name[::-1].title(), "near", thing, "."]
        tags = ["O", "O", "B-person", "I-person", "O", f"B-{domain}", "O"]
        rows += [(domain, number, *pair) for pair in zip(words, tags, strict=True)]
    return pd.DataFrame(rows, columns=["domain", "sentence", "token", "tag"])


def logistic():
    return make_pipeline(TokenFeatures(), LogisticRegression(C=100))


def test_windows_worked_out_by_hand():
    rows = TokenWindows(2).fit_transform(TABLE).tolist()
    assert rows == [
        ["", "", "I", "met", "Ann"],
        ["", "I", "met", "Ann", ""],
        ["I", "met", "Ann", "", ""],
        ["", "", "Bye", "", ""],
    ]
    assert TokenWindows(0).fit_transform(TABLE).tolist() == [["I"], ["met"], ["Ann"], ["Bye"]]
    names = TokenWindows(1).get_feature_names_out().tolist()
    assert names == ["token-1", "token", "token+1"]


def test_several_columns_may_name_a_sentence():
    table = TABLE.assign(part=["a", "a", "b", "b"], sentence=0)
    rows = TokenWindows(1, sentence=["part", "sentence"]).fit_transform(table).tolist()
    assert rows == [["", "I", "met"], ["I", "met", ""], ["", "Ann", "Bye"], ["Ann", "Bye", ""]]


def test_bad_token_tables_are_refused():
    windows = TokenWindows()
    with pytest.raises(TableError, match="row 2 goes back to an earlier one"):
        windows.fit_transform(TABLE.assign(sentence=[1, 0, 1, 1]))
    with pytest.raises(TableError, match=r"'None' and 'NA' for missing values: read_csv"):
        windows.fit_transform(TABLE.assign(token=["I", None, "a", "b"]))
    with pytest.raises(TableError, match=r"must have the column\(s\) \['word'\]"):
        TokenWindows(token="word").fit_transform(TABLE)
    with pytest.raises(TableError, match="must be a DataFrame with a row per token, got list"):
        windows.fit([["I"]])
    with pytest.raises(TableError, match="at least one token, got 0 rows"):
        windows.fit(TABLE.iloc[:0])
    with pytest.raises(ParameterError, match="window must be a whole number from 0 up, got -1"):
        TokenWindows(-1).fit(TABLE)


def test_rows_of_entities_stay_in_their_sentence():
    rows = span_windows(TABLE["token"], TABLE["sentence"], [Span(1, 3, "x"), Span(3, 4, "x")], 2)
    assert rows.tolist() == [["", "I", "met Ann", "", ""], ["", "", "Bye", "", ""]]


@pytest.mark.parametrize(
    ("word", "long", "short"),
    [("Ann", "Xxx", "Xx"), ("U.S.", "X.X.", "X.X."), ("3-4b", "d-dx", "d-dx"), ("", "", "")],
)
def test_shapes_of_words(word, long, short):
    assert long_shape_of(word) == long
    assert shape_of(word) == short


def test_what_a_token_has_in_common_with_another():
    def likeness(one, other, **options):
        rows = TokenFeatures(2**18, **options).fit_transform([one, other])
        return (rows[0] @ rows[1].T).toarray().item()

    token = ["in", "Rome", "."]
    assert likeness(token, token) == pytest.approx(1.0)
    # Of one window: bias, word, short and long shape; nothing else without affixes and neighbours.
    # ["Rome"] and ["Bonn"] share bias and both shapes, of bias, w0, in, s0, long: 3 of 5.
    assert likeness(["Rome"], ["Bonn"], affixes=0) == pytest.approx(3 / 5)
    assert likeness(["Rome"], ["rome"], affixes=0) == pytest.approx(3 / 5)  # bias, w0, in
    # Of bias and the words alone: only the bias is common.
    assert likeness(["Rome"], ["Bonn"], affixes=0, shapes=False) == pytest.approx(1 / 3)
    assert likeness(["Rome"], ["Bonn"], words=False, affixes=0) == pytest.approx(1.0)
    assert likeness(token, ["in", "Bonn", "."]) > likeness(token, ["she", "runs", "far"])


def test_windows_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"odd number of tokens\), got the shape \(1, 2\)"):
        TokenFeatures().fit([["a", "b"]])
    with pytest.raises(ValueError, match="windows of 1 tokens as in fit, got 3"):
        TokenFeatures().fit([["a"]]).transform([["a", "b", "c"]])
    with pytest.raises(ValueError, match="must hold texts only"):
        TokenFeatures().fit([["a", 1, "b"]])
    with pytest.raises(ParameterError, match="something must be used"):
        TokenFeatures(affixes=0, words=False, shapes=False).fit([["a"]])


def test_a_tagger_of_any_classifier_finds_names():
    table, new = sentences("river", 20, 0), sentences("river", 10, 1)
    for classifier in (LogisticRegression(C=100), LinearSVC()):
        tagger = SpanTagger(make_pipeline(TokenFeatures(), classifier)).fit(table, table["tag"])
        assert tagger.score(new, new["tag"]) == 1.0
        assert tagger.predict_spans(new)[:2] == [Span(2, 4, "person"), Span(5, 6, "river")]
        assert tagger.span_scores(new, new["tag"]).n_true == 20


def test_predicted_tags_are_allowed_where_the_classifiers_own_are_not():
    table = sentences("river", 20, 0)
    shuffled = np.random.default_rng(0).permutation(table["tag"])
    tagger = SpanTagger(make_pipeline(TokenFeatures(), KNeighborsClassifier(3)))
    predicted = tagger.fit(table, shuffled).predict(table)
    before = np.r_[["O"], predicted[:-1]]
    inside = np.array([tag.startswith("I-") for tag in predicted])
    assert inside.any()
    assert np.isin(before[inside], ["B-person", "I-person"]).all()


def test_a_tagger_adapts_to_types_of_its_own():
    table = pd.concat([sentences(domain, 20, i) for i, domain in enumerate("abcdef")])
    meta = MetaClassifier(
        learner="protonet", label_space="task", n_way=4, max_epochs=1, random_state=0
    )
    vectors = make_pipeline(TokenFeatures(), TruncatedSVD(30, random_state=0))
    tagger = SpanTagger(make_pipeline(vectors, meta), sentence=["domain", "sentence"])
    tagger.fit(table, table["tag"], groups=table["domain"])
    support, query = sentences("zzz", 3, 8), sentences("zzz", 10, 9)
    adapted = adapt(tagger, support, support["tag"])
    assert adapted.score(query, query["tag"]) > 0.9
    assert set(adapted.classes_) == set(support["tag"])
    assert adapted.estimator_ is not tagger.estimator_


def test_taggers_say_what_is_wrong():
    class Mute(LogisticRegression):
        predict_proba = decision_function = property(lambda self: self._none)

    table = sentences("river", 5, 0)
    with pytest.raises(ValueError, match="a tag must be 'O'"):
        SpanTagger(logistic()).fit(table, ["person"] * len(table))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SpanTagger(logistic()).fit(table, ["O"])
    with pytest.raises(NotFittedError):
        SpanTagger(logistic()).predict(table)
    fitted = SpanTagger(make_pipeline(TokenFeatures(), Mute())).fit(table, table["tag"])
    with pytest.raises(ParameterError, match="must have predict_proba or decision_function"):
        fitted.predict(table)
    with pytest.raises(ParameterError, match="must be able to adapt, got a LogisticRegression"):
        SpanTagger(logistic()).fit(table, table["tag"]).adapt(table, table["tag"])


@pytest.fixture(scope="module")
def two_stage():
    table = pd.concat([sentences(domain, 20, i) for i, domain in enumerate("abcdef")])
    tagger = TwoStageTagger(logistic(), logistic(), sentence=["domain", "sentence"])
    return tagger.fit(table, table["tag"])


def test_two_stages_learn_new_types_from_one_sentence(two_stage):
    support, query = sentences("zzz", 1, 8), sentences("zzz", 10, 9)
    adapted = adapt(two_stage, support, support["tag"])
    assert adapted.types_ == ["person", "zzz"]
    assert adapted.score(query, query["tag"]) == 1.0
    assert adapted.span_scores(query, query["tag"]).n_predicted == 20
    with pytest.raises(NotFittedError, match="Call adapt with tagged sentences first"):
        two_stage.predict(query)


def test_an_adapted_copy_that_is_fitted_anew_must_be_adapted_anew(two_stage):
    support = sentences("zzz", 2, 8)
    adapted = two_stage.adapt(support, support["tag"])
    with pytest.raises(NotFittedError, match="Call adapt with tagged sentences first"):
        adapted.fit(support, support["tag"]).predict(support)


def test_two_stages_with_a_support_of_one_type_or_none(two_stage):
    support, query = sentences("zzz", 2, 8), sentences("zzz", 3, 9)
    people = support["tag"].where(support["tag"].str.endswith("person"), "O")
    found = two_stage.adapt(support, people).predict_spans(query)
    assert {span.type for span in found} == {"person"}
    nothing = two_stage.adapt(support, ["O"] * len(support))
    assert nothing.predict_spans(query) == []
    assert set(nothing.predict(query)) == {"O"}


def test_both_stages_may_be_meta_learned():
    table = pd.concat([sentences(domain, 20, i) for i, domain in enumerate("abcdef")])

    def vectors():
        return make_pipeline(TokenFeatures(), TruncatedSVD(30, random_state=0))

    shared = {"max_epochs": 1, "random_state": 0}
    detector = MetaClassifier(learner="ridge_head", n_shot=40, n_query=40, **shared)
    typer = MetaClassifier(learner="protonet", label_space="task", n_way=2, **shared)
    tagger = TwoStageTagger(
        make_pipeline(vectors(), detector),
        make_pipeline(vectors(), typer),
        sentence=["domain", "sentence"],
    ).fit(table, table["tag"], groups=table["domain"])
    support, query = sentences("zzz", 3, 8), sentences("zzz", 10, 9)
    assert tagger.adapt(support, support["tag"]).score(query, query["tag"]) > 0.9


@pytest.mark.parametrize("two_stages", [False, True])
def test_an_ordinary_classifier_has_no_use_for_tasks(two_stages):
    table = sentences("abc", 6, 0)
    plain = make_pipeline(TokenFeatures(), LogisticRegression())
    tagger = TwoStageTagger(plain, plain) if two_stages else SpanTagger(plain)
    found = []
    for groups in (None, table["domain"]):
        fitted = tagger.fit(table, table["tag"], groups=groups)
        fitted = fitted.adapt(table, table["tag"]) if two_stages else fitted
        found.append(fitted.predict(table))
    np.testing.assert_array_equal(*found)
