"""The union is the catalogue: what the families share."""

from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from services.science.activations import ACTIVATIONS, Activation
from services.science.base import Member
from services.science.catalogue import by_kind, canonical
from services.science.initializers import INITIALIZERS, Initializer
from services.science.optimizers import OPTIMIZERS, SCHEDULES, Optimizer


class Circle(Member):
    kind: Literal["circle"] = "circle"


class Square(Member):
    kind: Literal["square"] = "square"


def test_kinds_stand_in_the_order_of_the_union_and_cannot_be_changed() -> None:
    kinds: Any = by_kind(Square | Circle, Member)
    assert list(kinds.items()) == [("square", Square), ("circle", Circle)]
    with pytest.raises(TypeError):
        kinds["triangle"] = Circle
    with pytest.raises(TypeError, match="Square is in a union of Circle but is none"):
        by_kind(Circle | Square, Circle)


@pytest.mark.parametrize(
    ("posted", "expected"),
    [
        ("Ring", {"kind": "circle"}),
        ("my-square", {"kind": "my_square"}),
        ({"kind": "ring", "radius": 2}, {"kind": "circle", "radius": 2}),
        ({"radius": 2}, {"radius": 2}),
        ({"kind": 3}, {"kind": 3}),
        (7, 7),
        (None, None),
    ],
)
def test_a_name_or_an_alias_becomes_an_object_and_anything_else_is_left_to_validation(
    posted: object, expected: object
) -> None:
    before = repr(posted)
    assert canonical({"ring": "circle"})(posted) == expected
    assert repr(posted) == before


@pytest.mark.parametrize(
    ("family", "catalogue"), [(Activation, ACTIVATIONS), (Initializer, INITIALIZERS), (Optimizer, OPTIMIZERS)]
)
def test_the_schema_of_a_family_documents_every_member(family: Any, catalogue: dict[str, type[Member]]) -> None:
    schema = TypeAdapter(family).json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(catalogue)
    for cls in catalogue.values():
        assert schema["$defs"][cls.__name__]["description"]


def test_no_two_members_share_a_class_name_so_that_the_schema_needs_no_module_paths() -> None:
    names = [cls.__name__ for family in (ACTIVATIONS, INITIALIZERS, OPTIMIZERS, SCHEDULES) for cls in family.values()]
    assert len(names) == len(set(names))
