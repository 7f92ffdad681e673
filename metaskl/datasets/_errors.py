"""What can go wrong with a data set: it is not there, or it is not what it should be."""


class DatasetError(OSError):
    """Base class of the errors of `metaskl.datasets`."""


class DatasetNotAvailableError(DatasetError):
    """The file of a data set is missing and was not, or could not be, downloaded.

    Examples
    --------
    >>> from metaskl.datasets import DatasetNotAvailableError, fetch_sleepstudy
    >>> try:
    ...     n_rows = len(fetch_sleepstudy(download_if_missing=False).target)
    ... except DatasetNotAvailableError:
    ...     n_rows = 0
    >>> n_rows in (0, 180)
    True
    """


class DatasetIntegrityError(DatasetError):
    """A file is there, but its content is not that of the data set."""
