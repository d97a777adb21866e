"""One experiment goes through API, worker and child: its lines in the logs, its trace, and what was counted of it."""

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from httpx import Response
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api_process import api_in
from tests.support.collector import Collector, Seen, collector
from tests.support.workers import PATIENCE, eventually, workshop_in

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from tests.support import fake_child

plain = fake_child.report

def report(*given):
    print("a line of the child", file=sys.stderr, flush=True)
    return plain(*given)

fake_child.report = report
fake_child.main()
"""
WORKER = f"from worker.program import main; main([], command={[sys.executable, '-c', CHILD]!r})"
SPEC = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_normal", "epochs": 3, "seeds": 2}
REQUEST_ID = "a-request-of-the-test"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Run:
    """What is left of a run."""

    experiment: dict[str, Any]
    events: str
    metrics: str
    in_units: Response
    worker_id: str
    api_lines: list[dict[str, Any]]
    worker_lines: list[dict[str, Any]]
    collector: Collector


@pytest.fixture(scope="module")
def run(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Submit, train, compare, and end in order, so that all is written."""
    folder = tmp_path_factory.mktemp("sight")
    (folder / "home").mkdir()
    copyfile(migrated_sqlite, folder / "home" / "firstlight.db")
    workshop = workshop_in(folder)
    heard = {
        "FIRSTLIGHT_LOG_FORMAT": "json",
        "FIRSTLIGHT_LOG_LEVEL": "debug",
        "FIRSTLIGHT_CHECKPOINT_SECONDS": "0",
        "PYTHONPATH": str(ROOT),
    }
    try:
        with collector() as spans:
            environment = {**workshop.environment, **heard, "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url}
            with api_in(environment, folder) as api:
                worker = workshop.worker(environment, code=WORKER)
                headers = {"X-Request-ID": REQUEST_ID, "traceparent": f"00-{TRACE}-{CALLER}-01"}
                answer = api.http.post("/v1/experiments", json=SPEC, headers=headers)
                assert answer.status_code == 202, answer.text
                experiment = answer.json()
                place = f"/v1/experiments/{experiment['id']}"
                assert workshop.wait(experiment["id"]) == "succeeded"
                assert api.http.get(f"{place}/comparison").is_success
                events = api.http.get(f"{place}/events").text
                (worker_id,) = {line["worker_id"] for line in lines(folder / "worker-0.log") if "worker_id" in line}
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(PATIENCE) == 0
                metrics = api.http.get("/metrics").text
                in_units = api.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
            api_lines, worker_lines = lines(folder / "api.log"), lines(folder / "worker-0.log")
            workshop.close()
            yield Run(experiment, events, metrics, in_units, worker_id, api_lines, worker_lines, spans)
    finally:
        workshop.database.dispose()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_line_about_the_experiment_names_it(run: Run) -> None:
    """From the claim to the end of the attempt the worker's one slot does nothing else."""
    started, ended = (
        next(place for place, line in enumerate(run.worker_lines) if line["event"] == event)
        for event in ("attempt_started", "attempt_ended")
    )
    about = run.worker_lines[started : ended + 1]
    lines = [line for line in about if line["event"] == "child" and line["line"] == "a line of the child"]
    assert len(lines) == SPEC["epochs"] + 1
    for line in about:
        assert line["experiment_id"] == run.experiment["id"], line
        assert line["cohort_id"].startswith("coh_"), line
        assert line["attempt"] == 1
        assert line["request_id"] == REQUEST_ID, "the lines of the work are found by the request that asked for it"
    assert all(line["worker_id"] == run.worker_id for line in run.worker_lines)
    assert not any("experiment_id" in line for line in run.worker_lines[:started]), "nothing is bound too early"


def test_every_line_of_a_request_has_its_id_and_the_experiment_that_it_is_about(run: Run) -> None:
    submitted = [line for line in run.api_lines if line.get("request_id") == REQUEST_ID]
    assert [line["event"] for line in submitted] == ["experiment_submitted", "request"]
    requests = [line for line in run.api_lines if line["event"] == "request" and "/exp" in line["path"]]
    assert len(requests) == 3
    for line in (*submitted, *requests):
        assert line["request_id"]
        assert line["experiment_id"] == run.experiment["id"], line


def test_a_stream_does_not_tell_who_submitted(run: Run) -> None:
    assert '{"state":"queued","previous":null}' in run.events
    assert REQUEST_ID not in run.events
    assert TRACE not in run.events


def test_one_trace_leads_from_the_request_to_the_child(run: Run) -> None:
    eventually(lambda: run.collector.named("child") and run.collector.named("comparison"), "the last spans")
    parents = {span.id: span for span in run.collector.spans}

    def path(span: Seen) -> list[str]:
        above = parents.get(span.parent)
        return [span.name] if above is None else [*path(above), span.name]

    (child,) = run.collector.named("child")
    assert path(child) == ["POST /v1/experiments", "submit", "attempt", "child"]
    assert child.trace == TRACE, "the client's own trace goes on"
    assert child.attributes["firstlight.epochs"] == SPEC["epochs"] + 1
    assert child.attributes["firstlight.device"] == "cpu"
    assert child.attributes["firstlight.engine"] == "other", "this child makes one up"
    (request,) = run.collector.named("POST /v1/experiments")
    assert request.parent == CALLER
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["firstlight.request_id"] == REQUEST_ID
    (attempt,) = run.collector.named("attempt")
    assert attempt.attributes["firstlight.outcome"] == "done"
    assert attempt.service == child.service == "firstlight-worker"
    assert request.service == "firstlight-api"
    for name in ("submit", "attempt", "comparison"):
        assert all(
            span.attributes["firstlight.experiment_id"] == run.experiment["id"] for span in run.collector.named(name)
        )
    (comparison,) = run.collector.named("comparison")
    assert path(comparison) == ["GET /v1/experiments/{experiment_id}/comparison", "comparison"]
    assert comparison.trace != TRACE
    assert not any(span.failed for span in run.collector.spans)


def test_the_api_shows_what_the_worker_counted_also_after_its_end(run: Run) -> None:
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(run.metrics)
        for sample in family.samples
    }
    epochs = SPEC["epochs"] + 1
    assert samples[("firstlight_worker_attempts_total", "done")] == 1.0
    assert samples[("firstlight_worker_claim_seconds_count",)] == 1.0
    assert samples[("firstlight_worker_queue_wait_seconds_count",)] == 1.0
    assert samples[("firstlight_worker_epochs_total", "cpu", "other")] == epochs
    assert samples[("firstlight_worker_trial_epochs_total", "cpu", "other")] == 4 * epochs
    assert samples[("firstlight_worker_epoch_seconds_count", "cpu", "other")] == epochs
    assert samples[("firstlight_worker_energy_joules_total", "cpu", "other")] == 6.0
    assert 1.0 <= samples[("firstlight_worker_commit_seconds_count",)] <= epochs
    assert samples[("firstlight_worker_checkpoint_bytes_count",)] >= 1.0
    assert samples[("firstlight_worker_checkpoint_seconds_count",)] >= 1.0
    assert samples[("firstlight_worker_child_start_seconds_count",)] == 1.0
    assert samples[("firstlight_home_free_bytes",)] > 0.0
    assert samples[("firstlight_workers_held",)] == 0.0


def test_units_are_told_where_openmetrics_is_accepted(run: Run) -> None:
    assert run.in_units.headers["content-type"].startswith("application/openmetrics-text")
    assert "# UNIT firstlight_worker_energy_joules joules\n" in run.in_units.text
    assert "# UNIT firstlight_http_seconds seconds\n" in run.in_units.text
    assert run.in_units.text.endswith("# EOF\n")
