"""The proxy does to a connection what it says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.proxy import Proxy, proxy_to
from tests.support.workers import eventually


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers each line with the same in capitals."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    connection.sendall(line.upper())
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with proxy_to(echo) as made:
        yield made


def ask(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words + b"\n")
    return connection.recv(1000)


def ends(connection: socket.socket) -> bool:
    """Whether the other side has gone, or goes soon."""
    try:
        while ask(connection, b"hello"):
            continue
    except ConnectionError:
        return True
    return True


def connect(proxy: Proxy) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=60))


def test_it_passes_and_delays(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"HELLO\n"
        proxy.mode, proxy.seconds = "delay", 0.01
        assert ask(connection, b"again") == b"AGAIN\n"
    assert proxy.accepted == 1


def test_it_drops_after_so_many_bytes(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.mode, proxy.drop_after = "drop", 6
        assert ask(connection, b"hello") == b"HELLO\n"
        with pytest.raises(ConnectionResetError):
            ask(connection, b"again")


def test_a_black_hole_takes_and_says_nothing(proxy: Proxy) -> None:
    proxy.mode = "black_hole"
    with connect(proxy) as connection:
        connection.sendall(b"hello\n")
        eventually(lambda: proxy.accepted == 1, "it to be taken")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_it_resets_and_cuts(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"HELLO\n"
        proxy.cut()
        assert ends(connection)
    proxy.mode = "reset"
    with connect(proxy) as connection:
        assert ends(connection)


def test_a_lost_reply_is_lost_after_the_server_has_answered(proxy: Proxy) -> None:
    proxy.lose_reply(b"hello", b"commit")
    with connect(proxy) as connection:
        assert ask(connection, b"commit") == b"COMMIT\n"
        assert ask(connection, b"hello") == b"HELLO\n"
        with pytest.raises(ConnectionResetError):
            ask(connection, b"commit")
    assert proxy.lost == 1
    with connect(proxy) as connection:
        assert ask(connection, b"commit") == b"COMMIT\n"
