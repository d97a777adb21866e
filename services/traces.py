"""Spans for OpenTelemetry, where its variables name a collector and the extra `traces` is installed; else nothing.

No span carries a message of an error, a query or a body, for those can hold what must not leave the service.
"""

import logging
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, cast

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span as OtelSpan

log = structlog.get_logger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXTRA = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
LAST_SECONDS = 2.0
"""How long the end of a process waits for a collector."""

Kind = Literal["internal", "server", "consumer"]
Value = str | int | float | bool


class Span:
    """What a part of the work took; of one that nobody asked for, nothing is kept."""

    def __init__(self, span: "OtelSpan | None" = None) -> None:
        self._span = span

    def note(self, **attributes: Value | None) -> None:
        """Add attributes: `experiment_id` becomes `firstlight.experiment_id`; what is None is left out."""
        if self._span is not None:
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(f"firstlight.{name}", value)

    def answer(self, method: str, route: str, status: int) -> None:
        """The span is an HTTP request: name it after its route."""
        if self._span is not None:
            self._span.update_name(f"{method} {route}")
            self._span.set_attributes(
                {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            )
            if status >= 500 or status == 0:
                self.fail(str(status))

    def fail(self, reason: str) -> None:
        """Mark it as failed; the reason is a word for the kind of failure."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - see the module

            self._span.set_status(StatusCode.ERROR, reason)

    @property
    def traceparent(self) -> str | None:
        """The span for another process to go on from, as W3C Trace Context writes it; None where there is none."""
        if self._span is None or not (context := self._span.get_span_context()).is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


NOTHING = Span()


class Traces:
    """Makes the spans of one process.

    Args:
        provider: of the SDK; None for no spans.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("firstlight")

    @contextmanager
    def span(
        self, name: str, *, parent: str | None = None, kind: Kind = "internal", **attributes: Value | None
    ) -> Generator[Span]:
        """Time a block.

        Args:
            name: what is done, without ids.
            parent: a traceparent of another process; None for the span around this one, if there is one.
            kind: whether it answers a request or takes work from a queue.
            attributes: see `Span.note`.
        """
        if self._tracer is None:
            yield NOTHING
            return
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - see the module
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        carrier = {} if parent is None else {"traceparent": parent}
        with self._tracer.start_as_current_span(
            name,
            context=TraceContextTextMapPropagator().extract(carrier) if carrier else None,
            kind=SpanKind[kind.upper()],
            record_exception=False,
            set_status_on_exception=False,
        ) as otel:
            span = Span(otel)
            span.note(**attributes)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise

    def close(self) -> None:
        """Send what waits, and stop; after `LAST_SECONDS` nobody waits for a collector that does not answer."""
        if self._provider is not None:
            last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
            last.start()
            last.join(LAST_SECONDS)


class Sparing:
    """An exporter that says once when its collector does not answer, and once when it does again.

    OpenTelemetry's own would write a line with the address every few seconds.
    """

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        """Send the spans; those that cannot be sent are dropped."""
        result = self._exporter.export(spans)
        failing = result.name != "SUCCESS"
        if failing and not self._failing:
            log.warning("traces_not_sent", hint="the collector does not answer, or refuses; its spans are dropped")
        elif self._failing and not failing:
            log.info("traces_sent_again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter does."""
        return self._exporter.force_flush(timeout_millis)


def wished(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether OpenTelemetry's own variables name a collector for traces."""
    return (
        any(environment.get(name) for name in ENDPOINTS)
        and environment.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    )


def missing() -> bool:
    """Whether the extra is not installed."""
    try:
        return any(find_spec(name) is None for name in EXTRA)
    except ModuleNotFoundError:
        return True


def traces(service: str, exporter: "SpanExporter | None" = None) -> Traces:
    """The spans of this process, sent to the collector that the environment names; to `exporter` where one is given.

    Args:
        service: what the process is called, unless `OTEL_SERVICE_NAME` says something else.
        exporter: takes the spans at once, for tests.
    """
    if exporter is None and not wished():
        return Traces()
    if exporter is None and missing():
        log.warning("traces_not_installed", hint="a collector is named, but the extra is missing: firstlight[traces]")
        return Traces()
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - see the module
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415

    named = os.environ.get("OTEL_SERVICE_NAME")
    resource = Resource.create({} if named else {SERVICE_NAME: service})
    # A provider of our own: a library that looks for a global one must not send what it likes with it.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        provider.add_span_processor(BatchSpanProcessor(cast("SpanExporter", Sparing(OTLPSpanExporter()))))
    return Traces(provider)
