"""Epoch rows: pages, choices, thinning, and the same numbers in every format."""

import csv
import io
import json
import math
from typing import Any

import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module")
def finished(shared: Any) -> tuple[Any, dict[str, Any]]:
    experiment = shared.submit(epochs=30)
    shared.train(diverged=1)
    return shared.http, experiment


def rows_of(http: Any, path: str, **query: Any) -> list[dict[str, Any]]:
    rows, cursor = [], None
    while True:
        page = http.get(path, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def expected(slot: int, epoch: int) -> float:
    return 1.0 / (1 + epoch) + 0.1 * slot + 0.001 * slot * epoch


def test_every_row_is_there_once_in_the_order_of_grid_and_epoch(finished: Any) -> None:
    http, experiment = finished
    path = experiment["links"]["metrics"]
    trials = [trial["id"] for trial in http.get(experiment["links"]["trials"]).json()["items"]]
    for limit in (1000, 7):
        rows = rows_of(http, path, limit=limit)
        places = [(trials.index(row["trial_id"]), row["epoch"]) for row in rows]
        assert places == sorted(places)
        # The diverged trial's last row is that of epoch 2.
        assert len(rows) == 11 * 31 + 3
    for row in rows:
        slot = trials.index(row["trial_id"])
        if slot != 1:
            assert row["val_loss"] == expected(slot, row["epoch"])
    gone = [row for row in rows if row["trial_id"] == trials[1]]
    assert [row["val_loss"] is None for row in gone] == [False, False, True]


def test_rows_are_chosen_by_trial_arm_metric_and_epoch(finished: Any) -> None:
    http, experiment = finished
    path = experiment["links"]["metrics"]
    trials = http.get(experiment["links"]["trials"]).json()["items"]
    rows = rows_of(http, path, trial=trials[3]["id"], epoch_from=2, epoch_to=4, metric="val_loss")
    assert rows == [{"trial_id": trials[3]["id"], "epoch": e, "val_loss": expected(3, e)} for e in (2, 3, 4)]
    rows = rows_of(http, path, arm="tanh · he_uniform", epoch_from=30)
    assert [row["trial_id"] for row in rows] == [t["id"] for t in trials if t["label"] == "tanh · he_uniform"]
    for query in ({"trial": "trl_0"}, {"arm": "nope"}, {"metric": "Val Loss"}, {"points": 1}, {"epoch_from": -1}):
        answer = http.get(path, params=query)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, next(iter(query)))


def test_thinning_keeps_measured_rows_and_says_so(finished: Any) -> None:
    http, experiment = finished
    path = experiment["links"]["metrics"]
    trial = http.get(experiment["links"]["trials"]).json()["items"][3]["id"]
    page = http.get(path, params={"trial": trial, "points": 8}).json()
    assert len(page["items"]) <= 8
    assert [page["items"][0]["epoch"], page["items"][-1]["epoch"]] == [0, 30]
    assert all(row["val_loss"] == expected(3, row["epoch"]) for row in page["items"])
    assert page["downsampled"]["of"] == 31
    assert page == http.get(path, params={"trial": trial, "points": 8}).json()
    assert http.get(path, params={"trial": trial}).json()["downsampled"] is None
    assert "points=8" in http.get(path, params={"points": 8, "format": "csv"}).headers["x-downsampled"]


def test_every_format_carries_the_same_numbers(finished: Any) -> None:
    http, experiment = finished
    path = experiment["links"]["metrics"]
    rows = rows_of(http, path)
    answers = {
        kind: http.get(path, headers={"Accept": kind})
        for kind in ("text/csv", "application/jsonl", "application/vnd.apache.parquet")
    }
    for kind, answer in answers.items():
        assert answer.headers["content-type"].split(";")[0] == kind
        assert experiment["id"] in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answers["text/csv"].text)))
    lines = [json.loads(line) for line in answers["application/jsonl"].text.splitlines()]
    columns = pq.read_table(io.BytesIO(answers["application/vnd.apache.parquet"].content)).to_pylist()
    assert len(table) == len(lines) == len(columns) == len(rows)
    for row, cells, line, column in zip(rows, table, lines, columns, strict=True):
        for record in (cells, line, column):
            assert (record["trial_id"], int(record["epoch"])) == (row["trial_id"], row["epoch"])
        value = row["val_loss"]
        assert cells["val_loss"] == ("" if value is None else repr(value))
        assert line["val_loss"] == value
        assert math.isnan(column["val_loss"]) if value is None else column["val_loss"] == value
    assert {"arm", "seed"} <= set(table[0])


def test_rows_of_a_running_experiment_can_be_read(served_by_both: Any) -> None:
    experiment = served_by_both.submit()
    assert served_by_both.http.get(experiment["links"]["metrics"]).json()["items"] == []
    empty = served_by_both.http.get(experiment["links"]["metrics"], params={"format": "csv"})
    assert empty.text == "trial_id,arm,seed,epoch\r\n"
    served_by_both.train()
    assert len(rows_of(served_by_both.http, experiment["links"]["metrics"])) == 48


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html, application/xml;q=0.9, */*;q=0.1", "application/json"),
        ("text/csv;q=0.5, application/jsonl;q=0.9", "application/jsonl"),
        ("application/x-ndjson", "application/jsonl"),
        ("text/*", "text/csv"),
        ("application/json;q=0, text/csv", "text/csv"),
    ],
)
def test_the_accept_header_chooses(finished: Any, accept: str, kind: str) -> None:
    http, experiment = finished
    answer = http.get(experiment["links"]["metrics"], headers={"Accept": accept})
    assert answer.headers["content-type"].split(";")[0] == kind


def test_what_cannot_be_served_is_a_406(finished: Any) -> None:
    http, experiment = finished
    answer = http.get(experiment["links"]["metrics"], headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
