"""More of what the tests draw: `python -m tests.fuzz [--examples N] [--inputs N] [--seed S]`, which is `make fuzz`.

First the readers of foreign input, then requests drawn from the OpenAPI document: on both databases, with keys of every
scope and without. Each line tells what was tried; the end is 1 when anything came out that should not.
"""

import argparse
import itertools
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import structlog

from tests.fuzz.drawn_requests import PHASES, draw, fuzzed_service, key_of
from tests.fuzz.parsers import EscapedError, fuzz, parsers
from tests.support import watchdog
from tests.support.servers import Postgres, upgraded

SLOWEST_SECONDS = 2.0
"""Processor time that one input may take."""
MOST_GROWTH = 64 * 2**20
SCOPES = ("admin", "write", "read", None)


def main() -> int:
    """Fuzz, print, and say whether all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=30, help="requests of each operation, and chains")
    parser.add_argument("--inputs", type=int, default=20_000, help="of each reader of foreign input")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    structlog.configure(processors=[_drop])
    _say(f"seed {seed}")
    return 0 if all([*_read(options.inputs, seed), *_ask(options.examples, seed)]) else 1


def _read(inputs: int, seed: int) -> Iterator[bool]:
    for parser in parsers():
        try:
            tally = fuzz(parser, inputs, seed)
        except EscapedError as error:
            _say(f"{error}: {type(error.__cause__).__name__}: {error.__cause__}")
            yield False
            continue
        _say(f"{parser.name}: {tally}")
        yield tally.slowest < SLOWEST_SECONDS and tally.grown < MOST_GROWTH


def _ask(examples: int, seed: int) -> Iterator[bool]:
    for engine, scope in itertools.product(("sqlite", "postgresql"), SCOPES):
        with tempfile.TemporaryDirectory() as name, _migrated(engine, Path(name)) as url:
            home, began = Path(name), time.monotonic()
            with fuzzed_service(home, url, keys=scope is not None) as served:
                key = None if scope is None else key_of(served, scope)
                # The corners of the document are many: they are asked for with the key that sees most.
                phases = PHASES if scope == "admin" else "fuzzing,stateful"
                drawn = draw(served, home, key=key, examples=examples, chains=examples, seed=seed, phases=phases)
        seconds = time.monotonic() - began
        _say(f"{engine}, {scope or 'no'} key: {drawn.cases} requests of {', '.join(drawn.phases)} in {seconds:.0f} s")
        if drawn.failures:
            _say(drawn.failures)
        yield not drawn.failures


@contextmanager
def _migrated(engine: str, home: Path) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    if engine == "sqlite":
        url = f"sqlite:///{home / 'firstlight.db'}"
        upgraded(url, home)
        yield url
        return
    server = Postgres(watchdog.folder(watchdog.own_run(), "pg"), ("fsync=off",))
    try:
        server.start()
        url = server.url.render_as_string(hide_password=False)
        upgraded(url, home)
        yield url
    finally:
        server.crash()
        shutil.rmtree(server.folder, ignore_errors=True)


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
