"""The data set family: which data an experiment trains on, where they come from, and how they are split and scaled."""

from services.science.datasets.base import BaseDataset, BuiltIn, RawData, Task
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.files import DatasetFile, SourceFile
from services.science.datasets.members import DATASETS, AnyDataset, DatasetChoice
from services.science.datasets.prepare import PreparedData, ensure, plan_notes, plan_rows, prepare

__all__ = [
    "DATASETS",
    "AnyDataset",
    "BaseDataset",
    "BuiltIn",
    "DatasetChoice",
    "DatasetFile",
    "DatasetInvalid",
    "DatasetUnavailable",
    "PreparedData",
    "RawData",
    "SourceFile",
    "Task",
    "ensure",
    "plan_notes",
    "plan_rows",
    "prepare",
]
