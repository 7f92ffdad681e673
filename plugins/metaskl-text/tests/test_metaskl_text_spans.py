"""Entities, their scores and the best allowed tags: answers worked out by hand."""

import itertools

import numpy as np
import pytest

from metaskl_text import Span, span_scores, spans_of, tags_of
from metaskl_text.decoding import allowed_steps, best_tags


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-a I-a O B-b", [(0, 2, "a"), (3, 4, "b")]),
        ("B-a B-a I-a", [(0, 1, "a"), (1, 3, "a")]),  # neighbours of one type
        ("B-a I-b", [(0, 1, "a"), (1, 2, "b")]),  # another type begins a new one
        ("I-a I-a O I-a", [(0, 2, "a"), (3, 4, "a")]),  # no B at all
        ("B-a-b I-a-b", [(0, 2, "a-b")]),  # a type with a hyphen
    ],
)
def test_spans_by_the_convention_of_conll(tags, spans):
    assert spans_of(tags.split()) == [Span(*span) for span in spans]


def test_an_entity_ends_with_its_sentence():
    assert spans_of(["B-a", "I-a"], sentences=[0, 1]) == [Span(0, 1, "a"), Span(1, 2, "a")]
    with pytest.raises(ValueError, match="sentence of each of 2 tokens, got 1"):
        spans_of(["O", "O"], sentences=[0])


@pytest.mark.parametrize("tag", ["", "S-per", "B-", "per", "I", "O-per", "nan"])
def test_other_schemes_are_refused(tag):
    with pytest.raises(ValueError, match=f"'O', 'B-' or 'I-' with a type, got '{tag}'"):
        spans_of([tag])


def test_tags_and_spans_are_each_others_inverse():
    tags = ["B-a", "B-a", "I-a", "O", "B-b"]
    assert tags_of(spans_of(tags), 5) == tags
    with pytest.raises(ValueError, match="must not overlap"):
        tags_of([Span(0, 2, "a"), Span(1, 3, "b")], 4)
    with pytest.raises(ValueError, match="lie in the 4 tokens"):
        tags_of([Span(3, 5, "a")], 4)


def test_scores_worked_out_by_hand():
    # Tokens:      0     1     2    3     4    5     6     7
    true = ["B-per", "I-per", "O", "B-loc", "O", "B-org", "I-org", "O"]
    predicted = ["B-per", "I-per", "O", "B-org", "O", "B-org", "O", "B-loc"]
    # Right: per 0-2. Wrong: loc 3 as org, org 5-7 cut to 5, and loc 7 out of nothing.
    # 3 entities there are, 4 are predicted, 1 is right: 1/4, 1/3, 2 / (3 + 4).
    scores = span_scores(true, predicted)
    assert (scores.n_true, scores.n_predicted, scores.n_correct) == (3, 4, 1)
    assert scores.precision == 1 / 4
    assert scores.recall == 1 / 3
    assert scores.f1 == pytest.approx(2 / 7)
    assert scores.by_type.loc["per"].tolist() == [1, 1, 1, 1, 1, 1]
    assert scores.by_type.loc["org"].tolist() == [0, 0, 0, 1, 2, 0]
    assert scores.by_type.loc["loc"].tolist() == [0, 0, 0, 1, 1, 0]


def test_f1_is_the_harmonic_mean():
    scores = span_scores(["B-a", "B-a", "O"], ["B-a", "O", "O"])
    assert scores.f1 == pytest.approx(2 / (1 / scores.precision + 1 / scores.recall))
    assert scores.f1 == pytest.approx(2 / 3)


def test_sentences_decide_what_is_right():
    # In one sentence the prediction is one entity of two tokens, as it should be; in two it is two.
    true, predicted = ["B-a", "I-a"], ["I-a", "I-a"]
    assert span_scores(true, predicted).f1 == 1.0
    assert span_scores(true, predicted, sentences=[0, 1]).n_predicted == 2


def test_nothing_to_find_and_nothing_found():
    scores = span_scores(["O"], ["O"])
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)
    assert len(scores.by_type) == 0
    with pytest.raises(ValueError, match="the same tokens, got 1 and 2"):
        span_scores(["O"], ["O", "O"])


TAGS = ["B-a", "B-b", "I-a", "I-b", "O"]


def allowed(tags):
    before = ["O", *tags]
    return all(
        not tag.startswith("I-") or last in (tag, "B" + tag[1:])
        for last, tag in itertools.pairwise(before)
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_best_tags_are_those_of_trying_all(seed):
    scores = np.random.default_rng(seed).normal(size=(5, 5))
    every = itertools.product(range(5), repeat=5)
    sums = {
        tags: sum(scores[i, tag] for i, tag in enumerate(tags))
        for tags in every
        if allowed([TAGS[tag] for tag in tags])
    }
    best = max(sums, key=sums.get)
    assert best_tags(scores, TAGS, [0] * 5).tolist() == [TAGS[tag] for tag in best]


def test_each_sentence_begins_anew():
    # I-a is best everywhere. Within a sentence it must be begun by a B-a, at its first token.
    scores = np.tile([-2.0, -9.0, -1.0, -9.0, -8.0], (4, 1))
    assert best_tags(scores, TAGS, [0, 0, 1, 1]).tolist() == ["B-a", "I-a", "B-a", "I-a"]


def test_without_a_beginning_tag_the_inside_may_begin():
    first, follows = allowed_steps(["I-a", "O"])
    assert first.all()
    assert follows.all()


def test_a_tag_of_probability_zero_beats_one_that_is_not_allowed():
    scores = np.log(np.maximum([[0.0, 1.0, 0.0]], 1e-300))
    assert best_tags(scores, ["B-a", "I-a", "O"], [0]).tolist() != ["I-a"]
    assert best_tags(np.zeros((0, 2)), ["B-a", "O"], []).tolist() == []
