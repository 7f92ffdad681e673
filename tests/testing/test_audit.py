"""Every registered learner is held to the laws, a plugin's too."""

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from metaskl import MetaRegressor, registry
from metaskl.errors import PluginError
from metaskl.learners.ridge_head import RidgeHead
from metaskl.registry import list_learners, register
from metaskl.testing import (
    EstimatorLaws,
    LearnerLaws,
    PluginLaws,
    laws_of,
    learners_of,
    registered_learners,
    uncovered_learners,
)
from metaskl.testing.plugin_laws import keep_law

ROOT = Path(__file__).parents[2]
SESSION = """
    import pytest
    from metaskl.testing import LearnerLaws, PluginLaws

    class TestSome(PluginLaws):
        @pytest.fixture(params=["maml", "metaskl:cavia"])
        def learner_name(self, request):
            return request.param

    @pytest.mark.parametrize("learner_name", ["reptile"])
    class TestOne(LearnerLaws):
        @pytest.fixture
        def learner_class(self, learner_name):
            return None

    @pytest.mark.parametrize("learner_name", ["imaml"])
    def test_that_holds_it_to_no_law(learner_name):
        pass
"""
AUDIT = """
    from metaskl.testing import uncovered_learners

    def pytest_collection_finish(session):
        print("uncovered:", *uncovered_learners(session.items, "metaskl"))
"""
GOOD = "from metaskl.learners.maml import MAML\nclass Mine(MAML): metaskl_api = 1\n"


@pytest.fixture(autouse=True)
def _own_session(monkeypatch):
    monkeypatch.setattr(registry, "_session", {})


class CountsEpochs(RidgeHead):
    """Counts epochs where no checkpoint looks."""

    n_begun = 0

    def begin_epoch(self, epoch):
        self.n_begun += 1

    def episode_loss(self, episode):
        return super().episode_loss(episode) * self.n_begun


def test_every_registered_learner_is_covered(request):
    """In a run of the whole suite, whose items each worker collects."""
    config = request.config
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not whole or config.option.keyword or config.option.markexpr:
        pytest.skip("only a run of the whole suite covers every learner")
    assert uncovered_learners(request.session.items) == []


def test_a_learner_that_no_test_holds_to_the_laws_is_named(tmp_path):
    (tmp_path / "test_some.py").write_text(textwrap.dedent(SESSION))
    (tmp_path / "conftest.py").write_text(textwrap.dedent(AUDIT))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (missed,) = re.findall(r"uncovered: (.*)", done.stdout)
    covered = {"maml", "cavia", "reptile"}
    expected = {f"metaskl:{name}" for name in set(registered_learners()) - covered}
    assert set(missed.split()) == expected


def test_the_learners_of_a_package(tmp_path, monkeypatch):
    info = tmp_path / "metaskl_mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metaskl-mine\nVersion: 1.0\n")
    entries = "[metaskl.learners]\nmine = metaskl_mine:Mine\nmaml = metaskl_mine:Mine\n"
    (info / "entry_points.txt").write_text(entries)
    (tmp_path / "metaskl_mine.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert learners_of("Metaskl_Mine") == ["metaskl-mine:maml", "mine"]
    assert uncovered_learners([], "metaskl-mine") == ["metaskl-mine:maml", "metaskl-mine:mine"]
    assert len(uncovered_learners([])) == len(list_learners())
    (info / "entry_points.txt").write_text("[metaskl.learners]\nno entry\n")
    info.rename(tmp_path / "metaskl_mine-1.1.dist-info")
    with pytest.raises(PluginError, match="entry points that can be read: its entry points cannot"):
        learners_of("metaskl-mine")


def test_a_package_without_learners_is_told_how_to_be_installed():
    message = r"got 'metaskl-none'; there are 'metaskl'.* Run pip install -e \. in its folder"
    with pytest.raises(PluginError, match=message):
        learners_of("metaskl-none")


def test_a_package_is_held_to_the_laws_of_learners_and_of_estimators():
    both = {*laws_of(LearnerLaws), *laws_of(EstimatorLaws)}
    assert set(laws_of(PluginLaws)) == both
    assert len(both) == len(laws_of(LearnerLaws)) + len(laws_of(EstimatorLaws))


def test_a_law_of_estimators_catches_a_learner():
    register("counts", CountsEpochs)
    estimator = MetaRegressor(learner="counts", max_epochs=1, steps_per_epoch=2)
    law = laws_of(PluginLaws)["test_a_stopped_fit_resumes_bit_by_bit"]
    with pytest.raises(AssertionError, match="resumes bit by bit, numbers: the losses"):
        law({"numbers": estimator}, {})
    law({"numbers": MetaRegressor(max_epochs=1, steps_per_epoch=2)}, {})


def test_what_is_judged_is_trained_as_long_as_was_asked_for():
    seen = []

    def law(estimator, longer_trained):
        seen.append((estimator.steps_per_epoch, longer_trained.steps_per_epoch))

    keep_law("a law", law, MetaRegressor(steps_per_epoch=2), {"steps_per_epoch": 40})
    keep_law("a law", law, MetaRegressor(steps_per_epoch=2))
    assert seen == [(2, 40), (2, 2)]


def test_every_plugin_of_this_repository_has_the_laws_in_its_tests():
    """So that the audit of the whole suite does not rest on what happens to be installed."""
    for project in ROOT.glob("plugins/*/pyproject.toml"):
        described = tomllib.loads(project.read_text())["project"]
        if "metaskl.learners" in described.get("entry-points", {}):
            tests = "".join(path.read_text() for path in project.parent.rglob("test_*.py"))
            assert f'learners_of("{described["name"]}")' in tests, project.parent.name
