import numpy as np
import pandas as pd

from metaskl.report import CriticalDifferenceDisplay
from metaskl.report.display import PALETTE


def test_points_stand_at_the_ranks_and_bars_join_what_cannot_be_told_apart():
    better = np.arange(6.0)[::-1]
    scores = pd.DataFrame([better] * 30, columns=list("abcdef"))
    display = CriticalDifferenceDisplay.from_scores(scores, families={"a": "learner"})
    assert [float(p.get_xdata()[0]) for p in display.points_.values()] == [1, 2, 3, 4, 5, 6]
    assert display.points_["a"].get_color() == PALETTE[0]
    assert len(display.bars_) == 5
    assert [round(y) for y in display.bars_[0].get_ydata()] == [0, 1]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list("abcdef")
    assert display._repr_svg_().startswith("<svg")
