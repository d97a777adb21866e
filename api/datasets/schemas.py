"""A data set on the wire: one the service knows by name, or an uploaded table."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.science.datasets.csv_columns import ColumnReading


class DatasetEntry(BaseModel):
    """A data set: `name` is what a spec calls it."""

    name: str
    description: str
    task: Literal["regression", "classification"]
    rows: int
    test_rows: int
    input_shape: list[int]
    outputs: int
    features: list[str]
    target: str
    classes: list[str]
    licence: str
    source: str
    digest: str | None
    size_bytes: int
    needs_download: bool
    available: bool = Field(
        description="Whether its files are in the data folder or in an installed package, or none are needed."
    )
    parameters: dict[str, Any] = Field(description="JSON Schema of what a spec may say of it.")


class UploadEntry(DatasetEntry):
    """An uploaded table."""

    id: str
    title: str
    dropped_rows: int
    notes: list[str] = Field(description="What was decided while the file was read.")
    options: dict[str, Any] = Field(description="How the file was read: as asked, or as found in it.")
    columns: list[ColumnReading] = Field(
        description="How each column of the file was read; empty for tables stored before 0.3."
    )
    created_at: datetime


UPLOAD_EXAMPLE = {
    "name": "dts_3f2a9c1b7d4e5f60718293a4",
    "id": "dts_3f2a9c1b7d4e5f60718293a4",
    "title": "houses",
    "description": "houses",
    "task": "regression",
    "rows": 1_460,
    "test_rows": 0,
    "input_shape": [3],
    "outputs": 1,
    "features": ["street=gravel", "street=paved", "area"],
    "target": "price",
    "classes": [],
    "licence": "",
    "source": "uploaded",
    "digest": "0" * 64,
    "size_bytes": 46_720,
    "needs_download": False,
    "available": True,
    "parameters": {"type": "object"},
    "dropped_rows": 0,
    "notes": ["the text column 'street' was coded as 2 columns of 0 and 1: gravel, paved"],
    "options": {"target": "price", "delimiter": ",", "header": True},
    "columns": [
        {
            "name": "street",
            "place": 1,
            "role": "feature",
            "kind": "text",
            "values": 1_460,
            "missing": 0,
            "levels": 2,
            "notation": "",
            "examples": ["paved", "gravel"],
        }
    ],
    "created_at": "2026-01-31T12:00:00Z",
}
