"""The doorbell never blocks and never fails; Celery is configured as the delivery needs it."""

import base64
import json
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from services import broker_folder
from services.queue import QUEUE, TASK, CeleryDoorbell, SilentDoorbell, make_app
from services.settings import Settings
from tests.support.servers import free_port
from tests.support.workers import PATIENCE, eventually


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def settle(bell: CeleryDoorbell, health: bool) -> None:
    eventually(lambda: bell.healthy is health, f"the bell to be {'healthy' if health else 'unhealthy'}")


def test_ringing_costs_nothing_when_the_broker_is_a_black_hole(tmp_path: Path, black_hole: int) -> None:
    bell = CeleryDoorbell(Settings(home=tmp_path, broker_url=SecretStr(f"redis://127.0.0.1:{black_hole}/0")))
    # A publication is given up after a second: were a ring to wait for it, so many would outlast the test's time limit.
    for _ in range(10_000):
        bell.ring()
    settle(bell, False)
    bell.close()


def test_a_broker_that_refuses_is_left_alone_for_a_while(tmp_path: Path) -> None:
    bell = CeleryDoorbell(Settings(home=tmp_path, broker_url=SecretStr(f"redis://127.0.0.1:{free_port()}/0")))
    bell.ring()
    settle(bell, False)
    bell.ring()
    bell.close(patience=PATIENCE)


def messages(home: Path, queue: str = QUEUE) -> list[Path]:
    return sorted((home / "broker" / "messages").glob(f"*.{queue}.msg"))


def test_many_rings_are_few_messages(tmp_path: Path) -> None:
    bell = CeleryDoorbell(Settings(home=tmp_path))
    for _ in range(1000):
        bell.ring()
    bell.close(patience=PATIENCE)
    assert bell.healthy
    assert 1 <= len(messages(tmp_path)) < 50
    assert (tmp_path / "broker").stat().st_mode & 0o077 == 0


def test_the_message_carries_nothing(tmp_path: Path) -> None:
    app = make_app(Settings(home=tmp_path), publisher=True)
    app.send_task(TASK, queue=QUEUE, retry=False)
    message = json.loads(messages(tmp_path)[0].read_text())
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[], {}]
    assert message["content-type"] == "application/json"


def test_a_broken_message_is_dropped_and_the_next_one_read(tmp_path: Path) -> None:
    app = make_app(Settings(home=tmp_path), publisher=True)
    folder = tmp_path / "broker" / "messages"
    (folder / f"0_broken.{QUEUE}.msg").write_text('{"body": "')
    (folder / f".0_unfinished.{QUEUE}.msg.tmp").write_text("{")
    app.send_task(TASK, queue=QUEUE, retry=False)
    with app.connection_for_read() as connection:
        received = connection.SimpleQueue(QUEUE).get(timeout=PATIENCE)
        assert received.headers["task"] == TASK
        received.ack()
    assert messages(tmp_path) == []


def test_writers_and_readers_of_the_folder_lose_and_break_nothing(tmp_path: Path) -> None:
    app = make_app(Settings(home=tmp_path), publisher=True)
    count, got, written = 150, deque[int](), threading.Event()

    def write() -> None:
        with app.connection_for_write() as connection:
            queue = connection.SimpleQueue("numbers")
            for number in range(count):
                queue.put(number)

    def read() -> None:
        with app.connection_for_read() as connection:
            queue = connection.SimpleQueue("numbers", no_ack=True)
            while True:
                last = written.is_set()  # asked before the look: whatever is written by then is seen
                try:
                    got.append(queue.get(timeout=0.2).payload)
                except queue.Empty:
                    if last:
                        return

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for writer in [pool.submit(write) for _ in range(2)]:
                writer.result()
        finally:
            written.set()
        for reader in readers:
            reader.result()
    assert sorted(got) == sorted([*range(count), *range(count)])
    assert messages(tmp_path, "numbers") == []


def test_queues_that_are_bound_at_once_are_all_there_and_never_half_written(tmp_path: Path) -> None:
    app = make_app(Settings(home=tmp_path), publisher=True)
    (tmp_path / "broker" / "control" / "numbers.exchange").write_text("")  # as one that was cut off left it
    done = threading.Event()

    def bind(which: int) -> None:
        with app.connection_for_write() as connection:
            for number in range(30):
                connection.default_channel._queue_bind("numbers", "", None, f"q{which}-{number}")

    def look() -> int:
        sizes = [0]
        with app.connection_for_read() as connection:
            while not done.is_set():
                sizes.append(len(connection.default_channel.get_table("numbers")))
        assert sizes == sorted(sizes), "a queue was forgotten"
        return sizes[-1]

    with ThreadPoolExecutor(4) as pool:
        looking = pool.submit(look)
        try:
            for binder in [pool.submit(bind, which) for which in range(3)]:
                binder.result()
        finally:
            done.set()
        assert looking.result() <= 90
    with app.connection_for_read() as connection:
        assert len(connection.default_channel.get_table("numbers")) == 90


def test_celery_is_configured_as_the_delivery_needs_it(tmp_path: Path) -> None:
    for broker in (None, "redis://127.0.0.1:1/0"):
        conf = make_app(Settings(home=tmp_path, broker_url=broker and SecretStr(broker)), publisher=False).conf
        assert conf.accept_content == ["json"]
        assert conf.task_serializer == "json"
        assert conf.result_backend is None
        assert conf.task_ignore_result
        assert not conf.task_acks_late
        assert not conf.task_reject_on_worker_lost
        assert conf.worker_prefetch_multiplier == 1
        assert conf.worker_disable_prefetch == (broker is not None)
        assert not conf.worker_enable_remote_control
        assert not conf.worker_send_task_events
        assert conf.broker_connection_max_retries is None
    options = make_app(Settings(home=tmp_path, broker_url=SecretStr("redis://127.0.0.1:1/0")), publisher=True).conf
    assert options.broker_transport_options["socket_timeout"] == 1.0
    assert options.broker_transport_options["socket_connect_timeout"] == 1.0


def test_celery_is_imported_only_when_a_bell_rings() -> None:
    code = "import sys, services.queue; assert not {'celery', 'kombu'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_silent_doorbell_is_silent() -> None:
    bell = SilentDoorbell()
    bell.ring()
    bell.close()
    assert bell.healthy is None


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    broker_folder.options(tmp_path / "deep" / "broker", 0.1)
    for path in (tmp_path / "deep" / "broker").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
