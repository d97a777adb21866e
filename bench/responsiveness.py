"""How soon the service answers in a bad hour: ``python -m bench.responsiveness [--stack STACK] [--only CASE]``.

    cancel       from the request to the state `cancelled` of a study that trains
    submit       a submission's answer, with the broker there, flushed, started anew, deaf (it takes calls), gone
    streams      `/healthz` and a submission beside 500 readers of events that do not read, and the API's memory

Processes and servers are real, settings as installed but for the number of streams. Prints median, 99th percentile and
the longest time of each, with the load of the machine. Nothing is queued when a case begins.
"""

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import psutil

from bench.recovery import STUDY, percentile
from tests.faults.rig import Kind, Rig, rig_in, watched
from tests.support.proxy import Proxy, proxy_to
from tests.support.workers import eventually

REPETITIONS = 50
READERS = 500
SMALL: dict[str, Any] = {**STUDY, "epochs": 1, "model": {"kind": "mlp", "hidden": [8]}}


@contextmanager
def _client(rig: Rig) -> Generator[httpx.Client]:
    rig.start_api()
    with httpx.Client(base_url=rig.url, timeout=60.0) as client:

        def there() -> bool:
            try:
                return client.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(there, "the API to answer")
        yield client


def _submit(client: httpx.Client, spec: dict[str, Any]) -> tuple[str, float]:
    began = time.perf_counter()
    answer = client.post("/v1/experiments", json=spec)
    taken = time.perf_counter() - began
    assert answer.status_code == 202, answer.text[:500]
    return answer.json()["id"], taken


def cancel(rig: Rig, repetitions: int) -> None:
    """Cancel a study that has stored epochs, again and again."""
    rig.real = True
    rig.start_worker()
    answered: list[float] = []
    ended: list[float] = []
    with _client(rig) as client:
        for _ in range(repetitions):
            experiment, _ = _submit(client, STUDY)
            rig.workshop.wait_epoch(experiment, 3)
            began = time.perf_counter()
            client.post(f"/v1/experiments/{experiment}/cancel").raise_for_status()
            answered.append(time.perf_counter() - began)
            rig.workshop.wait(experiment, "cancelled")
            ended.append(time.perf_counter() - began)
    _line("cancel, answered", answered)
    _line("cancel, ended", ended)


@contextmanager
def _broker(rig: Rig) -> Generator[Proxy | None]:
    """The broker behind a proxy, for the API alone; None where the broker is a folder."""
    if rig.valkey is None:
        yield None
        return
    with proxy_to(rig.valkey.port) as proxy:
        rig.workshop.environment["FIRSTLIGHT_BROKER_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
        yield proxy


def submit(rig: Rig, repetitions: int) -> None:
    """Submit small studies while the broker is in each of its states; nobody trains them."""
    with _broker(rig) as proxy, _client(rig) as client:

        def timed(name: str, before: Callable[[], None] | None = None) -> None:
            seconds: list[float] = []
            for _ in range(repetitions):
                if before is not None:
                    before()
                seconds.append(_submit(client, SMALL)[1])
            _line(f"submit, broker {name}", seconds)

        timed("there")
        if proxy is None or rig.valkey is None:
            return
        valkey = rig.valkey
        timed("flushed", lambda: _flush(rig))

        def restart() -> None:
            valkey.stop()
            valkey.start()

        timed("started anew", restart)
        proxy.mode = "black_hole"
        proxy.cut()
        timed("deaf")
        proxy.mode = "reset"
        proxy.cut()
        valkey.stop()
        timed("gone")


def _flush(rig: Rig) -> None:
    assert rig.valkey is not None
    with rig.valkey.client() as client:
        client.flushall()


def streams(rig: Rig, repetitions: int) -> None:
    """Open many streams of one study's events and read none of them, while a worker trains it."""
    rig.real = True
    rig.start_worker()
    with _client(rig) as client, ExitStack() as readers:
        experiment, _ = _submit(client, STUDY)
        rig.workshop.wait_epoch(experiment, 3)
        assert rig.api is not None
        api = psutil.Process(rig.api.pid)
        _asked(client, repetitions, "healthz alone", "/healthz")
        before = api.memory_info().rss
        request = f"GET /v1/experiments/{experiment}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        began = time.perf_counter()
        for number in range(READERS):
            reader = readers.enter_context(socket.create_connection(("127.0.0.1", rig.port), 60.0))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(request)
            head = reader.recv(300)
            assert head.startswith(b"HTTP/1.1 200"), f"stream {number} was refused: {head!r}"
        sys.stdout.write(f"{READERS} streams opened in {time.perf_counter() - began:.1f} s\n")
        _asked(client, repetitions, "healthz beside", "/healthz")
        epoch = rig.workshop.cohort(experiment).last_epoch
        time.sleep(10.0)
        moved = rig.workshop.cohort(experiment).last_epoch - epoch
        grown = (api.memory_info().rss - before) / 2**20
        sys.stdout.write(f"{moved} epochs in 10 s meanwhile; the API holds {grown:.0f} MiB more\n")
        _line("submit beside", [_submit(client, SMALL)[1] for _ in range(repetitions)])
        client.post(f"/v1/experiments/{experiment}/cancel").raise_for_status()


def _asked(client: httpx.Client, repetitions: int, name: str, path: str) -> None:
    seconds: list[float] = []
    for _ in range(10 * repetitions):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        seconds.append(time.perf_counter() - began)
    _line(name, seconds)


CASES: dict[str, Callable[[Rig, int], None]] = {"cancel": cancel, "submit": submit, "streams": streams}


def _line(name: str, seconds: Sequence[float]) -> None:
    """One row of the table, in milliseconds."""
    columns = "".join(f"{1000 * percentile(seconds, share):9.1f}" for share in (0.5, 0.99, 1.0))
    sys.stdout.write(f"{name:28}{len(seconds):5}{columns}   load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.responsiveness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--stack", choices=get_args(Kind), default="servers")
    parser.add_argument("--only", choices=tuple(CASES), action="append")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{options.stack}, {os.cpu_count()} cores\n{'':28}{'n':>5}{'p50':>9}{'p99':>9}{'max':>9}   ms\n")
    for case in options.only or CASES:
        settings = {"MAX_STREAMS": str(READERS + 10), "CALIBRATE": "false"}
        with tempfile.TemporaryDirectory() as folder, watched(), rig_in(Path(folder), options.stack, **settings) as rig:
            CASES[case](rig, options.repetitions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
