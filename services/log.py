"""Logging: one line per event on stderr, as JSON or for the eye; the standard library's records take the same way.

No line holds a local variable, a secret, or more than `MOST_LINE` characters: tracebacks tell files, lines and names.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from services.redaction import Redaction, cloud_secrets, secrets_of
from services.settings import Settings

QUIET = ("celery", "kombu", "amqp", "redis", "alembic", "uvicorn.access", "asyncio")
"""Libraries that speak only when something is wrong."""
MOST_LINE = 16_384
MOST_FRAMES = 24
"""Of one traceback; those in the middle are left out."""
KEPT = (
    *("event", "level", "logger", "timestamp", "request_id", "path", "method"),
    *("worker_id", "experiment_id", "cohort_id", "attempt"),
)
"""What is left of an event that would make too long a line even so."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

Event = MutableMapping[str, Any]


_everywhere: dict[str, str] = {}


def stamp(**fields: str) -> None:
    """Put fields into every line that this process writes from now on, whichever of its threads it is."""
    _everywhere.update(fields)


def configure(settings: Settings) -> None:
    """Set up logging for this process: called once by its composition root."""
    json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(Redaction([*secrets_of(settings), *cloud_secrets(os.environ)]), json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def formatter(redaction: Redaction, *, json: bool) -> logging.Formatter:
    """What makes a line of an event."""
    if json:
        transform = ExceptionDictTransformer(show_locals=False, max_frames=MOST_FRAMES)
        traceback, render = structlog.processors.ExceptionRenderer(transform), structlog.processors.JSONRenderer()
    else:
        # The renderer's own way with exceptions would draw every local variable, where `rich` is installed.
        traceback = structlog.processors.format_exc_info
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )

    def bounded(logger: Any, name: str, event: Event) -> Any:
        line: Any = ""
        for most, items in ((2_000, 60), (200, 12)):
            small = redaction.value(event, most, items)
            line = render(logger, name, small if json else _printable(small, redaction, event))
            if len(line) <= MOST_LINE:
                return line
        facts = {key: event[key] for key in KEPT if key in event}
        return render(logger, name, redaction.value({**facts, "left_out": "the rest, which is too long"}, 200))

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, traceback, bounded],
    )


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        _stamped,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]


def _stamped(_logger: Any, _name: str, event: Event) -> Event:
    for name, value in _everywhere.items():
        event.setdefault(name, value)
    return event


def _printable(small: Event, redaction: Redaction, event: Event) -> Event:
    """For the eye: a value is one line without control characters; only a traceback of ours has several."""
    printable = {key: _escaped(value) if isinstance(value, str) else value for key, value in small.items()}
    if isinstance(event.get("exception"), str):
        printable["exception"] = redaction.text(event["exception"], MOST_LINE // 2)
    return printable


def _escaped(text: str) -> str:
    return UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)
