"""The data set family: the union used in a spec, and the catalogue derived from it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Discriminator, Tag, WithJsonSchema

from services.science.datasets.base import BuiltIn
from services.science.datasets.images import Cifar10, FashionMnist, Mnist
from services.science.datasets.synthetic import (
    Blobs,
    Circles,
    CourseraCircles,
    GaussianInputs,
    Spirals,
    TeacherStudent,
    TwoMoons,
    Xor,
)
from services.science.datasets.tabular import CaliforniaHousing, Diamonds, Digits
from services.science.datasets.upload import UPLOAD_NAME, Upload

AnyBuiltIn = (
    Annotated[Diamonds, Tag("diamonds")]
    | Annotated[Digits, Tag("digits")]
    | Annotated[CaliforniaHousing, Tag("california_housing")]
    | Annotated[Cifar10, Tag("cifar10")]
    | Annotated[FashionMnist, Tag("fashion_mnist")]
    | Annotated[Mnist, Tag("mnist")]
    | Annotated[Circles, Tag("circles")]
    | Annotated[CourseraCircles, Tag("coursera_circles")]
    | Annotated[TwoMoons, Tag("two_moons")]
    | Annotated[Spirals, Tag("spirals")]
    | Annotated[Xor, Tag("xor")]
    | Annotated[Blobs, Tag("blobs")]
    | Annotated[TeacherStudent, Tag("teacher_student")]
    | Annotated[GaussianInputs, Tag("gaussian_inputs")]
)
UPLOAD_TAG = "dts_<id>"
AnyDataset = AnyBuiltIn | Annotated[Upload, Tag(UPLOAD_TAG)]

DATASETS: Mapping[str, type[BuiltIn]] = MappingProxyType(
    {(member := get_args(tagged)[0]).model_fields["name"].default: member for tagged in get_args(AnyBuiltIn)}
)
"""Every data set known by name, in the order of the union."""

ALIASES: Mapping[str, str] = MappingProxyType({"cifar_10": "cifar10", "fashionmnist": "fashion_mnist"})
"""Accepted spellings and the name each is stored under."""


def spelled(value: str) -> str:
    """The stored spelling of a data set's name: ``Fashion-MNIST`` becomes ``fashion_mnist``."""
    plain = re.sub(r"[\s-]+", "_", value.strip().lower())
    return ALIASES.get(plain, plain)


def _named(value: Any) -> Any:
    """Turn a bare name into an object, and a name's spelling into ours."""
    if isinstance(value, str):
        return {"name": spelled(value)}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {**value, "name": spelled(value["name"])}
    return value


def name(value: Any) -> str | None:
    """The union's tag: a known name, or one tag for all ids of uploaded tables."""
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    if not isinstance(name, str):
        return None
    return UPLOAD_TAG if re.fullmatch(UPLOAD_NAME, name) else name


BareName = Annotated[
    str,
    WithJsonSchema(
        {
            "description": "A data set's name, or the id of an uploaded table; everything else has its default.",
            "anyOf": [{"enum": list(DATASETS)}, {"type": "string", "pattern": UPLOAD_NAME}],
        }
    ),
]
Tagged = Annotated[AnyDataset, Discriminator(name)]

DatasetChoice = Annotated[
    AnyDataset, Discriminator(name), BeforeValidator(_named, json_schema_input_type=BareName | Tagged)
]
"""A data set's object, or its bare name."""
