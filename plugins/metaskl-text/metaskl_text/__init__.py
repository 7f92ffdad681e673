"""Few-shot classification of texts, named entities and bilingual transfer for metaskl."""

from metaskl_text.encoder import SentenceEncoder
from metaskl_text.languages import LanguagePairs
from metaskl_text.orthogonal import OrthogonalMap
from metaskl_text.procrustes import Procrustes
from metaskl_text.retrieval import precision_at_one, translate
from metaskl_text.span_scores import SpanScores, span_scores
from metaskl_text.spans import Span, spans_of, tags_of
from metaskl_text.tagger import SpanTagger
from metaskl_text.token_features import TokenFeatures
from metaskl_text.two_stage import TwoStageTagger
from metaskl_text.vectorisers import hashing_vectors, tfidf_vectors
from metaskl_text.windows import TokenWindows, span_windows

__all__ = [
    "LanguagePairs",
    "OrthogonalMap",
    "Procrustes",
    "SentenceEncoder",
    "Span",
    "SpanScores",
    "SpanTagger",
    "TokenFeatures",
    "TokenWindows",
    "TwoStageTagger",
    "hashing_vectors",
    "precision_at_one",
    "span_scores",
    "span_windows",
    "spans_of",
    "tags_of",
    "tfidf_vectors",
    "translate",
]
