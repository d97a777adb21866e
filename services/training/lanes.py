"""Several trials at once in one process, each on threads of its own, where PyTorch runs them one after the other.

Two convolutional networks side by side on a core each take nine tenths of the time of one after the other on two cores,
and less on a busy machine: nothing waits for a neighbour in the middle of a layer. And a trial that has one thread to
itself gives the same numbers whatever the machine's share of cores.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from services.science.limits import MOST_LANES
from services.training.engine import Tick

Task = Iterator[float]
"""A trial's work, a piece for each `next`, which gives the share of the task that the piece was."""


class Lanes:
    """Runs tasks side by side.

    Args:
        lanes: how many at once; with one they run where they are asked for, on whatever threads PyTorch has there.
        threads: of PyTorch's, for each lane.
    """

    def __init__(self, lanes: int = 1, threads: int = 1) -> None:
        self._count = lanes
        self._pool = (
            ThreadPoolExecutor(lanes, "lane", initializer=torch.set_num_threads, initargs=(threads,))
            if lanes > 1
            else None
        )

    @classmethod
    def share(cls, tasks: int, threads: int) -> "Lanes":
        """A lane for each task, if there are threads for so many; more threads are shared out among the lanes."""
        lanes = max(1, min(tasks, threads, MOST_LANES))
        return cls(lanes, threads // lanes)

    def run(self, tasks: Sequence[Task], tick: Tick, done: float = 0.0) -> bool:
        """Run the tasks to their ends; false when `tick`, which hears the share of all that is done, asked to stop.

        `done` is what was done of them before, in tasks.

        A task is never in two lanes at once, and the lanes take turns at the tasks, so that none is left over with one
        lane while the others have nothing to do.
        """
        work = _Work(tasks, tick, done)
        if self._pool is None:
            work.lane()
        else:
            # The first error is raised once every lane has stopped: nothing of this run goes on behind the next.
            ended = [self._pool.submit(work.lane) for _ in range(self._count)]
            errors = [error for lane in ended if (error := lane.exception()) is not None]
            if errors:
                raise errors[0]
        return not work.stopped


class _Work:
    """What is left to do of one run, for all lanes."""

    def __init__(self, tasks: Sequence[Task], tick: Tick, done: float) -> None:
        self.stopped = False
        self._waiting = deque(tasks)
        self._total = max(1, len(tasks))
        self._done = done
        self._tick = tick
        self._lock = threading.Lock()

    def lane(self) -> None:
        """Take the task that has waited longest, do a piece of it and put it back, until none is waiting."""
        try:
            while (task := self._take()) is not None:
                share = next(task, None)
                if share is not None:
                    self._give_back(task, share)
        except BaseException:
            self.stopped = True  # for the other lanes
            raise

    def _take(self) -> Task | None:
        with self._lock:
            if not self.stopped and self._waiting:
                self.stopped = self._tick(min(1.0, self._done / self._total))
            return self._waiting.popleft() if self._waiting and not self.stopped else None

    def _give_back(self, task: Task, share: float) -> None:
        with self._lock:
            self._done += share
            self._waiting.append(task)
