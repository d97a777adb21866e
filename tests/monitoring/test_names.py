"""Metrics are named as Prometheus's conventions have it, and no label can make endless series."""

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.metrics_core import Metric

from services.training.energy import Method
from tests.monitoring.registries import api, families, touch
from worker.telemetry import METHODS, OTHER, Telemetry, bounded

UNITS = {"seconds", "bytes", "joules"}
LABELS = {"method", "route", "status", "state", "outcome", "reason", "write", "code", "device", "engine", "le"}
"""None is an id, an address, a name that a client chose, or a text."""


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    return list(families(api(tmp_path_factory.mktemp("home"))))


def test_each_name_has_the_words_and_the_unit_that_the_conventions_ask_for(metrics: list[Metric]) -> None:
    assert len(metrics) > 25
    assert len({family.name for family in metrics}) == len(metrics)
    for family in metrics:
        assert re.fullmatch(r"firstlight(_[a-z]+)+", family.name)
        words = family.name.split("_")
        assert family.unit in {"", *UNITS}
        assert not UNITS & set(words) or words[-1] == family.unit, f"{family.name}: the unit is its last word"
        assert family.type in ("counter", "gauge", "histogram")
        assert not family.name.endswith("_total"), f"{family.name}: the format adds that, and to counters alone"
        assert not (family.type == "histogram" and not family.unit), f"{family.name}: of what?"
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            assert suffix in {"counter": ("_total",), "gauge": ("",)}.get(family.type, ("_bucket", "_sum", "_count"))


def test_each_metric_says_what_it_is(metrics: list[Metric]) -> None:
    for family in metrics:
        assert re.fullmatch(r"[A-Z].{8,}\.", family.documentation), f"{family.name}: {family.documentation!r}"


def test_labels_are_few_and_known(metrics: list[Metric]) -> None:
    for family in metrics:
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, family.name
            assert len(set(sample.labels) - {"le"}) <= 3, family.name


def test_a_word_that_a_child_makes_up_is_no_label() -> None:
    assert bounded("cpu_time_estimate", METHODS) == "cpu_time_estimate"
    for word in ("exp_0123456789", "", None, 7, ["rapl_measured"]):
        assert bounded(word, METHODS) == OTHER


def test_every_meter_of_the_training_is_known() -> None:
    assert set(METHODS) == set(get_args(Method))


def test_a_workers_own_port_shows_the_same_as_the_api(metrics: list[Metric], tmp_path: Path) -> None:
    own = Telemetry()
    touch(own)
    worker = {family.name: family for family in families(own.registry)}
    assert worker
    assert all(name.startswith("firstlight_worker_") for name in worker)
    through_the_api = {family.name: family for family in metrics if family.name.startswith("firstlight_worker_")}
    assert through_the_api == worker
