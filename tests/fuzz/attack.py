"""How soon `/healthz` answers while others attack: `python -m tests.fuzz.attack [--seconds 30] [--attackers 8]`.

A real API process with a key. The attackers send broken and huge bodies, header fields without end, wrong keys and
uploads that they give up in the middle, as fast as they can, on the same processors as the service.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from tests.support.api_process import ApiProcess, api_process
from tests.support.servers import upgraded

KEY = "k" * 32
HEAD = b"POST /v1/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + KEY.encode() + b"\r\nContent-Type: %s\r\n"


def _answer(api: ApiProcess, content: bytes) -> str:
    with api.connect() as connection:
        connection.sendall(content)
        return connection.recv(65_536)[9:12].decode() or "closed"


def _post(api: ApiProcess, body: bytes) -> str:
    return _answer(api, HEAD % (b"experiments", b"application/json") + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _huge(api: ApiProcess) -> str:
    return _post(api, b'{"seeds":[' + b"1," * 400_000 + b"1]}")


def _deep(api: ApiProcess) -> str:
    return _post(api, b"[" * 900_000)


def _names(api: ApiProcess) -> str:
    return _post(api, b'{"activation":[' + b'{"kind":"relo"},' * 9_000 + b"1]}")


def _fields(api: ApiProcess) -> str:
    return _answer(api, b"GET /v1/experiments HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 5_000 + b"\r\n")


def _wrong_key(api: ApiProcess) -> str:
    return _answer(api, b"GET /v1/experiments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n")


def _given_up(api: ApiProcess) -> str:
    with api.connect() as connection:
        connection.sendall(HEAD % (b"datasets?dry_run=true", b"text/csv") + b"Content-Length: 90000000\r\n\r\n")
        connection.sendall(b"1,2,3,4,5\n" * 100_000)
    return "given up"


ATTACKS: tuple[Callable[[ApiProcess], str], ...] = (_huge, _deep, _names, _fields, _wrong_key, _given_up)


def main() -> int:
    """Attack, ask, and print what was answered to whom and how soon."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--attackers", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        home = Path(name) / "home"
        for folder in (template, home):
            folder.mkdir()
        upgraded(f"sqlite:///{template / 'firstlight.db'}", template)
        with api_process(home, template / "firstlight.db", api_keys=KEY, rate_limit="") as api:
            quiet = _asked(api, 3.0)
            answers, ended = Counter[str](), threading.Event()
            attackers = [
                threading.Thread(target=_attack, args=(api, number, answers, ended))
                for number in range(options.attackers)
            ]
            memory = psutil.Process(api.process.pid).memory_info().rss
            for attacker in attackers:
                attacker.start()
            under_attack = _asked(api, options.seconds)
            ended.set()
            for attacker in attackers:
                attacker.join()
            grown = psutil.Process(api.process.pid).memory_info().rss - memory
    load = psutil.getloadavg()[0]
    sys.stdout.write(f"quiet: {_told(quiet)}\n{options.attackers} attackers: {_told(under_attack)}\n")
    sys.stdout.write(f"answers {dict(sorted(answers.items()))}; memory {grown / 2**20:+.0f} MiB; load {load:.1f}\n")
    return 0


def _attack(api: ApiProcess, number: int, answers: "Counter[str]", ended: threading.Event) -> None:
    for attack in itertools.islice(itertools.cycle(ATTACKS), number, None):
        if ended.is_set():
            return
        with suppress(OSError):
            answers[f"{attack.__name__[1:]} {attack(api)}"] += 1


def _asked(api: ApiProcess, seconds: float) -> list[float]:
    """Seconds of each answer of `/healthz`, ten times a second."""
    times: list[float] = []
    end = time.monotonic() + seconds
    with httpx.Client(base_url=api.http.base_url, timeout=60.0) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            client.get("/healthz").raise_for_status()
            times.append(time.perf_counter() - began)
            time.sleep(0.1)
    return sorted(times)


def _told(times: list[float]) -> str:
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, round(0.99 * len(times)))]
    return f"{len(times)} answers, p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, last {times[-1] * 1e3:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
