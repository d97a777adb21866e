"""The report: complete, self-contained, true to the comparison, and safe whatever a user typed."""

import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import select

from services.db.database import Database
from services.db.tables import DiagnosticRow, TrialRow

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Reads a page and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if {"td", "th"} & set(self.open[-2:]) and self.cells:
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def report(shared: Any) -> tuple[Any, dict[str, Any], str]:
    claim = "val_loss(he_uniform) < val_loss(glorot_uniform)"
    experiment = shared.submit(name=EVIL, tags=["<b>bold"], epochs=5, hypotheses=[claim])
    shared.train(diverged=4)
    answer = shared.http.get(experiment["links"]["report"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    return shared.http, experiment, answer.text


def test_it_is_one_well_formed_page_that_fetches_nothing(report: Any) -> None:
    page = Page(report[2])
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object", "style"} & set(names) - {"style"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert tag == "use" or not {"src", "srcset"} & attributes.keys()
        assert not str(attributes.get("href") or attributes.get("xlink:href") or "#").startswith(("http", "//"))
    assert "@import" not in report[2]
    assert not re.findall(r"url\((?!#)", report[2])


def test_it_can_be_read_without_seeing_it(report: Any) -> None:
    page = Page(report[2])
    assert next(attributes for tag, attributes in page.tags if tag == "html")["lang"] == "en"
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(headings))
    images = [attributes for _, attributes in page.tags if attributes.get("role") == "img"]
    # Curves and heat map of loss and of accuracy, differences, seeds, convergence; no energy and no layers here.
    assert len(images) == 7
    assert all(len(str(attributes["aria-label"])) > 60 for attributes in images)
    # On a small screen a picture is scrolled, by the keyboard too, instead of shrunk beyond reading.
    assert all((attributes["class"], attributes["tabindex"]) == ("wide", "0") for attributes in images)
    drawn = [str(attributes["style"]) for tag, attributes in page.tags if tag == "svg"]
    assert len(drawn) == len(images)
    assert all(200 < float(re.fullmatch(r"min-width: ([\d.]+)px", style)[1]) <= 620 for style in drawn)  # type: ignore[index]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(labelled) <= set(ids)


def test_it_tells_the_quote_beside_what_the_experiment_took(report: Any) -> None:
    http, experiment, text = report
    quote = http.get(experiment["links"]["self"]).json()["quote"]
    regex = r"quote\s*([\d.]+) s \(([\d.]+) s to ([\d.]+) s\), from (.*?); from the start to the end it took ([\d.]+) s"
    sentence = re.search(regex, Page(text).text)
    assert sentence
    assert sentence[4] == quote["seconds"]["basis"]
    seconds = [*(quote["seconds"][name] for name in ("expected", "low", "high")), quote["actual_seconds"]]
    assert [float(sentence[place]) for place in (1, 2, 3, 5)] == pytest.approx(seconds, abs=0.051)


def test_it_says_what_the_comparison_says(report: Any) -> None:
    http, experiment, text = report
    page, comparison = Page(text), http.get(experiment["links"]["comparison"]).json()
    assert comparison["verdict"] in page.text
    rows = {row[1]: row for row in page.cells if len(row) == 10 and row[0].isdigit()}
    assert list(rows) == [row["label"] for row in comparison["ranking"]]
    for arm in comparison["arms"]:
        row = rows[arm["label"]]
        assert float(row[3].replace("−", "-")) == pytest.approx(
            arm["mean"], abs=0.06 * (arm["ci"]["high"] - arm["mean"])
        )
    assert "1 diverged" in rows["relu · glorot_uniform"][2]
    pairs = [row for row in page.cells if len(row) == 10 and row[0] in rows]
    assert {(row[0], row[1]) for row in pairs} == {(p["a"]["label"], p["b"]["label"]) for p in comparison["pairs"]}
    assert re.search(r"relu · glorot_uniform: 1 of \d+ trials \(seed 1\), in epoch 2, first in dense_1", page.text)


def test_it_answers_the_claims(report: Any) -> None:
    http, experiment, text = report
    claim = http.get(experiment["links"]["claims"]).json()["items"][0]
    assert [row[:2] for row in Page(text).cells if row[0] == claim["claim"]] == [[claim["claim"], claim["verdict"]]]
    assert claim["sentence"] in Page(text).text


def test_it_tells_how_to_run_it_again(report: Any) -> None:
    http, experiment, text = report
    page, document = Page(text), http.get(experiment["links"]["self"]).json()
    assert document["spec_digest"] in page.text
    assert document["dataset_digest"] in page.text
    assert '"validation_fraction": 0.2' in page.text
    assert all(warning in page.text for warning in document["warnings"])


def test_user_text_stays_text(report: Any) -> None:
    page = Page(report[2])
    assert EVIL in page.text
    assert "<b>bold" in page.text
    assert not [tag for tag, _ in page.tags if tag in ("script", "b", "img")]


def test_it_is_revalidated(report: Any) -> None:
    http, experiment, _ = report
    answer = http.get(experiment["links"]["report"])
    again = http.get(experiment["links"]["report"], headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_it_can_speak_of_another_metric(report: Any) -> None:
    http, experiment, _ = report
    query = {"metric": "val_accuracy", "at": "best", "confidence": 0.9}
    page = Page(http.get(experiment["links"]["report"], params=query).text)
    assert "Compared is val_accuracy at each trial's best epoch; higher is better." in page.text
    assert "90 % interval" in page.text
    assert http.get(experiment["links"]["report"], params={"metric": "colour"}).status_code == 422


def test_too_early_is_a_conflict(served: Any) -> None:
    experiment = served.submit()
    assert served.http.get(experiment["links"]["report"]).status_code == 409
    assert served.http.get("/v1/experiments/exp_0/report.html").status_code == 404


def test_a_cancelled_experiment_without_results_says_so(served: Any) -> None:
    experiment = served.submit()
    served.http.post(f"{experiment['links']['self']}/cancel")
    answer = served.http.get(experiment["links"]["report"])
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "No trial of this experiment has a result" in page.text
    assert "12 were cancelled" in page.text


def test_a_single_arm_needs_no_pairs(served: Any) -> None:
    experiment = served.submit(activation="relu", initializer="he_uniform", seeds=1)
    served.train()
    page = Page(served.http.get(experiment["links"]["report"]).text)
    assert "Paired differences" not in page.text
    assert "nothing to compare it with" in page.text


@pytest.mark.parametrize(
    ("model", "description"),
    [
        ({"kind": "deep_mlp", "depth": 3, "width": 8}, "deep_mlp, depth 3, width 8"),
        (
            {"kind": "mlp", "hidden": [8, 4], "batch_norm": {"evaluation": ["moving", "batch"]}},
            "mlp, batch norm (decay 0.99, epsilon 0.001, position before, evaluation moving, batch), hidden 8, 4",
        ),
    ],
)
def test_every_model_is_told(shared: Any, model: dict[str, Any], description: str) -> None:
    experiment = shared.submit(model=model, epochs=2)
    shared.train()
    answer = shared.http.get(experiment["links"]["report"])
    assert answer.status_code == 200, answer.text
    assert description in Page(answer.text).text


def measure_layers(database: Database, experiment: str, epochs: tuple[int, ...]) -> None:
    """Two layers of every trial, with all numbers that a report's figures and its table of outputs read."""
    common = {
        "gradient_norm": 0.5,
        "predicted_second_moment": 1.0,
        "pre_activation_mean": 0.0,
        "pre_activation_variance": 1.1,
    }
    outputs = {"output_min": -1.0, "output_max": 1.0, "target_min": -2.0, "target_max": 2.0}
    with database.write() as session:
        session.add_all(
            DiagnosticRow(trial_id=trial, epoch=epoch, layer=layer, layer_index=index, values={**common, **more})
            for trial in session.scalars(select(TrialRow.id).where(TrialRow.experiment_id == experiment))
            for epoch in epochs
            for index, (layer, more) in enumerate({"dense_1": {}, "output": outputs}.items())
        )


def test_seeds_in_rounds_take_no_picture_away(served: Any) -> None:
    names = ["relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu"]
    seeds = {"min": 2, "max": 8, "step": 6, "until": {"ci_halfwidth": 1e-9}}
    experiment = served.submit(
        dataset="teacher_student", activation=names, initializer="glorot_normal", seeds=seeds, epochs=2
    )
    served.train()
    measure_layers(served.database, experiment["id"], (0, 2))
    answer = served.http.get(experiment["links"]["report"])
    assert answer.status_code == 200, answer.text
    page = Page(answer.text)
    assert "56 trials: 7 arms × 8 seeds, 2 epochs each" in page.text
    leads = ("How large the gradients are that reach the first layers.", "Whether theory saw it coming")
    assert [lead for lead in leads if lead not in page.text] == []
    reach = {row[0]: row for row in page.cells if row[-1].startswith("50 %")}
    assert set(reach) == {f"{name} · glorot_normal" for name in names}
    assert {row[1] for row in reach.values()} == {"8"}
