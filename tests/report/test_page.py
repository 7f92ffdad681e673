import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import metaskl
from metaskl import PerTask
from metaskl.errors import ParameterError
from metaskl.report import AdaptationDisplay, write_report
from metaskl.tasks import LinearTasks

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, and raises where tags do not fit together."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "svg"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def adaptation():
    lines = LinearTasks(n_features=1).sample(6, 12, random_state=0)
    return AdaptationDisplay.from_task(
        PerTask(Ridge()), lines.X, lines.y, lines.groups, task=2, n_shot=4
    )


def read(path, comparison, **kwargs):
    return Page(write_report(comparison, path / "report.html", **kwargs).read_text("utf-8"))


def test_the_verdict_comes_first_in_words(tmp_path, comparison):
    text = read(tmp_path, comparison).text
    verdict = "It depends: meta-learning pays at 5 labelled rows."
    assert text.index(verdict) < text.index("Leaderboard") < text.index("How it was measured")
    for line in str(comparison.verdict).splitlines()[1:]:
        assert line.strip().strip("()") in text


@pytest.mark.parametrize(
    ("signs", "tone"), [((1, 1), "yes"), ((1, -1), "depends"), ((0, -1), "no"), ((0, 0), "no")]
)
def test_the_verdict_has_its_colour(tmp_path, signs, tone, make_comparison):
    page = read(tmp_path, make_comparison(signs))
    assert ("section", {"class": f"verdict {tone}"}) in page.tags


def test_the_leaderboard_has_means_and_intervals(tmp_path, comparison):
    text = read(tmp_path, comparison).text
    board = comparison.leaderboard()
    assert "5 rows 3 tasks 20 rows 3 tasks" in text
    for name in board.index:
        mean, low, high = board.loc[name, 5][["mean", "low", "high"]]
        assert f"{mean:#.4g} {low:#.4g} to {high:#.4g}" in text
    assert text.index("maml learner") < text.index("pooled ridge pooled")


def test_the_protocol_is_told(tmp_path, comparison, make_comparison):
    text = read(tmp_path, comparison).text
    for told in [
        "1,234 rows of 3 tasks, regression",
        "whole tasks: none of their rows is seen in training",
        "Folds 3",
        "2 for each task, the same for all",
        "Labelled rows 5 rows, 20 rows",
        "Transductive no",
        "Seed 7",
        f"metaskl {metaskl.__version__}",
        "torch ",
        "scikit-learn ",
    ]:
        assert told in text
    assert re.search(r"Date \d{4}-\d\d-\d\d", text)
    transductive = {"transductive": True, "transductive_candidates": ["maml", "mann"]}
    text = read(tmp_path, make_comparison(**transductive)).text
    assert "Transductive yes: query rows inform others in maml, mann" in text
    assert "label space task" in read(tmp_path, make_comparison(label_space="task")).text


def test_sets_of_classes_are_not_called_tasks(tmp_path, make_comparison):
    text = read(tmp_path, make_comparison(tasks_are="sets of classes")).text
    for told in [
        "and 95 % interval over sets of classes. Rank: mean over sets of classes and shot",
        "3 sets of classes",
        "2 for each set of classes, the same for all",
        "Mean over sets of classes.",
        "Intervals 95 %, over sets of classes",
    ]:
        assert told in text
    assert "over tasks" not in text.partition("Leaderboard")[2]


def test_failures_are_told_and_nothing_is_taken_for_markup(tmp_path, make_comparison):
    comparison = make_comparison(failures={"<b>mine": "ValueError: <script>alert(1)</script> & so"})
    page = read(tmp_path, comparison, title="<i>a & b</i>")
    assert "<b>mine ValueError: <script>alert(1)</script> & so" in page.text
    assert "<i>a & b</i>" in page.text
    assert {"script", "b", "i"} & {tag for tag, _ in page.tags} == set()
    assert "Nothing: every candidate" in read(tmp_path, make_comparison()).text


def test_the_page_needs_nothing_else(tmp_path, comparison):
    page = read(tmp_path, comparison, adaptation=adaptation())
    loading = {"src", "href", "xlink:href", "srcset", "poster", "data", "action"}
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        for name in loading & set(attributes):
            assert attributes[name].startswith(("#", "data:"))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall(r"@import|url\((?!#)", text) == []


def test_ids_are_unique_and_every_reference_finds_its_own(tmp_path, comparison):
    page = read(tmp_path, comparison, adaptation=adaptation())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)} <= set(ids)


def test_it_is_readable_in_the_dark_and_on_a_phone(tmp_path, comparison):
    write_report(comparison, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport" content="width=device-width' in text
    assert "currentColor" in text
    assert "#010203" not in text
    assert "#000000" not in text


def test_the_adaptation_of_a_task_is_shown(tmp_path, comparison):
    page = read(tmp_path, comparison, adaptation=adaptation())
    assert "Task 2, adapted to 4 of its rows." in page.text
    labels = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert labels == ["What labelled rows bring", "With 5 rows of a task", "One task"]


def test_the_same_comparison_gives_the_same_page(tmp_path, comparison):
    pages = [write_report(comparison, tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_a_shot_count_without_any_score_is_left_out(tmp_path, comparison):
    comparison.scores.loc[comparison.scores["n_shot"] == 20, "score"] = np.nan
    assert "20 rows" not in read(tmp_path, comparison).text.partition("How it was measured")[0]


def test_scores_that_are_not_defined_are_no_numbers(tmp_path, comparison):
    scores = comparison.scores
    scores.loc[(scores["task"] != "a") & (scores["n_shot"] == 20), "score"] = np.nan
    text = read(tmp_path, comparison).text
    assert "5 rows 3 tasks 20 rows 1 task " in text
    assert "nan" not in text.replace("nano", "")
    assert "– to –" in text


@pytest.mark.parametrize("name", ["report.pdf", "report.PNG"])
def test_another_format_is_not_promised(name, tmp_path, comparison):
    with pytest.raises(ParameterError, match=r"must be a file that ends in \.html"):
        write_report(comparison, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_the_protocol_names_shots_left_out_only_where_there_are_some(tmp_path, comparison):
    assert comparison.protocol.get("n_shot_left_out", []) == []
    assert "shot left out" not in read(tmp_path, comparison).text
    protocol = comparison.protocol | {"n_shot_left_out": [50]}
    told = read(tmp_path, replace(comparison, protocol=protocol)).text
    assert "n shot left out [50]" in told
