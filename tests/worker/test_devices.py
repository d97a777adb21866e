"""A study that asks for a device trains there or waits; a worker takes only what it can train."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from services.db.tables import CohortRow, ExperimentRow, WorkerRow
from services.settings import Settings
from tests.support.workers import Workshop, eventually
from worker.devices import Devices, child_device

CPU, BOTH = ["cpu"], ["cpu", "cuda"]


@pytest.mark.parametrize(
    ("setting", "cards", "usable"),
    [
        ("auto", CPU, ("cpu",)),
        ("auto", BOTH, ("cpu", "gpu")),
        ("auto", None, ("cpu",)),
        ("cpu", BOTH, ("cpu",)),
        ("cpu", None, ("cpu",)),
        ("cuda", BOTH, ("gpu",)),
        ("cuda", CPU, ()),
        ("cuda", None, ("gpu",)),
    ],
)
def test_what_a_worker_takes(setting: str, cards: list[str] | None, usable: tuple[str, ...], tmp_path: Path) -> None:
    devices = Devices(Settings.model_validate({"home": tmp_path, "device": setting}))
    assert devices.usable == (() if setting == "cuda" else ("cpu",)), "what can be done in any case"
    assert devices.problem is None
    devices.heard(cards)
    assert devices.usable == usable
    assert (devices.problem is None) == bool(usable)


@pytest.mark.parametrize(
    ("setting", "requested_device", "device"),
    [
        ("auto", None, "auto"),
        ("auto", "cpu", "cpu"),
        ("auto", "gpu", "cuda"),
        ("cpu", None, "cpu"),
        ("cuda", None, "cuda"),
    ],
)
def test_what_a_child_is_told(setting: str, requested_device: str | None, device: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path, "device": setting})
    assert child_device(settings, {} if requested_device is None else {"device": requested_device}) == device


def test_a_gpu_study_waits_while_a_worker_without_one_does_the_others(workshop: Workshop) -> None:
    on_gpu, anywhere, on_cpu = (
        workshop.submit((1,), 2),
        workshop.submit((1,), 2),
        workshop.submit((1,), 2, device="cpu"),
    )
    with workshop.database.write() as session:
        for experiment, device in ((on_gpu, "gpu"), (on_cpu, "cpu")):
            session.execute(update(ExperimentRow).where(ExperimentRow.id == experiment).values(device=device))
    workshop.worker()
    for experiment in (anywhere, on_cpu):
        assert workshop.wait(experiment) == "succeeded"
        workshop.check(experiment)
    assert workshop.state(on_gpu) == "queued"
    with workshop.database.read() as session:
        query = select(CohortRow.attempt).where(CohortRow.experiment_id == on_gpu)
        assert session.execute(query).scalar_one() == 0
        assert session.execute(select(WorkerRow.device)).scalar_one() == "cpu"


def test_a_worker_that_is_to_use_a_gpu_and_finds_none_holds_the_work_and_says_so(workshop: Workshop) -> None:
    experiment = workshop.submit((1,), 2)
    workshop.worker(FIRSTLIGHT_DEVICE="cuda")

    def problem() -> str | None:
        with workshop.database.read() as session:
            return session.scalar(select(WorkerRow.problem))

    assert eventually(problem, "the worker to say what is missing") == (
        "FIRSTLIGHT_DEVICE is cuda, but PyTorch finds no CUDA device here"
    )
    assert workshop.cohort(experiment).attempt == 0
