"""Chaos with a seed: `python -m tests.faults.chaos [--injections N] [--minutes M] [--seed S] [--stack STACK] …`.

A whole service is struck again and again while studies go through it. In the end every study that was accepted has
succeeded, there is none too many, its numbers are to the bit those of an undisturbed run, and no invariant is broken.
The seed fixes which faults are drawn, not what they meet: that depends on the machine.
"""

import argparse
import math
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import psutil
from numpy.random import PCG64, Generator
from sqlalchemy import func, select

from services.db.tables import AttemptRow, CohortRow, EventRow
from services.states import FINAL
from tests.faults.injections import Injector
from tests.faults.invariants import Breach, breaches, orphans
from tests.faults.rig import Kind, Rig, rig_in, same, seconds_since, watched
from tests.support.workers import PATIENCE, eventually

WORKERS, SLOTS = 3, 1
LEASE_SECONDS = "6"
IN_FLIGHT = 3
"""Studies that are not over, at any time before the last fault."""
MOVED_SECONDS = 120.0
"""How long a fault may keep everything from moving until the next one strikes all the same."""
STUDIES: tuple[dict[str, Any], ...] = (
    {"activation": ["relu", "tanh", "gelu"], "initializer": ["he_uniform"], "seeds": [1, 2]},
    {"activation": ["sigmoid"], "initializer": ["glorot_uniform", "lecun_uniform"], "seeds": [3, 4]},
    {"activation": ["relu"], "initializer": ["he_uniform"], "seeds": [5]},
)
EPOCHS = {True: 150, False: 60}
"""Of a study that is trained, and of one that is played: seconds for each cohort."""


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    rss: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        process = psutil.Process(pid)
        return cls(process.memory_info().rss, process.num_fds())

    def __str__(self) -> str:
        return f"{self.rss / 2**20:.0f} MiB, {self.descriptors} descriptors"


@dataclass
class Result:
    """What became of a run."""

    seed: int
    faults: dict[str, int]
    studies: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    broken: list[Breach] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: int = 0
    different: list[str] = field(default_factory=list)
    witness: tuple[Footprint, Footprint] | None = None

    @property
    def clean(self) -> bool:
        return not (self.broken or self.lost or self.doubled or self.different)


def spec_of(study: int, *, real: bool) -> dict[str, Any]:
    """The studies come again and again: what they store is known from the first time."""
    return {"dataset": "digits", **STUDIES[study], "epochs": EPOCHS[real]}


def run(rig: Rig, injections: int, seed: int, minutes: float = math.inf) -> Result:
    """Start the processes, strike so often, or until so much time has gone, and judge."""
    began = time.monotonic()
    dice = Generator(PCG64(seed))
    for _ in range(WORKERS):
        rig.start_worker()
    witness = rig.workshop.workers[0]
    undisturbed = [rig.submit(spec_of(study, real=rig.real)) for study in range(len(STUDIES))]
    _finish(rig, undisturbed)
    reference = [rig.curves(experiment) for experiment in undisturbed]
    first = Footprint.of(witness.pid)
    say(f"{seconds_since(began)}  undisturbed: {len(undisturbed)} studies; the first worker holds {first}")
    injector = Injector(rig, dice)
    studies: dict[str, int] = {}
    for number in range(1, injections + 1):
        if time.monotonic() - began > 60.0 * minutes:
            break
        _keep_busy(rig, dice, studies)
        _let_move(rig)
        time.sleep(dice.uniform(0.0, 0.5))
        struck = injector.strike()
        done = sum(state == "succeeded" for state in rig.states().values()) - len(undisturbed)
        say(f"{seconds_since(began)}  {number:4}/{injections}  {struck}   (studies: {done} of {len(studies)} done)")
    injector.wake()
    _finish(rig, list(studies))
    result = Result(seed, injector.counts, len(studies), witness=(first, Footprint.of(witness.pid)))
    assert witness.poll() is None, f"the first worker ended by itself\n{rig.workshop.logs()}"
    judge(rig, result, {**dict(zip(undisturbed, range(len(STUDIES)), strict=True)), **studies}, reference)
    return result


