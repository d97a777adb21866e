"""The report of an experiment: what it read, and one page that tells it."""
