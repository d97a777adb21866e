"""Spans: made only where a collector is named, without what must not leave the service, and in the caller's trace."""

import subprocess
import sys
import threading

import pytest
import structlog
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services import traces as module
from services.traces import Sparing, Traces, traces, wished

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOBODY_ASKS = """
import sys
import worker.program
assert not any(name.startswith("opentelemetry") for name in sys.modules)
from services.traces import traces
with traces("x").span("y", parent=%r, kind="server", experiment_id="z") as span:
    span.note(more=1)
    span.fail("so")
    span.answer("GET", "/", 500)
    assert span.traceparent is None
assert not any(name.startswith("opentelemetry") for name in sys.modules)
import api.app
assert not any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules)
""".replace("%r", repr(CALLER))


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def made(exporter: InMemorySpanExporter) -> Traces:
    return traces("test", exporter)


def test_where_nobody_asks_for_spans_nothing_is_loaded() -> None:
    subprocess.run([sys.executable, "-c", NOBODY_ASKS], check=True)


def test_a_failure_is_told_without_its_message(made: Traces, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="secret"), made.span("work"):
        raise ValueError("a secret, say")
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError"
    assert span.events == ()
    assert "secret" not in span.to_json()


def test_a_span_goes_on_from_another_process_or_from_the_one_around_it(
    made: Traces, exporter: InMemorySpanExporter
) -> None:
    with made.span("outer", parent=CALLER) as outer, made.span("inner"):
        pass
    assert outer.traceparent is not None
    with made.span("elsewhere", parent=outer.traceparent):
        pass
    inner, around, elsewhere = exporter.get_finished_spans()
    context = around.get_span_context()
    assert context is not None
    assert f"{context.trace_id:032x}" == CALLER[3:35]
    for span in (inner, elsewhere):
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == (context.trace_id, context.span_id)


@pytest.mark.parametrize("parent", ["", "garbage", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "x" * 70_000])
def test_a_parent_that_is_none_begins_a_trace(made: Traces, exporter: InMemorySpanExporter, parent: str) -> None:
    with made.span("work", parent=parent):
        pass
    (span,) = exporter.get_finished_spans()
    assert span.parent is None


def test_whom_the_caller_does_not_sample_is_not_sent(made: Traces, exporter: InMemorySpanExporter) -> None:
    with made.span("work", parent=CALLER[:-1] + "0") as span:
        pass
    assert exporter.get_finished_spans() == ()
    assert span.traceparent is not None, "but those behind hear of it"
    assert span.traceparent.endswith("-00")


def test_attributes_that_are_not_known_are_left_out(made: Traces, exporter: InMemorySpanExporter) -> None:
    with made.span("work", experiment_id="exp_1", attempt=None) as span:
        span.note(epochs=3, engine=None)
    (one,) = exporter.get_finished_spans()
    assert dict(one.attributes or {}) == {"firstlight.experiment_id": "exp_1", "firstlight.epochs": 3}


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "so"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_usual_variables_say_whether_spans_are_made(environment: dict[str, str], so: bool) -> None:
    assert wished(environment) is so


def test_a_collector_without_the_extra_is_told_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*next(iter(ENDPOINT.items())))
    monkeypatch.setattr(module, "EXTRA", ("opentelemetry.no_such_module",))
    warnings: list[str] = []
    monkeypatch.setattr(module.log, "warning", lambda event, **_: warnings.append(event), raising=False)
    with traces("test").span("work") as span:
        assert span.traceparent is None
    assert warnings == ["traces_not_installed"]


def test_the_end_does_not_wait_for_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Hangs(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            released.wait()

    monkeypatch.setattr(module, "LAST_SECONDS", 0.05)
    hanging = traces("test", Hangs())
    hanging.close()  # would run into the time limit of the test
    released.set()


def test_a_collector_that_is_away_is_told_once_and_again_when_it_answers() -> None:
    results = iter([SpanExportResult.FAILURE] * 3 + [SpanExportResult.SUCCESS] * 2 + [SpanExportResult.FAILURE])

    class Flickers(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002
            return next(results)

        def shutdown(self) -> None:
            pass

    exporter = Sparing(Flickers())
    with structlog.testing.capture_logs() as lines:
        for _ in range(6):
            exporter.export([])
    assert [line["event"] for line in lines] == ["traces_not_sent", "traces_sent_again", "traces_not_sent"]


def test_spans_go_to_no_provider_that_libraries_find(made: Traces) -> None:
    """A framework that finds a global provider sends spans of its own, with the query of the address."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    with made.span("work"):
        assert not isinstance(trace.get_tracer_provider(), TracerProvider)
