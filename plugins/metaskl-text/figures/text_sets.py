"""What the figures share: tables of texts, and an encoder that encodes each text once."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from metaskl_text import SentenceEncoder


def read(name):
    """Return a table of the folder METASKL_DATA."""
    folder = os.environ.get("METASKL_DATA")
    if not folder:
        raise SystemExit("Set METASKL_DATA to the folder that holds the data files.")
    # Words such as "None" and "NA" are tokens, not missing values.
    return pd.read_csv(Path(folder) / f"{name}.csv.gz", keep_default_na=False)


def few_rows(frame, columns, n_rows, seed=0):
    """Return at most `n_rows` rows of each combination of the columns, drawn at random."""
    shuffled = frame.sample(frac=1, random_state=seed)
    return shuffled.groupby(columns, sort=False).head(n_rows).reset_index(drop=True)


class Remembered:
    """The default encoder as a function that keeps the vectors of the texts it has seen."""

    def __init__(self):
        self.encoder = None
        self.vectors = {}

    def __call__(self, texts):
        """Return the vectors of texts."""
        new = sorted(set(texts) - set(self.vectors))
        if new:
            self.encoder = self.encoder or SentenceEncoder().fit(new)
            self.vectors.update(zip(new, self.encoder.transform(new), strict=True))
        return np.array([self.vectors[text] for text in texts])

    def __deepcopy__(self, memo):  # a clone of the pipeline shares what is remembered
        return self
