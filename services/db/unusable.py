"""What keeps a process from starting on its database."""


class UnusableDatabaseError(RuntimeError):
    """The database cannot be worked with as it is; the message names it and the way out."""
