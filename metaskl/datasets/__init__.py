"""Real data sets of many related tasks, fetched from their public sources and checked.

No data come with the package. A loader takes the file from the folder that the environment
variable ``METASKL_DATA`` names, else from its cache, else it rebuilds the file from the public
source and caches it (``METASKL_OFFLINE=1`` forbids the network). Whatever the way, the content
is checked against a digest before it is used.
"""

from metaskl.datasets._clinc150 import fetch_clinc150
from metaskl.datasets._errors import (
    DatasetError,
    DatasetIntegrityError,
    DatasetNotAvailableError,
)
from metaskl.datasets._fsmol import fetch_fsmol
from metaskl.datasets._landmine import fetch_landmine
from metaskl.datasets._locate import get_data_home
from metaskl.datasets._omniglot import fetch_omniglot
from metaskl.datasets._radon import fetch_radon
from metaskl.datasets._school import fetch_school
from metaskl.datasets._sleepstudy import fetch_sleepstudy

__all__ = [
    "DatasetError",
    "DatasetIntegrityError",
    "DatasetNotAvailableError",
    "fetch_clinc150",
    "fetch_fsmol",
    "fetch_landmine",
    "fetch_omniglot",
    "fetch_radon",
    "fetch_school",
    "fetch_sleepstudy",
    "get_data_home",
]
