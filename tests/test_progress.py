import io
import re

from metaskl import progress
from metaskl.progress import Progress


def test_a_pipe_gets_one_line_at_the_end_of_short_work(capsys):
    work = Progress(6, "compare", "fit")
    for name in "abcdef":
        work.advance(name)
    work.close()
    assert re.fullmatch(r"compare: 6/6 fits, \d+ s, f\n", capsys.readouterr().err)


def test_a_pipe_gets_lines_of_long_work_and_none_twice(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    work = Progress(3, "compare", "fit")
    for name in "abc":
        work.advance(name)
    work.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"compare: {i}/3 fits" for i in (1, 2, 3)]


def test_work_that_stops_early_or_not_at_all_says_so_once(capsys):
    work = Progress(5, "maml", "epoch", done=2)
    work.close()
    assert capsys.readouterr().err == ""
    work.advance()
    work.close()
    assert re.fullmatch(r"maml: 3/5 epochs, \d+ s\n", capsys.readouterr().err)


def test_one_step_has_no_plural(capsys):
    work = Progress(1, "maml", "epoch")
    work.advance("train loss 1")
    work.close()
    assert re.fullmatch(r"maml: 1/1 epoch, \d+ s, train loss 1\n", capsys.readouterr().err)


def test_nothing_is_said_if_it_is_not_to_be_shown(capsys):
    work = Progress(2, "maml", "epoch", shown=False)
    work.advance()
    work.close()
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    work = Progress(2, "maml", "epoch")
    work.advance("train loss 1")
    work.advance("train loss 0.5")
    work.close()
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert "maml: 100%" in shown
    assert "2/2" in shown
    assert "train loss 0.5" in shown
