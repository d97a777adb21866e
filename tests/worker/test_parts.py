"""The small parts of a worker, without a worker."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import String

from services.cohorts.workers import Identity
from services.db.tables import WorkerRow
from services.heartbeat import boottime
from services.settings import Settings
from tests.support.workers import PATIENCE, eventually
from worker import exits
from worker.bell import Bell
from worker.child import Child
from worker.environment import child_environment, threads
from worker.identity import identity, lives

FOR_EVER = 1e6
"""Seconds; longer than the time limit of a test, which a missed ring would run into."""


def child(code: str, **environment: str) -> Child:
    return Child([sys.executable, "-c", code], {"PATH": os.environ["PATH"], **environment})


def until_drained(one: Child) -> list[dict]:
    messages = []
    while not one.drained:
        message = one.receive(0.05)
        if message is not None:
            messages.append(message)
    return messages


def test_a_neighbour_lives_though_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil tells a start by the wall clock: set forward by an hour, it makes another process of every neighbour."""
    own = identity(os.getpid())
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600.0)
    assert lives(own)
    assert 0.0 < own.pid_start_time < time.clock_gettime(time.CLOCK_BOOTTIME)


def test_numbers_of_processes_are_compared_only_where_they_mean_the_same() -> None:
    """Containers on one machine share its boot, and with the host's network its name; not the numbers of processes."""
    space = Path("/proc/self/ns/pid").stat().st_ino
    own = identity(os.getpid())
    assert own.boot_id == f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}-{space}"
    kind = WorkerRow.__table__.c.boot_id.type
    assert isinstance(kind, String)
    assert kind.length is not None
    assert len(own.boot_id) <= kind.length


def test_a_ring_before_the_wait_is_not_missed() -> None:
    bell = Bell()
    seen = bell.rings
    bell.ring()
    bell.wait(seen, FOR_EVER)


def test_a_ring_wakes_everybody() -> None:
    bell = Bell()
    woken = threading.Barrier(4, timeout=PATIENCE)

    def sleep(seen: int) -> None:
        bell.wait(seen, FOR_EVER)
        woken.wait()

    sleepers = [threading.Thread(target=sleep, args=(bell.rings,), daemon=True) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    bell.ring()
    woken.wait()
    for sleeper in sleepers:
        sleeper.join()


def test_a_wait_without_a_ring_ends() -> None:
    bell = Bell()
    bell.wait(bell.rings, 0.01)


def test_the_environment_is_an_allow_list(tmp_path: Path) -> None:
    environment = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "1",
        "FIRSTLIGHT_DATABASE_URL": "postgresql://u:secret@h/d",
        "FIRSTLIGHT_API_KEYS": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PGPASSWORD": "secret",
    }
    made = child_environment(environment, Settings(home=tmp_path, threads=3), "wrk_1")
    assert "secret" not in str(made)
    assert made["CUDA_VISIBLE_DEVICES"] == "1"
    assert made["LC_ALL"] == "C"
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == "3"
    assert made["MALLOC_ARENA_MAX"] == "1"
    assert made["FIRSTLIGHT_WORKER"] == "wrk_1"


def test_slots_share_the_cores(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads(Settings(home=tmp_path, slots=1)) == cores
    assert threads(Settings(home=tmp_path, slots=64)) == max(1, cores // 64)
    assert threads(Settings(home=tmp_path, slots=1, threads=7)) == 7


def test_messages_both_ways_and_nonsense_between() -> None:
    code = (
        "import sys, json\n"
        'print(\'{"type": "ready"}\', flush=True)\n'
        "print('no json'); print('[1]'); print('{\"type\": 3}'); print('{}', flush=True)\n"
        "message = json.loads(sys.stdin.readline())\n"
        "print(json.dumps({'type': 'echo', 'heard': message['word']}), flush=True)\n"
        "print('to the log', file=sys.stderr)\n"
    )
    one = child(code)
    one.send({"type": "start", "word": "hello"})  # pyright: ignore[reportArgumentType]
    assert until_drained(one) == [{"type": "ready"}, {"type": "echo", "heard": "hello"}]
    assert one.end(PATIENCE) == 0
    assert list(one.tail) == ["to the log"]


def test_a_child_that_does_not_read_does_not_stop_its_supervisor() -> None:
    one = child("import time; time.sleep(600)")
    for _ in range(100):
        one.send({"type": "start", "much": "x" * 100_000})  # pyright: ignore[reportArgumentType]
    assert one.end() == -signal.SIGKILL


def test_a_child_that_ends_at_once_can_be_written_to() -> None:
    one = child("pass")
    one.process.wait()
    one.send({"type": "start"})  # pyright: ignore[reportArgumentType]
    assert one.end(PATIENCE) == 0


def test_its_whole_group_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(p.pid)); print('{{\"type\": \"ready\"}}', flush=True)\n"
        "time.sleep(600)\n"
    )
    one = child(code)
    while one.receive(0.1) is None:
        pass
    one.end()

    def ended() -> bool:
        try:
            return psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    eventually(ended, "the grandchild to end")


@pytest.mark.parametrize(
    ("code", "failure", "words"),
    [
        ("import sys; print('oh dear', file=sys.stderr); sys.exit(3)", "crash", ["status 3", "oh dear"]),
        ("pass", "crash", ["without saying it was done"]),
        ("import os; os.kill(os.getpid(), 11)", "crash", ["signal 11", "SIGSEGV"]),
        ("import os; os.kill(os.getpid(), 9)", "crash", ["signal 9", "SIGKILL"]),
    ],
)
def test_an_end_without_a_word_is_explained(code: str, failure: str, words: list[str]) -> None:
    one = child(code)
    until_drained(one)
    explanation = exits.unexplained(one, one.end(PATIENCE))
    assert explanation.code == failure
    assert all(word in explanation.detail for word in words)


def test_a_kill_by_the_kernel_for_memory_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    one = child("import os; os.kill(os.getpid(), 9)")
    status = one.end(PATIENCE)
    monkeypatch.setattr(one, "out_of_memory", lambda: True)
    assert exits.unexplained(one, status).code == "oom"


def test_a_failure_the_child_names() -> None:
    assert exits.reported({"code": "oom", "detail": "d", "slot": 2}).slot == 2
    failure = exits.reported({"type": "failed"})
    assert (failure.code, failure.slot) == ("error", None)


def test_this_process_lives_and_a_dead_one_does_not() -> None:
    me = identity(os.getpid())
    assert lives(me)
    assert not lives(Identity(me.host, me.boot_id, me.pid, me.pid_start_time - 100)), "the pid was used again"
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = identity(process.pid)
    assert lives(other)
    process.kill()
    eventually(lambda: not lives(other), "a zombie to hold nothing")
    process.communicate()
    assert not lives(other)
    with pytest.raises(ProcessLookupError, match=str(process.pid)):
        identity(process.pid)


def test_boottime_moves() -> None:
    first = boottime()
    time.sleep(0.01)
    assert boottime() > first
