"""All laws of learners, and scikit-learn's checks of the plain estimators."""

import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_checks

from metaskl.testing import PluginLaws, learners_of
from metaskl_text import (
    OrthogonalMap,
    SentenceEncoder,
    SpanTagger,
    TokenFeatures,
    TokenWindows,
    TwoStageTagger,
)


class TestLearners(PluginLaws):
    @pytest.fixture(params=learners_of("metaskl-text"))
    def learner_name(self, request):
        return request.param


def test_the_orthogonal_map_passes_all_checks_of_scikit_learn():
    results = estimator_checks.check_estimator(OrthogonalMap(), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    assert sum(result["status"] == "passed" for result in results) > 40


# Those of scikit-learn's checks that need no numbers: the others cannot make texts.
WITHOUT_ROWS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_set_params",
    "check_valid_tag_types",
)


@pytest.mark.parametrize("check", WITHOUT_ROWS)
@pytest.mark.parametrize(
    "estimator",
    [
        SentenceEncoder(),
        SpanTagger(LogisticRegression()),
        TokenFeatures(),
        TokenWindows(),
        TwoStageTagger(LogisticRegression(), LogisticRegression()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_of_texts_pass_the_checks_that_need_no_numbers(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
