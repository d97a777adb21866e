"""The files of docs/monitoring name metrics, labels and values that there are; no metric lacks a place in them."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.settings import Settings
from tests.monitoring.registries import api, families
from worker.telemetry import Telemetry

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "monitoring"
METRIC = re.compile(r"\bfirstlight_[a-z_]+[a-z]\b")
SELECTOR = re.compile(r"(firstlight_[a-z_]+[a-z])\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)(=|!=|=~|!~)"([^"]*)"')
FROM_SCRAPING = {"job", "instance"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of all samples, as queries have them, with their labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    for family in families(api(tmp_path_factory.mktemp("home"))):
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    return dict(labels)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return group["rules"]


def panels() -> list[dict[str, Any]]:
    return json.loads((FOLDER / "dashboard.json").read_text())["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every query with where it is."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def values() -> dict[str, dict[str, set[str]]]:
    """What the labels of the worker's counters can be, where they are listed."""
    listed: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for metric in Telemetry().registry.collect():
        for sample in metric.samples:
            for label, value in sample.labels.items():
                listed[sample.name][label].add(value)
    return listed


def test_every_query_is_about_what_there_is(samples: dict[str, set[str]]) -> None:
    listed = values()
    for place, query in expressions():
        assert METRIC.findall(query), place
        assert set(METRIC.findall(query)) <= set(samples), place
        assert query.count("(") == query.count(")"), place
        for metric, matchers in SELECTOR.findall(query):
            for label, operator, value in MATCHER.findall(matchers):
                assert label in samples[metric] | FROM_SCRAPING, f"{place}: {metric} has no {label}"
                if label in listed.get(metric, {}) and "~" not in operator:
                    assert value in listed[metric][label], f"{place}: {metric} has no {label}={value}"
                if label in listed.get(metric, {}) and "~" in operator:
                    assert set(value.split("|")) <= listed[metric][label], f"{place}: {metric}"
        for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
            labels = set().union(*(samples[name] for name in METRIC.findall(query)))
            assert {label.strip() for label in by.split(",")} <= labels | FROM_SCRAPING, f"{place}: {by}"


def test_no_metric_lacks_a_panel(samples: dict[str, set[str]]) -> None:
    drawn = {
        name for panel in panels() for target in panel.get("targets", []) for name in METRIC.findall(target["expr"])
    }
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in drawn}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples} - bases == set()


def test_every_counter_of_workers_is_explained(samples: dict[str, set[str]]) -> None:
    page = (FOLDER / "README.md").read_text()
    explained = set(METRIC.findall(page))
    of_workers = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples if "_worker_" in name}
    assert explained == of_workers
    for variable in re.findall(r"FIRSTLIGHT_([A-Z_]+)", page):
        assert variable.lower() in Settings.model_fields


def test_every_rule_says_how_grave_it_is_and_what_it_means() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert re.fullmatch(r"Firstlight([A-Z][a-z]+)+", rule["alert"])
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[1-9][0-9]*[smh]", rule.get("for", "1m"))
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text())
    assert board["schemaVersion"] == 39, "that of Grafana 11.0"
    assert board["id"] is None
    assert board["title"] == "Firstlight"
    source, job = board["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert job["name"] == "job"
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        area = panel["gridPos"]
        mine = {(area["x"] + x, area["y"] + y) for x in range(area["w"]) for y in range(area["h"])}
        assert max(x for x, _ in mine) < 24
        assert not mine & cells, f"{panel['title']} lies on another panel"
        cells |= mine
        if panel["type"] == "row":
            continue
        assert panel["type"] in ("stat", "timeseries")
        assert panel["description"]
        assert panel["targets"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDE"[: len(panel["targets"])])
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_what_is_to_be_scraped_is_a_part_of_prometheus_own_file() -> None:
    content = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert content["rule_files"] == ["alerts.yml"]
    assert [job["job_name"] for job in content["scrape_configs"]] == ["firstlight", "firstlight-workers"]
