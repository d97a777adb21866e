"""Where checkpoints, and uploads that several hosts share, are kept: in a folder or in a bucket.

The database names files by the same names in both: ``cohorts/<cohort id>/a<attempt>/epoch-<n>.npz``. An attempt writes
only below its own name, so that a zombie cannot touch what its heir has written.
"""
