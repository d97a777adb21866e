"""A contender's side of the race: get ready, then do one turn for every line on stdin and say what it took."""

import json
import resource
import sys
import time
from collections.abc import Callable

from bench.workload import Workload

TURN_SECONDS = 0.4
CALIBRATION_STEPS = 20

Turn = Callable[[], object]
Make = Callable[[Workload, int], Turn]
"""Given a workload and a number of steps, gives what trains that many steps and returns when they are done."""


def asked() -> tuple[Workload, dict[str, object]]:
    """The workload and the options of the command line, a JSON object each."""
    return Workload.from_document(json.loads(sys.argv[1])), json.loads(sys.argv[2])


def serve(make: Make, workload: Workload, *, trials: int, steps: int | None = None) -> None:
    """Choose a number of steps that takes about `TURN_SECONDS`, warm up, and take turns until stdin ends.

    Args:
        make: see `Make`; called twice, so that a compiler may fix the number of steps.
        workload: what is trained.
        trials: how many trials a turn trains.
        steps: a fixed number of steps in place of the choice.
    """
    if steps is None:
        few = min(CALIBRATION_STEPS, workload.steps)
        turn = make(workload, few)
        turn()
        began = time.perf_counter()
        turn()
        each = (time.perf_counter() - began) / few
        steps = max(1, min(workload.steps, round(TURN_SECONDS / each)))
    turn = make(workload, steps)
    turn()
    say({"ready": True, "steps": steps, "trials": trials})
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        turn()
        say({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak_bytes": peak_bytes()})


def say(message: dict[str, object]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def peak_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
