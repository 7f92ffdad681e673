import numpy as np
import pandas as pd
import pytest

from metaskl.errors import GroupsError, GroupsWarning
from metaskl.tasks import check_groups, resolve_groups


class TestColumnOfTheFrame:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "school": [7, 7, 8]})

    @pytest.mark.parametrize("groups", ["school", frame["school"], frame["school"].copy()])
    def test_it_is_no_feature(self, groups):
        X, ids, column = resolve_groups(self.frame, groups)
        assert list(X.columns) == ["x"]
        assert ids.tolist() == [7, 7, 8]
        assert column == "school"

    def test_other_ids_leave_the_features_alone(self):
        ids = self.frame["school"].astype(str)  # of this name, but made into something else
        X, _, column = resolve_groups(self.frame, ids)
        assert list(X.columns) == ["x", "school"]
        assert column is None

    def test_the_column_of_an_earlier_call_counts(self):
        X, _, column = resolve_groups(self.frame, self.frame["school"], column="x")
        assert list(X.columns) == ["school"]
        assert column == "x"

    def test_after_a_fit_the_features_are_those_of_fit(self):
        X, ids, _ = resolve_groups(self.frame, self.frame["school"], fitting=False)
        assert list(X.columns) == ["x", "school"]
        assert ids.tolist() == [7, 7, 8]


FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0], "shop": ["a", "a", "b"], "number": [4, 4, 5]})


@pytest.mark.parametrize(
    ("X", "groups", "column"),
    [
        (FRAME, FRAME["shop"].to_numpy(), "'shop'"),
        (FRAME, FRAME["shop"].rename("store"), "'shop'"),
        (FRAME, FRAME["shop"].tolist(), "'shop'"),
        (FRAME, FRAME["number"].to_numpy(), "'number'"),
        (FRAME.assign(shop=FRAME["shop"].astype("category")), FRAME["shop"].tolist(), "'shop'"),
        (FRAME[["x", "number"]].to_numpy(), [4, 4, 5], "1"),
    ],
)
def test_a_task_column_that_stays_a_feature_is_named(X, groups, column):
    with pytest.warns(GroupsWarning, match=rf"the column {column} of X row by row.* from X\."):
        kept, _, name = resolve_groups(X, groups)
    assert kept.shape == X.shape
    assert name is None


@pytest.mark.parametrize(
    ("X", "groups"), [(FRAME, "shop"), (FRAME, [4, 4, 6]), (FRAME, None), (FRAME, list("abc"))]
)
def test_nothing_is_said_of_other_columns(X, groups):
    resolve_groups(X, groups)


def test_nothing_is_said_of_the_rows_to_predict():
    resolve_groups(FRAME, FRAME["shop"].tolist(), fitting=False)


def test_ids_of_two_types_that_read_the_same_are_refused():
    with pytest.raises(GroupsError, match="read the same, got 1 and '1'"):
        check_groups(np.array([1, "1", 2], dtype=object), 3)
    assert check_groups(np.array([1, "a", 1.0], dtype=object), 3).tolist() == ["1", "a", "1.0"]


SES = pd.DataFrame({"x": [1.0, 2.0, 3.0], "ses": [-0.25, 1.0, 0.5], "year": [90.0, 90.0, 91.0]})


@pytest.mark.parametrize("groups", ["ses", SES["ses"]])
def test_a_column_of_measurements_is_named(groups):
    said = (
        r"groups='ses' should name tasks, got numbers with a fractional part such as -0\.25, which "
        r"look like measurements\. .*groups=X\['ses'\]\.astype\(str\)"
    )
    with pytest.warns(GroupsWarning, match=said):
        resolve_groups(SES, groups)


def test_an_array_of_measurements_is_said():
    said = r"^groups should name tasks, got .* part, which look .* groups=groups\.astype\(str\)"
    with pytest.warns(GroupsWarning, match=said):
        resolve_groups(SES[["x"]], [0.5, 0.5, 1.5])


@pytest.mark.parametrize("groups", ["year", [1.0, 2.0, 2.0], ["0.5", "0.5", "1.5"]])
def test_nothing_is_said_of_whole_floats_and_text(groups):
    resolve_groups(SES, groups)
