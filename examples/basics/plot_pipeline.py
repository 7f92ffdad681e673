"""
Columns of text, gaps, and a search: the whole in a Pipeline
============================================================

Real tables have categories and gaps. scikit-learn's transformers see to them in front of a
meta-learner, and its searches work, if three things are set.
"""

# %%
# A table of shops
# ----------------
#
# What a day brings depends on the weather and on the weekday, in each shop in its own way. Some
# readings of the temperature are missing.

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from metaskl import FewShotScorer, RidgeHeadRegressor, adapt

rng = np.random.default_rng(0)
n_shops, n_days = 40, 30
shop = np.repeat(np.arange(n_shops), n_days)
table = pd.DataFrame(
    {
        "weekday": rng.choice(
            ["weekday", "Saturday", "Sunday"], len(shop), p=[5 / 7, 1 / 7, 1 / 7]
        ),
        "temperature": rng.normal(15, 8, len(shop)),
    }
)
busy = {"weekday": 0.0, "Saturday": 1.0, "Sunday": -1.0}
level, weekend, ice_cream = rng.normal([100, 20, 2], [10, 10, 2], (n_shops, 3))[shop].T
sales = level + weekend * table["weekday"].map(busy) + ice_cream * (table["temperature"] - 15)
sales += rng.normal(0, 5, len(shop))
table.loc[rng.random(len(table)) < 0.1, "temperature"] = np.nan

# %%
# Search by what matters: new shops with five known days
# ------------------------------------------------------
#
# 1. Metadata routing takes ``groups`` to the learner, and not only to the splitter.
# 2. The splitter holds out whole shops.
# 3. The score adapts to five days of each shop before it scores the others.

encode = make_column_transformer((OneHotEncoder(), ["weekday"]), (SimpleImputer(), ["temperature"]))
known = shop < n_shops - 1
with config_context(enable_metadata_routing=True):
    search = GridSearchCV(
        make_pipeline(encode, RidgeHeadRegressor(max_epochs=3, random_state=0)),
        {"ridgeheadregressor__outer_lr": [1e-3, 1e-2]},
        cv=GroupKFold(3),
        scoring=FewShotScorer(n_shot=5),
    ).fit(table[known], sales[known], groups=shop[known])
print(pd.DataFrame(search.cv_results_)[["params", "mean_test_score", "std_test_score"]])

# %%
# A shop that has just opened
# ---------------------------

new, new_sales = table[~known], sales[~known]
adapted = adapt(search, new[:5], new_sales[:5])
error = np.abs(adapted.predict(new[5:]) - new_sales[5:]).mean()
before = np.abs(search.predict(new[5:]) - new_sales[5:]).mean()
print(f"mean absolute error: {before:.1f} before its first five days are known, {error:.1f} after")
