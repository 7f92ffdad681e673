"""``python -m metaskl`` is the command ``metaskl``."""

from metaskl.cli import app

app(prog_name="metaskl")