def judge(rig: Rig, result: Result, studies: dict[str, int], reference: list[Any]) -> None:
    """Compare what is stored with what was promised and with the undisturbed run."""
    states = rig.states()
    result.lost = [experiment for experiment in rig.accepted.values() if states.get(experiment) != "succeeded"]
    result.doubled = len(states) - len(rig.accepted)
    for experiment, study in studies.items():
        if not same(rig.curves(experiment), reference[study]):
            result.different.append(experiment)
    artifacts = rig.workshop.settings.home / "artifacts"
    result.broken = breaches(rig.workshop.database, artifacts, over=list(rig.accepted.values()))
    mark = ("XDG_CACHE_HOME", str(rig.workshop.folder))
    result.broken += orphans(mark, [worker.pid for worker in rig.workshop.workers])
    with rig.workshop.database.read() as session:
        counts = session.execute(select(AttemptRow.outcome, func.count()).group_by(AttemptRow.outcome)).all()
    result.attempts = {str(outcome): count for outcome, count in counts}


def _keep_busy(rig: Rig, dice: Generator, studies: dict[str, int]) -> None:
    states = rig.states()
    while sum(states.get(experiment, "queued") not in FINAL for experiment in studies) < IN_FLIGHT:
        study = int(dice.integers(len(STUDIES)))
        studies[rig.submit(spec_of(study, real=rig.real))] = study
        states = rig.states()


def _let_move(rig: Rig) -> None:
    """Wait until something has been stored since the last fault: what strikes what stands still shows nothing."""

    def stored() -> int:
        try:
            with rig.workshop.database.read() as session:
                return session.execute(select(func.count()).where(EventRow.type == "epoch")).scalar_one()
        except Exception:  # noqa: BLE001 - a database that has just been struck
            return -1

    before, end = stored(), time.monotonic() + MOVED_SECONDS
    while time.monotonic() < end and stored() <= before:
        time.sleep(0.02)


def _finish(rig: Rig, experiments: Sequence[str]) -> None:
    def over() -> bool:
        states = rig.states()
        return all(states.get(experiment) in FINAL for experiment in experiments)

    eventually(over, f"all studies to be over: {rig.states()}\n{rig.workshop.logs()}", PATIENCE)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def report(result: Result, rig: Rig, seconds: float) -> None:
    """The table."""
    with rig.workshop.database.read() as session:
        cohorts = session.execute(select(func.count()).select_from(CohortRow)).scalar_one()
    say("")
    for name, count in sorted(result.faults.items()):
        say(f"  {name:22} {count:5}")
    say(f"  {'faults':22} {sum(result.faults.values()):5}   in {seconds:.0f} s, seed {result.seed}")
    say(f"  {'studies':22} {result.studies:5}   cohorts {cohorts}; attempts {result.attempts}")
    for name, violations in (
        ("lost", result.lost),
        ("doubled", result.doubled),
        ("other numbers", result.different),
        ("broken invariants", [str(breach) for breach in result.broken]),
    ):
        say(f"  {name:22} {len(violations) if isinstance(violations, list) else violations:5}   {violations or ''}")
    if result.witness is not None:
        say(f"  the first worker held {result.witness[0]}, in the end {result.witness[1]}")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"  load {load} on {os.cpu_count()} cores")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, report, and say with the exit status whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description="Strike a whole service.")
    parser.add_argument("--injections", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=math.inf, help="strike no more after so long")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--stack", choices=get_args(Kind), default="servers")
    parser.add_argument("--child", choices=("real", "fake"), default="real")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="firstlight-chaos-"))
    say(f"seed {options.seed}, {options.stack}, {options.child} children, in {folder}")
    began = time.monotonic()
    with watched(), rig_in(folder, options.stack, **settings()) as rig:
        rig.real = options.child == "real"
        result = run(rig, options.injections, options.seed, options.minutes)
        report(result, rig, time.monotonic() - began)
    if result.clean:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if result.clean else 1


def settings() -> dict[str, str]:
    """Leases short enough to run out often."""
    return {"LEASE_SECONDS": LEASE_SECONDS, "CHECKPOINT_SECONDS": "0.1", "COHORT_WIDTH": "4", "SLOTS": str(SLOTS)}


if __name__ == "__main__":
    sys.exit(main())
