"""What can go wrong with a data set's files."""


class DatasetUnavailable(Exception):  # noqa: N818 - a fact about the folder, not a programming error
    """The files are not in the data folder and may not, or cannot, be fetched; the text says what to put where."""


class DatasetInvalid(Exception):  # noqa: N818 - as above
    """A file is there but does not hold what it promised: checksum, size, columns or values."""
