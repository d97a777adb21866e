"""The file that says a worker lives, and the check that reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services import heartbeat
from services.heartbeat import ALIVE_SECONDS, BEATS, FOLDER, LEFT_SECONDS, Heartbeat, boottime, check, silence
from services.settings import get_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(tmp_path))
    return tmp_path


def files(home: Path) -> list[Path]:
    return sorted((home / FOLDER).iterdir())


def beaten(home: Path, ago: float, period: float = 2.0) -> Path:
    """A heartbeat of this process that was written so long ago."""
    Heartbeat(home, period).beat()
    (path,) = files(home)
    path.write_text(f"{boottime() - ago} {period}\n")
    return path


def test_a_fresh_beat_is_good_health(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Heartbeat(home, 2.0).beat()
    assert check() == 0
    assert capsys.readouterr() == ("", "")
    (path,) = files(home)
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


def test_beats_take_the_place_of_each_other(home: Path) -> None:
    beats = Heartbeat(home, 2.0)
    sizes = []
    for _ in range(3):
        beats.beat()
        sizes.append(files(home)[0].stat().st_size)
    assert len(set(sizes)) == 1, "a full disk has room for the next one"


def test_silence_is_bad_health_and_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beaten(home, 2 * ALIVE_SECONDS)
    assert check() == 1
    assert (
        capsys.readouterr().err
        == f"the worker has been silent for 30 s, {ALIVE_SECONDS:.0f} s are given: see its log\n"
    )


def test_a_worker_that_beats_rarely_is_given_its_time(home: Path) -> None:
    beaten(home, 2 * ALIVE_SECONDS, period=ALIVE_SECONDS)
    assert BEATS > 2
    assert check() == 0


def test_without_a_worker_the_folder_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 1
    assert str(home / FOLDER) in capsys.readouterr().err


def test_a_worker_that_ended_is_not_counted(home: Path) -> None:
    beats = Heartbeat(home, 2.0)
    beats.beat()
    beats.stop()
    beats.stop()
    assert files(home) == []
    assert check() == 1


@pytest.mark.parametrize("line", ["", "soon 2", "1e99 2", "3"])
def test_what_is_damaged_or_of_a_time_to_come_is_not_counted(home: Path, line: str) -> None:
    beaten(home, 0.0).write_text(line)
    assert silence(home) is None


def test_the_liveliest_of_several_counts_and_only_those_seen_from_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = beaten(home, 100.0)
    old.rename(old.with_name(f"{heartbeat.seen_together()}-1.beat"))
    assert check() == 1
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(heartbeat, "seen_together", lambda: "another-container")
        Heartbeat(home, 2.0).beat()
        assert check() == 0
    assert len(files(home)) == 2
    assert check() == 1, "the other container's worker says nothing about this one's"
    Heartbeat(home, 2.0).beat()
    assert check() == 0


def test_what_killed_workers_left_is_removed(home: Path) -> None:
    left = beaten(home, 0.0)
    left = left.rename(left.with_name("long-gone-7.beat"))
    os.utime(left, (0, left.stat().st_mtime - 2 * LEFT_SECONDS))
    beats = Heartbeat(home, 2.0)
    beats.beat()
    beats.tidy()
    assert left not in files(home)
    assert check() == 0


@pytest.mark.parametrize("source", ["variable", "nothing", "file", "secret"])
def test_the_home_is_the_one_of_the_settings(
    source: str, home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = tmp_path_factory.mktemp("current")
    monkeypatch.chdir(current)
    if source != "variable":
        monkeypatch.delenv("FIRSTLIGHT_HOME")
    if source == "file":
        (current / ".env").write_text(f"FIRSTLIGHT_HOME={home / 'said-in-a-file'}\n")
    if source == "secret":
        (current / "name").write_text(f"{home / 'handed-over'}\n")
        monkeypatch.setenv("FIRSTLIGHT_HOME_FILE", str(current / "name"))
    get_settings.cache_clear()
    folder = heartbeat.home_folder()
    assert folder.resolve() == get_settings().home
    get_settings.cache_clear()


def test_the_check_imports_the_standard_library_alone() -> None:
    code = (
        "import sys, sysconfig; before = set(sys.modules)\n"
        "import runpy; sys.argv = ['worker', '--check']\n"
        "try: runpy.run_module('worker', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 1\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['services', 'worker']\n"
