"""A stored row that cannot be read is a problem that says so, and hides nothing but itself. On both databases."""

from typing import Any

import pytest
from sqlalchemy import text

NO_JSON, NO_TEXT, NO_OBJECT, NO_SPEC = "'{bad'", "CAST(X'7bff' AS TEXT)", "'[1]'", """'{"epochs": "many"}'"""


def damage(served: Any, experiment: str, column: str, value: str) -> None:
    with served.database.write() as session:
        session.execute(text(f"UPDATE experiments SET {column} = {value} WHERE id = :id"), {"id": experiment})


def assert_unreadable(answer: Any) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "unreadable"), problem
    assert problem["title"] == "What is stored cannot be read"


@pytest.mark.parametrize(("column", "value"), [("spec", NO_JSON), ("rounds", NO_JSON), ("spec", NO_TEXT)])
def test_what_is_no_json_is_a_problem_of_its_own(served: Any, column: str, value: str) -> None:
    """PostgreSQL keeps no such text in a column of JSON."""
    damaged, sound = served.submit()["id"], served.submit()["id"]
    damage(served, damaged, column, value)
    for path in ("", "/trials", "/comparison", "/claims", "/report.html", "/figures/curves.svg"):
        answer = served.http.get(f"/v1/experiments/{damaged}{path}")
        if answer.status_code != 200:
            assert_unreadable(answer)
    assert_unreadable(served.http.get(f"/v1/experiments/{damaged}"))
    assert_unreadable(served.http.post(f"/v1/experiments/{damaged}/clone"))
    assert served.http.get(f"/v1/experiments/{sound}").status_code == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_a_list_leaves_out_what_cannot_be_read_and_goes_on(served_by_both: Any, limit: int) -> None:
    made = [served_by_both.submit()["id"] for _ in range(4)]
    for experiment in (made[0], made[2]):
        damage(served_by_both, experiment, "spec", NO_OBJECT)
    listed: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = served_by_both.http.get("/v1/experiments", params=params).json()
        listed += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert listed == [made[3], made[1]]
    assert_unreadable(served_by_both.http.get(f"/v1/experiments/{made[0]}"))


def test_a_stored_spec_that_is_none_is_a_problem_where_it_is_needed(served_by_both: Any) -> None:
    experiment = served_by_both.submit(hypotheses=["val_loss(relu) < val_loss(tanh)"])["id"]
    served_by_both.train()
    damage(served_by_both, experiment, "spec", NO_SPEC)
    for path in ("/claims", "/report.html", "/figures/curves.svg"):
        assert_unreadable(served_by_both.http.get(f"/v1/experiments/{experiment}{path}"))
