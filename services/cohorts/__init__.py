"""Cohorts: claim, lease, commit, finish, fail, split; every write of an attempt is fenced by its number."""
