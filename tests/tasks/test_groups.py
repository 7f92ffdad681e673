import pandas as pd
import pytest

from metaskl.tasks import resolve_groups


class TestColumnOfTheFrame:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "school": [7, 7, 8]})

    @pytest.mark.parametrize("groups", ["school", frame["school"], frame["school"].copy()])
    def test_it_is_no_feature(self, groups):
        X, ids, column = resolve_groups(self.frame, groups)
        assert list(X.columns) == ["x"]
        assert ids.tolist() == [7, 7, 8]
        assert column == "school"

    @pytest.mark.parametrize(
        "groups",
        [
            frame["school"].to_numpy(),  # says nothing of where it is from
            frame["school"].rename("region"),
            frame["school"].astype(str),  # of this name, but made into something else
        ],
    )
    def test_other_ids_leave_the_features_alone(self, groups):
        X, _, column = resolve_groups(self.frame, groups)
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
