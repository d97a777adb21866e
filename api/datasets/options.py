"""What an upload may say of its file: as query parameters, or as fields of the form that carries the file."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from services.errors import FieldProblem, InvalidInputError
from services.field_problems import field_problems
from services.science.datasets.csv_options import CsvOptions

MOST_FIELDS = 2_100
"""Fields of a form: two lists of a thousand names, and the rest."""
LISTS = ("drop", "text_columns", "missing_values")


class UploadOptions(CsvOptions):
    """Options of an upload, where every value comes as text."""

    name: str = Field(default="", max_length=200, description="A title for people. Default: the file's name.")
    dry_run: bool = Field(
        default=False, description="Answer 200 with what would be stored and how each column was read; keep nothing."
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As it comes: in a query and in a form all is text, also what is true or false."""
        return handler(source)

    def of_file(self) -> CsvOptions:
        """Those that say how to read the file."""
        return CsvOptions.model_validate(self.model_dump(include=set(CsvOptions.model_fields)))


def with_fields(query: UploadOptions, fields: Mapping[str, list[str]]) -> UploadOptions:
    """The options of the query and of the form together.

    Raises:
        InvalidInputError: a field that is no option, does not validate, or is in the query too.
    """
    twice = [FieldProblem(name, "is in the query and in the form") for name in fields if name in query.model_fields_set]
    twice += [
        FieldProblem(name, f"is in the form {len(values)} times")
        for name, values in fields.items()
        if len(values) > 1 and name not in LISTS
    ]
    if twice:
        raise InvalidInputError(f"{twice[0].pointer}: {twice[0].message}", twice)
    form = {name: values if name in LISTS else values[0] for name, values in fields.items()}
    try:
        return UploadOptions.model_validate({**query.model_dump(exclude_unset=True), **form})
    except ValidationError as error:
        problems = field_problems(error.errors(include_url=False), form, UploadOptions)
        plain = [FieldProblem(problem.pointer.removeprefix("/"), problem.message) for problem in problems]
        detail = f"{plain[0].pointer}: {plain[0].message}"
        raise InvalidInputError(detail, plain) from error
