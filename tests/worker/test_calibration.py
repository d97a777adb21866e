"""A worker measures its machine in a quiet moment, gives way to work at once, and is none the worse when it cannot."""

import json
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, update

from services.db.base import now
from services.db.tables import CalibrationRow
from services.quotes.machine import FORGET, NUMBERS, Machine, confirm, present
from services.settings import Settings
from tests.support.workers import ENDLESS, FAKE, PATIENCE, Workshop, eventually
from worker import calibration
from worker.calibration import locked, machine_digest, processor

pytestmark = pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
GOOD = json.dumps(dict.fromkeys(NUMBERS, 2.0))
WAITS = (
    "import os, sys, time; from services.training.parent import die_with_parent; die_with_parent(); "
    "open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
)


def hasty(*probe: str, idle: float = 0.2) -> str:
    """A worker with the fake child that measures by `probe` after a moment; its options follow."""
    return (
        "import sys; import worker.calibration; from worker.program import main; "
        f"worker.calibration.IDLE_SECONDS = {idle}; "
        f"main([], command=[sys.executable, {str(FAKE)!r}], probe={[sys.executable, *probe]!r})"
    )


def measured(workshop: Workshop) -> Machine:
    with workshop.database.read() as session:
        return present(session)


def rows(workshop: Workshop) -> int:
    with workshop.database.read() as session:
        return len(session.scalars(select(CalibrationRow.key).where(CalibrationRow.key.startswith("machine:"))).all())


def pids(mark: Path) -> list[int]:
    """The probes that have started so far."""
    return [int(line) for line in mark.read_text().split()] if mark.exists() else []


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_an_idle_worker_measures_its_machine_with_the_real_engines(workshop: Workshop) -> None:
    code = "import worker.calibration, worker.program; worker.calibration.IDLE_SECONDS = 0.2; worker.program.main([])"
    # With this engine no kernel is compiled for the test.
    workshop.worker(code=code, FIRSTLIGHT_CALIBRATE="true", FIRSTLIGHT_ENGINE="eager")
    eventually(lambda: measured(workshop).measured, f"a measured machine\n{workshop.logs()}")
    machine = measured(workshop)
    assert (machine.kernel_flops, machine.kernel_trial_step_seconds) == (0.0, 0.0)
    assert min(machine.flops, machine.convolution_flops, machine.import_seconds) > 0
    assert rows(workshop) == len(NUMBERS)


def test_work_kills_the_probe_and_the_next_quiet_moment_measures(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "probes"
    workshop.worker(code=hasty("-c", WAITS, str(mark)), FIRSTLIGHT_CALIBRATE="true")
    (first,) = eventually(lambda: pids(mark), f"a probe\n{workshop.logs()}")
    experiment = workshop.submit(epochs=ENDLESS, epoch_seconds=0.01)
    workshop.wait_epoch(experiment, 1)
    eventually(lambda: gone(first), "the probe to be killed")
    assert rows(workshop) == 0
    assert len(pids(mark)) == 1
    workshop.call_off(experiment)
    eventually(lambda: len(pids(mark)) == 2, f"another probe\n{workshop.logs()}")


def test_a_worker_that_is_told_to_end_takes_its_probe_along(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "probes"
    worker = workshop.worker(code=hasty("-c", WAITS, str(mark)), FIRSTLIGHT_CALIBRATE="true")
    (probe,) = eventually(lambda: pids(mark), f"a probe\n{workshop.logs()}")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert gone(probe)
    assert rows(workshop) == 0


def test_a_killed_worker_takes_its_probe_along_and_what_that_has_started(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "probes"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAITS!r}, {str(mark)!r}])"
    worker = workshop.worker(code=hasty("-c", starts), FIRSTLIGHT_CALIBRATE="true")
    (started,) = eventually(lambda: pids(mark), f"a probe\n{workshop.logs()}")
    worker.kill()
    eventually(lambda: gone(started), "what the probe has started to end")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('out of order')", "out of order"),
        ("print('fast')", "the probe said b'fast'"),
        ("print('{}')", "kernel_flops must be a finite number"),
        ("print('[]')", "must be an object"),
        ("", "the probe said b''"),
    ],
)
def test_a_broken_probe_is_named_once_and_leaves_the_worker_healthy(
    workshop: Workshop, tmp_path: Path, code: str, words: str
) -> None:
    mark = tmp_path / "probes"
    counting = f"import os; open({str(mark)!r}, 'a').write(f'{{os.getpid()}}\\n'); {code}"
    workshop.worker(code=hasty("-c", counting, idle=0.05), FIRSTLIGHT_CALIBRATE="true")
    eventually(lambda: len(pids(mark)) == calibration.FAILURES, f"the last attempt\n{workshop.logs()}")
    experiment = workshop.submit(epochs=5)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert len(pids(mark)) == calibration.FAILURES
    assert workshop.logs().count("calibration_failed") == 1
    assert words in workshop.logs()
    assert rows(workshop) == 0


def test_what_is_known_is_confirmed_and_not_measured_again(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "probes"
    counting = f"import os; open({str(mark)!r}, 'a').write(f'{{os.getpid()}}\\n'); print({GOOD!r})"
    first = workshop.worker(code=hasty("-c", counting), FIRSTLIGHT_CALIBRATE="true")
    eventually(lambda: measured(workshop).measured, f"a measured machine\n{workshop.logs()}")
    assert measured(workshop).flops == 2.0
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    long_ago = now() - FORGET / 2
    with workshop.database.write() as session:
        session.execute(update(CalibrationRow).values(updated_at=long_ago))

    def confirmed() -> bool:
        with workshop.database.read() as session:
            return long_ago not in session.scalars(select(CalibrationRow.updated_at)).all()

    workshop.worker(code=hasty("-c", counting), FIRSTLIGHT_CALIBRATE="true")
    eventually(confirmed, f"the set to be confirmed\n{workshop.logs()}")
    assert len(pids(mark)) == 1
    # Another number of threads is another machine.
    workshop.worker(code=hasty("-c", counting), FIRSTLIGHT_CALIBRATE="true", FIRSTLIGHT_THREADS="7")
    eventually(lambda: rows(workshop) == 2 * len(NUMBERS), f"a second set\n{workshop.logs()}")


def test_a_set_belongs_to_all_that_makes_a_difference(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = workshop.settings
    digests = [machine_digest(settings), machine_digest(settings)]
    assert len(set(digests)) == 1
    assert len(digests[0]) == 12
    assert processor()
    for change in ({"threads": 5}, {"device": "cuda"}, {"engine": "eager"}):
        digests.append(machine_digest(Settings.model_validate({**settings.model_dump(), **change})))
    changes = {"processor": "another", "kernel_identity": "recompiled"}
    for name, value in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(calibration, name, lambda fact=value: fact)
            digests.append(machine_digest(settings))
    monkeypatch.setattr(calibration.socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(calibration.metadata, "version", lambda _name: "9.9")
    digests.append(machine_digest(settings))
    assert len(set(digests)) == len(digests) - 1
    with workshop.database.write() as session:
        assert not confirm(session, digests[0])


def test_one_measures_at_a_time(workshop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with locked(path) as ours, locked(path) as theirs:
        assert (ours, theirs) == (True, False)
    with locked(path) as ours:
        assert ours
