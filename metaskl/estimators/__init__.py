"""The scikit-learn face: fit on tasks, adapt to a new one, predict."""
