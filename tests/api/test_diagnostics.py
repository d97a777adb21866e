"""Layer diagnostics over HTTP."""

from typing import Any

import pytest
from sqlalchemy import select

from services.db.tables import DiagnosticRow, TrialRow


@pytest.fixture(scope="module")
def measured(shared: Any) -> tuple[Any, str]:
    experiment = shared.submit()
    with shared.database.write() as session:
        for trial in session.scalars(select(TrialRow).where(TrialRow.experiment_id == experiment["id"])):
            for epoch in (0, 1):
                session.add(
                    DiagnosticRow(
                        trial_id=trial.id,
                        epoch=epoch,
                        layer="dense_0",
                        layer_index=0,
                        values={"dead_fraction": 0.1 * trial.seed + epoch, "gradient_norm": None},
                    )
                )
    return shared.http, f"/v1/experiments/{experiment['id']}/diagnostics"


def test_rows_by_expression_and_page(measured: tuple[Any, str]) -> None:
    http, path = measured
    page = http.get(path, params={"where": "dead_fraction > 0.05 and epoch = 0"}).json()
    assert len(page["items"]) == 4 * 2
    assert {item["seed"] for item in page["items"]} == {1, 2}
    assert len(page["histogram_edges"]) == 41
    assert page["items"][0]["values"]["gradient_norm"] is None
    first = http.get(path, params={"limit": 7, "quantity": "dead_fraction"}).json()
    second = http.get(path, params={"limit": 100, "cursor": first["next_cursor"]}).json()
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (7, 17, None)
    assert first["items"][0]["values"].keys() == {"dead_fraction"}
    arm = first["items"][0]["label"]
    assert len(http.get(path, params={"arm": arm, "epoch": [0, 1], "layer": "dense_0"}).json()["items"]) == 6


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"where": "dead > 1"}, "where"),
        ({"quantity": "colour"}, "quantity"),
        ({"arm": "nobody"}, "arm"),
        ({"epoch": -1}, "epoch"),
        ({"cursor": "abc"}, "cursor"),
    ],
)
def test_refusals(measured: tuple[Any, str], query: dict[str, Any], pointer: str) -> None:
    http, path = measured
    answer = http.get(path, params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


def test_no_such_experiment(shared: Any) -> None:
    assert shared.http.get("/v1/experiments/exp_0/diagnostics").status_code == 404
