import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import metaskl
from metaskl.cli import app
from metaskl.cli.features import as_features, take_apart
from metaskl.cli.tables import read_table, to_labels, to_numbers
from metaskl.evaluation.cross_validate import fit_on_tasks
from metaskl.registry import list_learners
from metaskl.tasks import BlobTasks, LinearTasks

NAMED = ("--target", "mark", "--task", "school")
QUICK = ("--max-epochs", "1")
FEW = ("--cv", "2", "--repeats", "1", "--jobs", "1", "--n-shot", "3,6", *QUICK)
CHEAP = ("--learners", "ridge_head", "--baselines", "pooled ridge,per-task ridge")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def frame(n_tasks=10, n_rows=16, seed=0):
    lines = LinearTasks(n_features=2).sample(n_tasks, n_rows, random_state=seed)
    return pd.DataFrame(
        {
            "school": [f"s{i}" for i in lines.groups],
            "age": lines.X[:, 0],
            "income": lines.X[:, 1],
            "mark": lines.y,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def table(folder):
    path = folder / "schools.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def new_school(folder):
    new = frame(n_tasks=1, seed=1)
    new[:5].to_csv(folder / "support.csv", index=False)
    new[5:].drop(columns=["mark", "school"]).to_csv(folder / "query.csv", index=False)
    return new


@pytest.fixture(scope="module")
def model(table, folder):
    done("fit", table, *NAMED, *QUICK, "--learner", "ridge_head", "-o", folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def adapted(model, new_school, folder):
    done("adapt", model, folder / "support.csv", "-o", folder / "adapted")
    return folder / "adapted"


# Regression, there and back


def test_fit_adapt_predict_are_the_python_api(adapted, new_school, folder):
    printed = done("predict", adapted, folder / "query.csv", "--std").stdout
    got = pd.read_csv(pd.io.common.StringIO(printed))
    data = frame()
    estimator = metaskl.MetaRegressor(learner="ridge_head", max_epochs=1, random_state=0)
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), estimator)
    features = ["age", "income"]
    fit_on_tasks(pipeline, data[features], data["mark"], data["school"])
    new = metaskl.adapt(pipeline, new_school[features][:5], new_school["mark"][:5])
    mean, std = new.predict(new_school[features][5:], return_std=True)
    np.testing.assert_allclose(got["prediction"], mean, rtol=1e-4)
    np.testing.assert_allclose(got["std"], std, rtol=1e-4)


def test_the_files_are_what_python_loads(model, adapted, new_school, folder):
    columns = ["age", "income"]
    again = metaskl.adapt(metaskl.load(model), new_school[columns][:5], new_school["mark"][:5])
    loaded = metaskl.load(adapted)
    expected = loaded.predict(new_school[columns][5:])
    np.testing.assert_allclose(again.predict(new_school[columns][5:]), expected)
    assert loaded.feature_names_in_.tolist() == columns
    assert loaded.table_["target"] == "mark"
    done("predict", adapted, folder / "query.csv", "-o", folder / "predictions.csv")
    assert pd.read_csv(folder / "predictions.csv")["prediction"].tolist() == expected.tolist()


def test_predictions_as_json(adapted, model, folder):
    answer = json.loads(done("predict", adapted, folder / "query.csv", "--json", "--std").stdout)
    assert (answer["target"], answer["kind"], answer["n_support"]) == ("mark", "regression", 5)
    assert [set(row) for row in answer["rows"]] == [{"prediction", "std"}] * 11
    result = done("predict", model, folder / "query.csv", "--json")
    assert json.loads(result.stdout)["n_support"] == 0
    assert "The model is not adapted" in result.stderr


def test_columns_are_found_by_name_and_more_of_them_do_no_harm(adapted, new_school, folder):
    shuffled = new_school[5:][["income", "mark", "school", "age"]].assign(more="x")
    shuffled.to_csv(folder / "shuffled.csv", index=False)
    expected = done("predict", adapted, folder / "query.csv").stdout
    assert done("predict", adapted, folder / "shuffled.csv").stdout == expected


def test_the_same_seed_gives_the_same_model(table, folder, new_school):
    answers = []
    for seed in (3, 3, 4):
        done("fit", table, *NAMED, *QUICK, "--seed", seed, "-q", "-o", folder / "seeded")
        answers.append(done("predict", folder / "seeded", folder / "query.csv", "-q").stdout)
    assert answers[0] == answers[1] != answers[2]


def test_a_real_process_keeps_results_and_remarks_apart(adapted, folder):
    command = [sys.executable, "-m", "metaskl"]
    arguments = ["predict", str(adapted), str(folder / "query.csv"), "--json"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    assert len(json.loads(result.stdout)["rows"]) == 11
    bad = [*command, "predict", "no.model", "no.csv"]
    result = subprocess.run(bad, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "Error: model file 'no.model' is not there. Check the path.\n"


# Classification


@pytest.fixture(scope="module")
def mixed(folder):
    """Numbers with gaps, text with gaps, and columns that are no use."""
    blobs = BlobTasks().sample(8, 20, random_state=0)
    rng = np.random.default_rng(0)
    n_rows = len(blobs.y)
    data = pd.DataFrame(
        {
            "row": np.arange(n_rows),
            "hospital": blobs.groups + 100,
            "city": [f"city {i}" for i in blobs.groups],
            "x0": blobs.X[:, 0],
            "x1": np.where(rng.random(n_rows) < 0.2, np.nan, blobs.X[:, 1]),
            "ward": rng.choice(["a", "b", None], n_rows),
            "smoker": rng.random(n_rows) < 0.5,
            "patient": [f"p{i}" for i in range(n_rows)],
            "same": 1,
            "empty": np.nan,
            "state": np.array(["sick", "well", "dead"])[blobs.y],
        }
    )
    data.to_csv(folder / "mixed.csv.gz", index=False)
    data.to_parquet(folder / "mixed.parquet")
    return data


def test_what_is_done_with_the_columns_is_said(mixed, folder):
    result = done(
        *("fit", folder / "mixed.csv.gz", "--target", "state", "--task", "hospital", *QUICK),
        *("-o", folder / "hospital.model"),
    )
    assert result.stdout == ""
    said = result.stderr
    assert "160 rows of 8 tasks ('hospital'); classification of 'state'." in said
    assert "2 numeric (standardised, gaps in 1 filled with the median and marked)" in said
    assert "2 text (one column for each of the commonest texts, gaps in 1 filled" in said
    for name, reason in {
        "row": "counts the rows",
        "city": "names the task too",
        "patient": "has 160 different texts, too many to be categories (sentences become "
        "numbers in Python, by a TfidfVectorizer in a Pipeline)",
        "same": "has one value only",
        "empty": "is empty",
    }.items():
        assert f"Left out: {name!r} {reason}." in said


def test_the_target_in_disguise_is_pointed_out(tmp_path):
    data = frame(n_tasks=3)
    data.assign(log_mark=np.exp(data["mark"])).to_csv(tmp_path / "table.csv", index=False)
    notes = take_apart(
        read_table(tmp_path / "table.csv"), tmp_path, target="mark", task="school"
    ).notes
    assert [note for note in notes if note.startswith("Warning")] == [
        "Warning: 'log_mark' follows 'mark' almost exactly. Is it known for a new row? If not, "
        "add --drop log_mark."
    ]


def test_classifiers_give_classes_and_probabilities(mixed, folder):
    model, adapted = folder / "classes.model", folder / "classes.adapted"
    named = ("--target", "state", "--task", "hospital", "--drop", "row", "--drop", "patient")
    done("fit", folder / "mixed.csv.gz", *named, *QUICK, "-o", model)
    mixed[:9].to_csv(folder / "sick.csv", index=False)
    done("adapt", model, folder / "sick.csv", "-o", adapted)
    unknown = mixed[9:12].assign(ward="never seen")
    unknown.to_csv(folder / "ill.csv", index=False)
    got = pd.read_csv(pd.io.common.StringIO(done("predict", adapted, folder / "ill.csv").stdout))
    probabilities = got.filter(like="probability_")
    assert list(probabilities) == ["probability_dead", "probability_sick", "probability_well"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    best = probabilities.idxmax(axis=1).str.removeprefix("probability_")
    assert got["prediction"].tolist() == best.tolist()
    refused = run("predict", adapted, folder / "ill.csv", "--std")
    assert refused.exit_code == 2
    assert "--std must be left out for a classifier" in refused.stderr


def test_private_classes_come_from_the_support(folder):
    classes = BlobTasks().sample_classes(12, 12, random_state=0)
    kind = np.repeat(classes.task_ids, 12)
    data = pd.DataFrame(classes.X.numpy(), columns=["a", "b"]).assign(
        kind=[f"k{i}" for i in kind], box=kind // 4
    )
    data.to_csv(folder / "kinds.csv", index=False)
    private = ("--label-space", "task", "--n-way", "3", "--learner", "protonet")
    named = ("--target", "kind", "--task", "box")
    done("fit", folder / "kinds.csv", *named, *private, *QUICK, "-o", folder / "kinds.model")
    data[data["kind"].isin(["k1", "k2"])].to_csv(folder / "k12.csv", index=False)
    done("adapt", folder / "kinds.model", folder / "k12.csv", "-o", folder / "k12.model")
    head = done("predict", folder / "k12.model", folder / "kinds.csv").stdout.splitlines()[0]
    assert head == "prediction,probability_k1,probability_k2"
    result = run("predict", folder / "kinds.model", folder / "kinds.csv")
    assert result.exit_code == 2
    assert "must be adapted before it predicts" in result.stderr
    some = ("--learners", "protonet", "--baselines", "per-task logistic", "--n-shot", "2")
    every = ("--label-space", "task", "--n-way", "all", *some, "--max-epochs", "1", "--json")
    found = json.loads(done("compare", folder / "kinds.csv", *named, *every).stdout)
    assert found["protocol"]["n_way"] == "all"
    for given in ("1", "al"):
        result = run("compare", folder / "kinds.csv", *named, "--n-way", given)
        assert re.search(f"all, or a number of classes of at least 2, got '{given}'", result.stderr)


def test_hyper_parameters_of_a_learner_are_set_by_name(table, folder):
    named = ("--target", "mark", "--task", "school", "--learner", "maml", *QUICK)
    given = ("adaptation_steps=2", "inner_lr=0.5", "first_order=true", "inner_clip=none")
    options = [part for value in given for part in ("--param", value)]
    done("fit", table, *named, *options, "-o", folder / "own.model")
    learner = metaskl.load(folder / "own.model")[-1]
    assert learner.learner_params == {
        "adaptation_steps": 2,
        "inner_lr": 0.5,
        "first_order": True,
        "inner_clip": None,
    }
    for value, message in {
        "hidden=": "Invalid value for '--param': it must be name=value, got 'hidden='",
        "n_way": "it must be name=value, got 'n_way'",
        "n_shot=3": "n_shot has an option of its own, --n-shot. Give that",
        "random_state=3": "random_state has an option of its own, --seed",
        "iner_lr=3": "--param must name hyper-parameters .* Did you mean 'inner_lr'.* n_threads,",
        "adapt_part=headd": "adapt_part must be one of .* got 'headd'",
    }.items():
        result = run("fit", table, *named, "--param", value, "-o", folder / "bad.model")
        assert result.exit_code == 2
        assert re.search(message, result.stderr)


def test_classes_of_one_pool_need_no_task_column(folder):
    classes = BlobTasks().sample_classes(12, 12, random_state=0)
    kind = [f"k{i}" for i in np.repeat(classes.task_ids, 12)]
    data = pd.DataFrame(classes.X.numpy(), columns=["a", "b"]).assign(kind=kind)
    table, model = folder / "pool.csv", folder / "pool.model"
    data.to_csv(table, index=False)
    private = ("--target", "kind", "--label-space", "task", "--n-way", "3")
    brief = ("--learners", "protonet", "--baselines", "per-task logistic", "--n-shot", "2", *QUICK)
    told = done("fit", table, *private, "--learner", "protonet", *QUICK, "-o", model)
    assert "144 rows of 12 classes; classification of 'kind'." in told.stderr
    data[data["kind"].isin(["k1", "k2"])].to_csv(folder / "pair.csv", index=False)
    done("adapt", model, folder / "pair.csv", "-o", folder / "pair.model")
    report = folder / "pool.html"
    found = done("compare", table, *private, *brief, "--jobs", 1, "--out", report)
    assert "interval over sets of classes" in found.stdout
    page = report.read_text()
    assert "144 rows of 4 sets of classes, classification" in page
    assert "adapted to 6 of its rows" in page
    search = ("--trials", 1, "--storage", "none", "-o", folder / "tuned.model")
    assert "sets of classes" in done("tune", table, *private, *brief, *search).stdout


def test_parquet_is_read_like_csv(mixed, folder):
    named = {"target": "state", "task": "hospital"}
    tables = [
        take_apart(read_table(path), path, **named)
        for path in (folder / "mixed.csv.gz", folder / "mixed.parquet")
    ]
    pd.testing.assert_frame_equal(tables[0].X, tables[1].X)
    np.testing.assert_array_equal(tables[0].y, tables[1].y)
    np.testing.assert_array_equal(tables[0].groups, tables[1].groups)
    assert tables[0].notes == tables[1].notes


def test_without_pyarrow_the_extra_is_named(mixed, folder):
    code = f"""
import sys
sys.modules["pyarrow"] = None
from metaskl.cli import app
app(["fit", {str(folder / "mixed.parquet")!r}, "--target", "y", "--task", "t", "-o", "m"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert 'pip install "metaskl[parquet]"' in result.stderr


# Compare


def test_compare_prints_leaderboard_and_verdict(table):
    result = done("compare", table, *NAMED, *FEW, *CHEAP)
    assert "root mean squared error (lower is better), mean [95 % interval" in result.stdout
    for name, family in [
        ("ridge_head", "learner"),
        ("pooled ridge", "pooled"),
        ("per-task ridge", "per-task"),
    ]:
        assert re.search(rf"^ *{name} +{family} +\d\.\d\d ", result.stdout, re.MULTILINE)
    assert "Verdict: " in result.stdout
    assert "160 rows of 10 tasks" in result.stderr
    assert "6/6" in result.stderr


def test_compare_as_json_is_compare(table):
    result = done("compare", table, *NAMED, *FEW, *CHEAP, "--json", "--quiet")
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    data = frame()
    expected = metaskl.compare(
        data[["age", "income"]],
        data["mark"],
        data["school"],
        learners=["ridge_head"],
        baselines=["pooled ridge", "per-task ridge"],
        n_shot=(3, 6),
        n_repeats=1,
        cv=2,
        learner_params={"max_epochs": 1},
        preprocess=StandardScaler(),
    ).as_dict()
    protocol = json.loads(json.dumps(expected["protocol"] | {"preprocess": "ColumnTransformer"}))
    assert answer["protocol"] == protocol
    assert answer["families"] == expected["families"]
    for got, known in zip(answer["curve"], expected["curve"], strict=True):
        assert got.pop("candidate") == known.pop("candidate")
        assert got == pytest.approx(known, rel=1e-3)


def test_numbers_that_are_not_defined_are_null(folder):
    data = frame(n_tasks=4)
    small = (data["school"] != "s0") & (data.index % 2 == 0)
    data[~small].to_csv(folder / "one_large.csv", index=False)
    result = done(
        *("compare", folder / "one_large.csv", *NAMED, "--n-shot", "3,12", "--cv", "2", "--json"),
        *("--learners", "none", "--baselines", "pooled ridge", "--jobs", "1"),
    )
    few, many = json.loads(result.stdout)["curve"]
    assert few["low"] < few["mean"]
    assert (many["n_tasks"], many["low"]) == (1, None)


def test_compare_writes_a_report(table, folder):
    result = done("compare", table, *NAMED, *FEW, *CHEAP, "--out", folder / "report.html")
    text = (folder / "report.html").read_text("utf-8")
    assert "schools.csv: mark by school" in text
    assert "(ridge_head)" in text
    assert "Report: " in result.stderr


def test_a_report_without_a_learner_shows_no_task(table, folder):
    few = ("--n-shot", "3", "--cv", "2", "--jobs", "1")
    baselines = ("--learners", "none", "--baselines", "pooled ridge,per-task ridge")
    done("compare", table, *NAMED, *few, *baselines, "--out", folder / "baselines.html")
    text = (folder / "baselines.html").read_text("utf-8")
    assert "There is nothing to compare" in text
    assert "One task" not in text


def test_compare_holds_out_rows_by_fractions(table):
    result = done(
        *("compare", table, *NAMED, "--holdout", "rows", "--n-shot", "0.5", "--cv", "1"),
        *("--learners", "none", "--baselines", "pooled ridge,per-task ridge", "--jobs", "1"),
    )
    assert "50% of rows" in result.stdout


# Bad input: one line that says what to do, exit code 2


def write(folder, name, text):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


BAD_TABLES = {
    "empty": (b"", "is empty. Give a file whose first line names the columns"),
    "head": ("school,age,mark\n", "names columns but has no rows"),
    "semicolons": ("school;age;mark\na;1;2\n", "separated by ';', add --sep ';'"),
    "tabs": ("school\tage\tmark\na\t1\t2\n", "separated by 'tab', add --sep 'tab'"),
    "one column": ("x\n1\n", "There is one column only: is the separator right"),
    "latin": ("school,age,mark\n\xe9cole,1,2\n".encode("latin-1"), "is not UTF-8 text"),
    "ragged": ("school,mark\na,1\nb,2,3,4\n", "cannot be read .*Expected 2 fields in line 3"),
    "other names": (
        "School,age,marks\na,1,2\n",
        r"--target must be a column of .*got 'mark' \(and 1 more\). Did you mean 'marks'\? "
        "Its columns: School, age, marks",
    ),
    "no features": ("school,mark\na,1\nb,2\n", "must have a column to predict 'mark' from"),
    "useless": ("school,x,mark\na,7,1\nb,7,2\n", "that can be used: 'x' has one value only"),
    "no targets": ("school,x,mark\na,7,\nb,7,\n", "must have rows with 'mark' and 'school'"),
    "infinite": ("school,x,mark\na,7,1\na,inf,2\n", "'x' must hold finite numbers.* row 2"),
    "one task": (
        "school,x,mark\na,7,1.5\na,8,2\n",
        "--task must name at least 2 tasks, got only 'a' in 'school'. Choose the column",
    ),
    "one class": (
        "school,x,mark\na,7,yes\nb,8,yes\n",
        "--target must hold at least 2 classes, got only 'yes' in 'mark'. Choose another column",
    ),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_one_clear_line(name, tmp_path):
    content, message = BAD_TABLES[name]
    path = write(tmp_path, "bad.csv", content)
    result = run("fit", path, *NAMED, "-o", tmp_path / "model", "--quiet")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert re.search(message, result.stderr)
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_no_table(tmp_path):
    broken = write(tmp_path, "broken.csv.gz", gzip.compress(b"school,mark\na,1\n" * 50)[:20])
    for path in (broken, write(tmp_path, "broken.parquet", "no parquet")):
        result = run("fit", path, *NAMED, "-o", tmp_path / "model")
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr


BAD_OPTIONS = {
    "target is task": (("--target", "school", "--task", "school"), "must be two columns"),
    "drop": ((*NAMED, "--drop", "incom"), "--drop must be a column .* Did you mean 'income'"),
    "n_shot": ((*NAMED, "--n-shot", "five"), "--n-shot must be numbers of labelled rows"),
    "learner": (
        (*NAMED, "--learners", "mamml"),
        "Error: --learners must be .* Did you mean 'maml'",
    ),
    "no commas": (
        (*NAMED, "--learners", "ridge_head dkt"),
        "--learners must be names separated by commas, .* Give --learners ridge_head,dkt",
    ),
    "format": ((*NAMED, "--out", "report.pdf"), "ends in .html, got 'report.pdf'.*'report.html'"),
    "baseline": ((*NAMED, "--baselines", "ridge"), "Error: --baselines must be among"),
    "scoring": ((*NAMED, "--scoring", "good"), "Error: --scoring must be the name of .* 'good'"),
    "holdout": ((*NAMED, "--holdout", "days"), "Invalid value for '--holdout'"),
    "label space": ((*NAMED, "--label-space", "mine"), "Invalid value for '--label-space'"),
    "cv": ((*NAMED, "--cv", "99"), "Error: --cv must be from 2 to .* got --cv 99"),
    "out": ((*NAMED, "--out", "nowhere/report.html"), "--out must be a file in a folder"),
    "kind": ((*NAMED, "--kind", "numbers"), "Invalid value for '--kind'"),
    "text": (("--target", "school", "--task", "age", "--kind", "regression"), "must hold numbers"),
    "missing": (("--target", "mark"), "Invalid value for '--task'"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_a_bad_option_is_told(name, table):
    options, message = BAD_OPTIONS[name]
    result = run("compare", table, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(message, result.stderr)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "old"}, "column 'age' must hold numbers, as in fit, got 'old'"),
        ({"mark": np.nan}, "column 'mark' must be filled in every row of the support"),
        ({"mark": "good"}, "column 'mark' must hold numbers, as in fit, got 'good'"),
    ],
)
def test_a_support_that_does_not_fit_the_model(change, message, model, new_school, tmp_path):
    new_school[:5].assign(**change).to_csv(tmp_path / "support.csv", index=False)
    result = run("adapt", model, tmp_path / "support.csv", "-o", tmp_path / "adapted")
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_support_of_several_tasks_is_told(model, new_school, tmp_path):
    mixed = new_school[:6].assign(school=["a", "a", "b", "b", "c", np.nan])
    mixed.to_csv(tmp_path / "support.csv", index=False)
    result = run("adapt", model, tmp_path / "support.csv", "-o", tmp_path / "adapted")
    assert result.exit_code == 0
    assert "Warning: 'school' names 3 tasks (a, b, c), adapted to as one." in result.stderr


def test_rows_without_a_feature_of_the_model(model, folder, new_school, tmp_path):
    new_school[["age"]].to_csv(tmp_path / "query.csv", index=False)
    result = run("predict", model, tmp_path / "query.csv")
    assert result.exit_code == 2
    assert "a feature of the model must be a column of" in result.stderr
    assert "got 'income'" in result.stderr
    result = run("adapt", model, folder / "query.csv", "-o", tmp_path / "adapted")
    assert "the target must be a column of" in result.stderr


def test_a_model_that_fit_did_not_write(table, tmp_path):
    metaskl.save(StandardScaler().fit([[0.0], [1.0]]), tmp_path / "scaler")
    result = run("predict", tmp_path / "scaler", table)
    assert result.exit_code == 2
    assert "was not written by metaskl fit" in result.stderr
    assert run("predict", table, table).exit_code == 2
    assert run("fit", table, *NAMED, "-o", tmp_path / "no" / "model").exit_code == 2


def test_a_learner_without_standard_deviations_says_so(table, folder, new_school):
    done("fit", table, *NAMED, *QUICK, "--learner", "maml", "-o", folder / "maml")
    result = run("predict", folder / "maml", folder / "query.csv", "--std")
    assert result.exit_code == 2
    assert "gives no standard deviations" in result.stderr


def test_debug_shows_where_it_happened(tmp_path):
    for arguments in (["--debug", "predict"], ["predict", "--debug"]):
        result = run(*arguments, tmp_path / "none", tmp_path / "none.csv")
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert "ModelFileError" in result.stderr


# Learners, version, help


def test_learners_are_listed():
    printed = done("learners").stdout
    assert re.search(r"ridge_head +metaskl 0\.\d\.\d +available", printed)
    listed = json.loads(done("learners", "--json").stdout)
    assert [entry["name"] for entry in listed] == [info.name for info in list_learners()]
    assert {"maml", "ridge_head"} < {entry["name"] for entry in listed if entry["builtin"]}


def test_a_broken_plugin_is_shown_and_breaks_nothing(tmp_path, monkeypatch):
    info = tmp_path / "metaskl_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metaskl-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[metaskl.learners]\nbroken = metaskl_broken:Broken\n")
    (tmp_path / "metaskl_broken.py").write_text("raise RuntimeError('[red]no such luck')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert re.search(r"broken +metaskl-broken 1.0 +available", done("learners").stdout)
    printed = done("learners", "--all").stdout
    assert re.search(r"broken +metaskl-broken 1.0 +broken .*\[red\]no such luck", printed)
    assert re.search(r"maml +metaskl \S+ +available", printed)
    (entry,) = [
        entry
        for entry in json.loads(done("learners", "--all", "--json").stdout)
        if entry["name"] == "broken"
    ]
    assert entry["status"] == "broken"
    assert "no such luck" in entry["error"]


def test_the_version():
    assert done("--version").stdout == f"metaskl {metaskl.__version__}\n"


def test_help_names_every_command():
    printed = done("--help").stdout
    commands = ("compare", "fit", "adapt", "predict", "learners", "new-plugin")
    assert all(name in printed for name in commands)
    for name in commands:
        assert "Usage:" in done(name, "--help").stdout


def test_the_command_starts_without_torch():
    code = "import sys, metaskl.cli; print(sorted({'torch', 'sklearn', 'pandas'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n"


# Columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5", None], [1, 2.5, np.nan]),
        ([" 1", "1e3"], [1, 1000]),
        (["1", "x"], None),
        (["True", "False"], None),
        ([True, False], None),
        (pd.to_datetime(["2020-01-01", None]), None),
        (pd.array([1, None], dtype="Int64"), [1, np.nan]),
    ],
)
def test_numbers_are_told_from_text(values, expected):
    found = to_numbers(pd.Series(values, name="x"))
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "20", "-3", "0"], [1, 20, -3, 0]),
        (["1", "02"], ["1", "02"]),
        (["1.0", "2"], ["1.0", "2"]),
        ([True, False], ["True", "False"]),
        ([3, 4], [3, 4]),
    ],
)
def test_ids_become_numbers_only_if_nothing_is_lost(values, expected):
    assert to_labels(pd.Series(values)).tolist() == expected


def test_categories_are_the_same_text_in_every_file(tmp_path):
    path = write(tmp_path, "zip.csv", "zip\n01\n2\n")
    table = as_features(read_table(path), [], ["zip"])
    assert table["zip"].tolist() == ["01", "2"]


def test_whole_numbers_may_be_written_with_a_point(folder):
    table = frame()
    table["mark"] = (table["mark"] > table["mark"].median()).astype(int)
    table.to_csv(folder / "pass.csv", index=False)
    done("fit", folder / "pass.csv", *NAMED, *QUICK, "-o", folder / "pass.model")
    few = table[:6].assign(mark=table["mark"][:6].astype(float))
    few.loc[0:1, "mark"] = [0.0, 1.0]
    few.to_csv(folder / "few.csv", index=False)
    assert ",1.0\n" in (folder / "few.csv").read_text()
    done("adapt", folder / "pass.model", folder / "few.csv", "-o", folder / "passed.model")
    few.assign(mark=0.5).to_csv(folder / "half.csv", index=False)
    result = run("adapt", folder / "pass.model", folder / "half.csv", "-o", folder / "x.model")
    assert "column 'mark' must hold whole numbers, as in fit, got '0.5'" in result.stderr


def test_adapting_an_adapted_model_says_that_it_starts_over(adapted, model, new_school, folder):
    new_school[:4].to_csv(folder / "four.csv", index=False)
    again = done("adapt", adapted, folder / "four.csv", "-o", folder / "again.model")
    assert "adapted to 5 rows before: they are set aside" in again.stderr
    fresh = done("adapt", model, folder / "four.csv", "-o", folder / "fresh.model")
    assert "before" not in fresh.stderr
    again, fresh = (metaskl.load(folder / f"{name}.model") for name in ("again", "fresh"))
    X = new_school[["age", "income"]]
    np.testing.assert_array_equal(again.predict(X), fresh.predict(X))


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line_without_a_path(table, folder):
    options = (*NAMED, *QUICK, "--n-shot", "40", "-o", folder / "few.model")
    told = done("fit", table, *options).stderr
    assert re.search(r"^Warning: --n-shot 40 asks for more rows", told, re.MULTILINE)
    assert ".py" not in told
    assert done("fit", table, *options, "--quiet").stderr == ""
