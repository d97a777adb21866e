"""The API as a process of its own: what it imports, what it prints, how it starts and stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support.workers import PATIENCE


def test_the_api_never_imports_torch() -> None:
    code = (
        "import sys, api.app, api.__main__\n"
        "bad = {'torch', 'celery', 'kombu', 'sklearn', 'matplotlib', 'worker', 'firstlight'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_it_migrates_serves_and_stops_with_a_stream_open(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", str(port)],
        env={**environment, "FIRSTLIGHT_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            while True:
                try:
                    if client.get("/healthz").is_success:
                        break
                except httpx.TransportError:
                    assert process.poll() is None
                    time.sleep(0.05)
            spec = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
            events = client.post("/v1/experiments", json=spec).json()["links"]["events"]
            with client.stream("GET", events) as answer:
                lines = answer.iter_lines()
                assert next(lines).startswith("retry")
                process.send_signal(signal.SIGTERM)
                assert "event: done" not in list(lines)
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        out, _ = process.communicate()
    assert out == b""
