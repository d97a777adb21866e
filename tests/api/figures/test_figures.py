"""Figures over HTTP: every form, their numbers, and what is refused."""

import csv
import io
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from scipy import stats

EVIL = '<script>alert("x")</script> & co'
TYPES = {
    "json": "application/vnd.vegalite.v6+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
STARTS = {"json": b"{", "svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF-", "html": b"<!doctype html>", "csv": b"arm,"}


@pytest.fixture(scope="module")
def finished(shared: Any) -> tuple[Any, str]:
    experiment = shared.submit(name=EVIL, epochs=5)
    shared.train(diverged=4)
    return shared.http, f"{experiment['links']['self']}/figures"


@pytest.mark.parametrize("kind", ["ranking", "differences", "seeds", "convergence", "activation", "initializer"])
def test_every_other_kind_is_drawn_of_stored_rows(finished: Any, kind: str) -> None:
    http, base = finished
    answer = http.get(f"{base}/{kind}.svg")
    assert answer.status_code == 200, answer.text
    assert EVIL in " ".join(" ".join(ET.fromstring(answer.content).itertext()).split())


@pytest.mark.parametrize("kind", ["energy", "gradient_flow", "layer_histograms", "prediction"])
def test_what_was_not_measured_is_not_drawn(finished: Any, kind: str) -> None:
    http, base = finished
    answer = http.get(f"{base}/{kind}.svg")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert kind in answer.json()["detail"]


@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize("kind", ["curves", "heatmap"])
def test_every_form_is_served_and_revalidated(finished: Any, kind: str, form: str) -> None:
    http, base = finished
    answer = http.get(f"{base}/{kind}.{form}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[form])
    assert answer.content.startswith(STARTS[form])
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "sandbox" in answer.headers["content-security-policy"]
    again = http.get(f"{base}/{kind}.{form}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_csv_holds_the_numbers_of_the_rows(finished: Any) -> None:
    http, base = finished
    rows = list(csv.DictReader(io.StringIO(http.get(f"{base}/heatmap.csv").text)))
    assert [(row["initializer"], row["activation"]) for row in rows] == [
        ("he_uniform", "relu"),
        ("glorot_uniform", "relu"),
        ("he_uniform", "tanh"),
        ("glorot_uniform", "tanh"),
    ]
    values = [1.0 / 6 + 0.1 * slot + 0.001 * slot * 5 for slot in range(3)]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    numbers = [float(rows[0][name]) for name in ("mean", "low", "high", "n")]
    assert numbers == pytest.approx([np.mean(values), low, high, 3])
    assert (rows[1]["n"], rows[1]["diverged"], rows[1]["note"]) == ("2", "1", "1 of 3 diverged")
    assert all(float(row["mean"]) == pytest.approx(_arm(base, http, row["arm"])) for row in rows)


def _arm(base: str, http: Any, label: str) -> float:
    comparison = http.get(base.removesuffix("figures") + "comparison").json()
    return next(arm["mean"] for arm in comparison["arms"] if arm["label"] == label)


def test_user_text_stays_text(finished: Any) -> None:
    http, base = finished
    root = ET.fromstring(http.get(f"{base}/curves.svg").content)
    assert EVIL in " ".join(" ".join(root.itertext()).split())
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    page = http.get(f"{base}/curves.html").text
    assert page.count("<script") == 2
    assert 'alert("x")' not in page


def test_parameters_change_the_figure(finished: Any) -> None:
    http, base = finished
    spec = http.get(f"{base}/curves.json", params={"metric": "val_accuracy", "activation": "tanh"}).json()
    assert {row["arm"] for row in spec["data"]["values"]} == {"tanh · he_uniform", "tanh · glorot_uniform"}
    assert spec["title"]["text"] == ["Validation accuracy (share of rows) by epoch"]
    dark = http.get(f"{base}/curves.json", params={"theme": "dark"}).json()
    assert dark["config"]["background"] != spec["config"]["background"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("curve.png", 404, "did you mean 'curves'"),
        ("nothing.png", 404, "curves, heatmap"),
        ("curves.gif", 422, "'svg'"),
        ("curves.png?confidence=1", 422, "confidence"),
        ("curves.png?confidence=nan", 422, "confidence"),
        ("curves.png?metrik=val_loss", 422, "did you mean 'metric'"),
        ("curves.png?theme=pink", 422, "theme"),
        ("heatmap.png?at=never", 422, "final, best"),
        ("curves.png?metric=val_colour", 409, "val_colour"),
        ("curves.png?activation=gelu", 409, "relu, tanh"),
    ],
)
def test_what_cannot_be_drawn_is_refused(finished: Any, path: str, status: int, says: str) -> None:
    http, base = finished
    answer = http.get(f"{base}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


def test_nothing_to_show_yet_is_a_conflict(shared: Any, finished: Any) -> None:
    experiment = shared.submit(epochs=2)
    answer = shared.http.get(f"{experiment['links']['self']}/figures/curves.svg")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert shared.http.get("/v1/experiments/exp_0/figures/curves.svg").status_code == 404


def test_the_catalogue_lists_the_figures(shared: Any) -> None:
    figures = shared.http.get("/v1/figures").json()["items"]
    assert [item["kind"] for item in figures][:2] == ["curves", "heatmap"]
    for item in figures:
        assert item["forms"] == ["json", "svg", "png", "pdf", "html", "csv"]
        assert shared.http.get(f"/v1/figures/{item['kind']}").json() == item
    assert "confidence" in figures[0]["parameters"]["properties"]
    assert shared.http.get("/v1/figures/none").status_code == 404
