"""Pictures that several test modules compose into scenes."""

import numpy as np


def shapes():
    X = np.zeros((3, 12, 12))
    X[0, 4:8] = 1  # dash
    X[1, :, 5:7] = X[1, 5:7] = 1  # cross
    X[2, :2] = X[2, -2:] = X[2, :, :2] = X[2, :, -2:] = 1  # frame
    return X, np.array(["dash", "cross", "frame"])
