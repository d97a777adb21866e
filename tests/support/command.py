"""The command run in the test's own process, and services that answer what no service should."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from firstlight import output
from firstlight.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote."""

    code: object
    out: str
    err: str


Firstlight = Callable[..., Ended]


@pytest.fixture
def firstlight(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Firstlight:
    """Run a command as its entry point does; its output goes to no terminal."""
    monkeypatch.delenv("FIRSTLIGHT_URL", raising=False)

    def run(*words: str, url: str | None = None) -> Ended:
        address = ["--url", url] if url else []
        with pytest.raises(SystemExit) as ended:
            main([*words, *address])
        written = capsys.readouterr()
        return Ended(ended.value.code, written.out, written.err)

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 80 columns without colours."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(output.console, "_color_system", None)
    monkeypatch.setattr(output.console, "_width", 80)
    monkeypatch.setattr(output.console, "_height", 24)


@dataclass
class OddService:
    """Answers every request with the same bytes; `asked` is set at the first one."""

    url: str
    asked: threading.Event


@pytest.fixture
def odd_service() -> Iterator[Callable[..., OddService]]:
    """Start services that send these bytes and then end the connection, or leave it open and silent."""
    stop = threading.Event()
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: bytes, *, reset: bool = False, silent: bool = False) -> OddService:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        service = OddService(f"http://127.0.0.1:{listener.getsockname()[1]}", threading.Event())

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if stop.is_set():
                        return
                    connection.recv(65_536)
                    service.asked.set()
                    if silent:
                        stop.wait()
                    if reset:
                        connection.sendall(answer)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    else:
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        threads.append(thread)
        return service

    yield start
    stop.set()
    for listener in listeners:
        with socket.create_connection(listener.getsockname()):  # wakes the one who waits for a connection
            pass
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def http(body: bytes, *, status: str = "200 OK", kind: str = "application/json", length: int | None = None) -> bytes:
    """An answer of HTTP; `length` may promise more than comes."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
