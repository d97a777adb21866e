"""Data sets as a noun: uploaded tables and their store, and having the files of a data set ready."""
