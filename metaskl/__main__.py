"""``python -m metaskl`` is the command ``metaskl``."""

from metaskl.cli import app

if __name__ == "__main__":
    app(prog_name="metaskl")
