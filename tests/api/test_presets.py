"""Presets over HTTP: listed, read, resized, and each of them can be planned."""

from typing import Any

import pytest

from services.science.presets import PRESETS


@pytest.mark.parametrize("name", list(PRESETS))
def test_each_can_be_planned_as_it_is(shared: Any, name: str) -> None:
    preset = shared.http.get(f"/v1/presets/{name}").json()
    answer = shared.http.post("/v1/experiments?dry_run=true", json=preset["spec"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["trials"] > 0
    assert preset["shrunk"] == []


def test_the_list_starts_with_the_one_to_start_with(shared: Any) -> None:
    items = shared.http.get("/v1/presets").json()["items"]
    assert [item["name"] for item in items] == list(PRESETS)
    assert items[0]["name"] == "quickstart"


def test_a_smaller_size_can_be_submitted(served: Any) -> None:
    preset = served.http.get("/v1/presets/diamonds_tail", params={"epochs": 2, "train_size": 512, "seeds": 3}).json()
    assert preset["shrunk"] == ["epochs 10 → 2", "seeds 12 → 3", "train_size all → 512"]
    answer = served.http.post("/v1/experiments", json=preset["spec"])
    assert answer.status_code == 202, answer.text
    assert answer.json()["name"] == "diamonds_tail (shrunk: epochs 10 → 2, seeds 12 → 3, train_size all → 512)"
    assert "shrunk" in answer.json()["tags"]


@pytest.mark.parametrize(
    ("query", "status", "pointer"),
    [
        ("/v1/presets/quickstart?train_size=5000", 422, "train_size"),
        ("/v1/presets/quickstart?validation_size=5", 422, "validation_size"),
        ("/v1/presets/quickstart?epochs=0", 422, "epochs"),
        ("/v1/presets/quickstar", 404, None),
    ],
)
def test_what_does_not_fit_is_a_problem(shared: Any, query: str, status: int, pointer: str | None) -> None:
    answer = shared.http.get(query)
    assert answer.status_code == status
    assert pointer is None or answer.json()["errors"][0]["pointer"] == pointer
