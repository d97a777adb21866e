"""Tasks side by side: all to their ends, none in two lanes at once, and an end in order when one asks or fails."""

import threading
from collections.abc import Iterator

import pytest
import torch

from services.science.limits import MOST_LANES
from services.training.lanes import Lanes
from tests.support.workers import PATIENCE


def never(_share: float) -> bool:
    return False


@pytest.mark.parametrize(("lanes", "tasks"), [(1, 0), (1, 3), (2, 1), (2, 5), (3, 2), (4, 9)])
def test_every_task_comes_to_its_end_and_stays_in_order(lanes: int, tasks: int) -> None:
    pieces: list[list[int]] = [[] for _ in range(tasks)]
    busy = [threading.Lock() for _ in range(tasks)]

    def task(number: int) -> Iterator[float]:
        for piece in range(20):
            assert busy[number].acquire(blocking=False), "a task was in two lanes at once"
            pieces[number].append(piece)
            busy[number].release()
            yield 1 / 20

    shares: list[float] = []
    assert Lanes(lanes).run([task(number) for number in range(tasks)], lambda share: bool(shares.append(share)))
    assert pieces == [list(range(20))] * tasks
    assert shares == sorted(shares)
    if tasks:
        assert (shares[0], shares[-1]) == (0.0, pytest.approx(1.0))


def test_lanes_do_work_side_by_side() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def task() -> Iterator[float]:
        both.wait()
        yield 1.0

    assert Lanes(2).run([task(), task()], never)


def test_a_stop_ends_all_and_the_lanes_serve_again() -> None:
    lanes, pieces = Lanes(3), [0]

    def task() -> Iterator[float]:
        while True:
            pieces[0] += 1
            yield 0.001

    assert not lanes.run([task() for _ in range(5)], lambda _share: pieces[0] > 30)
    assert pieces[0] < 40
    done = iter([1.0])
    assert lanes.run([done], never)
    assert next(done, None) is None


@pytest.mark.parametrize("lanes", [1, 3])
def test_an_error_is_raised_once_no_lane_works_any_more(lanes: int) -> None:
    pieces = [0]

    def endless() -> Iterator[float]:
        while True:
            pieces[0] += 1
            yield 0.0

    def ill() -> Iterator[float]:
        yield 0.1
        raise ArithmeticError("ill")

    with pytest.raises(ArithmeticError, match="ill"):
        Lanes(lanes).run([endless(), ill(), endless()], never)
    before = pieces[0]
    assert Lanes(lanes).run([iter([1.0])], never)
    assert pieces[0] == before


@pytest.mark.parametrize(
    ("tasks", "threads", "each"),
    [(1, 2, None), (2, 2, 1), (30, 2, 1), (2, 5, 2), (3, 1, None), (9, 64, 64 // MOST_LANES)],
)
def test_threads_are_shared_out(tasks: int, threads: int, each: int | None) -> None:
    thread_counts: list[int] = []

    def task() -> Iterator[float]:
        thread_counts.append(torch.get_num_threads())
        yield 1.0

    own = torch.get_num_threads()
    Lanes.share(tasks, threads).run([task() for _ in range(tasks)], never)
    assert set(thread_counts) == {own if each is None else each}
    assert torch.get_num_threads() == own


def test_lanes_do_not_touch_the_callers_gradients() -> None:
    """Each thread has its own grad mode: one that is off here must not be off there, nor the other way round."""
    enabled: list[bool] = []

    def task() -> Iterator[float]:
        enabled.append(torch.is_grad_enabled())
        yield 1.0

    with torch.no_grad():
        Lanes(2).run([task()], never)
    assert enabled == [True]
