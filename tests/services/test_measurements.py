"""What workers count outlives them: their files, and the sum that an API shows of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from services import measurements
from services.measurements import FOLDER, Place, exposition, totals


class Counts:
    """A worker's registry, in small."""

    def __init__(self, buckets: tuple[float, ...] = (0.1, 1.0)) -> None:
        self.registry = CollectorRegistry()
        self.ends = Counter("ends", "Ends.", ("outcome",), registry=self.registry)
        self.time = Histogram("time", "Time.", ("device",), unit="seconds", buckets=buckets, registry=self.registry)


@contextmanager
def place(home: Path, counts: Counts) -> Iterator[Place]:
    taken = Place(home, counts.registry)
    try:
        yield taken
        taken.write()
    finally:
        taken.close()


class Summed(Collector):
    def __init__(self, home: Path) -> None:
        self.home = home

    def collect(self) -> list[Metric]:
        return totals(self.home)


def numbers(home: Path) -> dict[tuple[str, ...], float]:
    """The samples by name and labels, read as Prometheus reads them: it refuses what is not in order."""
    text = exposition(Summed(home), "application/openmetrics-text")[0].decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_next_worker_of_a_place_goes_on_counting(tmp_path: Path) -> None:
    for outcome in ("done", "failed", "done"):
        counts = Counts()
        with place(tmp_path, counts):
            counts.ends.labels(outcome).inc(2)
            counts.time.labels("cpu").observe(0.5)
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["0.json", "0.lock"]
    assert numbers(tmp_path) == {
        ("ends_total", "done"): 4.0,
        ("ends_total", "failed"): 2.0,
        ("time_seconds_bucket", "cpu", "0.1"): 0.0,
        ("time_seconds_bucket", "cpu", "1.0"): 3.0,
        ("time_seconds_bucket", "cpu", "+Inf"): 3.0,
        ("time_seconds_count", "cpu"): 3.0,
        ("time_seconds_sum", "cpu"): 1.5,
    }


def test_workers_at_once_have_a_place_each_and_are_summed(tmp_path: Path) -> None:
    first, second = Counts(), Counts()
    with place(tmp_path, first), place(tmp_path, second):
        first.ends.labels("done").inc()
        second.ends.labels("done").inc(10)
        second.time.labels("cuda").observe(0.01)
        first.time.labels("cpu").observe(0.01)
    summed = numbers(tmp_path)
    assert summed[("ends_total", "done")] == 11.0
    assert summed[("time_seconds_count", "cpu")] == summed[("time_seconds_count", "cuda")] == 1.0


def test_a_killed_worker_leaves_its_place_with_what_it_had_written(tmp_path: Path) -> None:
    counts = Counts()
    counts.ends.labels("done").inc()
    killed = Place(tmp_path, counts.registry)
    killed.write()
    counts.ends.labels("done").inc()  # and is killed before it writes that
    os.close(killed._lock)
    with place(tmp_path, Counts()):
        pass
    assert numbers(tmp_path)[("ends_total", "done")] == 1.0


def test_buckets_of_another_version_are_not_added(tmp_path: Path) -> None:
    old, new = Counts((0.1, 1.0)), Counts((0.5, 5.0))
    with place(tmp_path, old):
        old.time.labels("cpu").observe(0.01)
        old.ends.labels("done").inc()
    with place(tmp_path, new):
        new.time.labels("cpu").observe(0.7)
        new.ends.labels("done").inc()
    summed = numbers(tmp_path)
    assert summed[("ends_total", "done")] == 2.0
    assert [key[2] for key in summed if key[0] == "time_seconds_bucket"] == ["0.5", "5.0", "+Inf"]
    assert summed[("time_seconds_count", "cpu")] == 1.0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"families": [{"name": "ends"}]}', b"x" * 2_000_000])
def test_a_file_that_is_none_of_ours_is_left_out_and_written_anew(tmp_path: Path, content: bytes) -> None:
    counts = Counts()
    with place(tmp_path, counts):
        counts.ends.labels("done").inc()
    (tmp_path / FOLDER / "1.json").write_bytes(content)
    assert numbers(tmp_path)[("ends_total", "done")] == 1.0
    (tmp_path / FOLDER / "0.json").write_bytes(content)
    with place(tmp_path, Counts()):
        pass
    assert ("ends_total", "done") not in numbers(tmp_path)


def test_the_number_of_places_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "MOST_PLACES", 2)
    with place(tmp_path, Counts()), place(tmp_path, Counts()), pytest.raises(OSError, match="2 places"):
        Place(tmp_path, Counts().registry)


def test_nothing_is_written_where_nothing_was_counted_since(tmp_path: Path) -> None:
    counts = Counts()
    with place(tmp_path, counts) as taken:
        taken.write()
        (tmp_path / FOLDER / "0.json").unlink()
        taken.write()
        assert not (tmp_path / FOLDER / "0.json").exists()
        counts.ends.labels("done").inc()
        taken.write()
        assert (tmp_path / FOLDER / "0.json").exists()


def test_a_folder_that_cannot_be_written_is_told_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    counts = Counts()
    with place(tmp_path, counts) as taken:
        counts.ends.labels("done").inc()
        (tmp_path / FOLDER / "0.json").mkdir()
        with pytest.raises(OSError, match=r"0\.json"):
            taken.write()
        assert not list((tmp_path / FOLDER).glob("*.tmp"))
        (tmp_path / FOLDER / "0.json").rmdir()
