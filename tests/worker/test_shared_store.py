"""Workers with homes of their own and one bucket: they share nothing else but the database."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from services.artifacts.chosen import artifacts_of
from services.datasets.shared import shared_uploads
from services.datasets.uploads import fill_upload, upload_csv
from services.db.database import Database
from services.db.tables import AttemptRow, CheckpointRow, CohortRow, WorkerRow
from services.experiments.store import create
from services.science.spec import ExperimentSpec
from services.settings import Settings
from tests.support.experiments import make_experiment
from tests.support.s3_server import BUCKET, SECRET_KEY, S3Server
from tests.support.supervising import settings_of, taken_from
from tests.support.workers import Workshop, eventually
from tests.worker.conftest import WAITS
from worker import slot as slot_module
from worker.bell import Bell
from worker.checkpoint_files import CheckpointFiles
from worker.devices import Devices
from worker.slot import Slot

URL = f"s3://{BUCKET}/study"
EMBEDDED = pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def on_host(workshop: Workshop, home: Path, s3_server: S3Server) -> dict[str, str]:
    """The variables of a host with a home of its own."""
    database = f"sqlite:///{workshop.settings.home / 'firstlight.db'}"
    settings = {"HOME": str(home), "DATABASE_URL": database, "ARTIFACTS_URL": URL, "CHECKPOINT_SECONDS": "0"}
    return {**s3_server.environment, **{f"FIRSTLIGHT_{name}": value for name, value in settings.items()}}


def begun_from(workshop: Workshop) -> list[int]:
    with workshop.database.read() as session:
        return list(session.scalars(select(AttemptRow.from_epoch).order_by(AttemptRow.attempt)))


@EMBEDDED
def test_a_worker_with_another_home_goes_on_from_the_checkpoint(
    workshop: Workshop, tmp_path: Path, s3_server: S3Server
) -> None:
    mark = tmp_path / "mark"
    gate = {"epoch": 20, "mark": str(mark)}
    first = workshop.worker(on_host(workshop, tmp_path / "one", s3_server))
    experiment = workshop.submit((2,), epochs=30, gate=gate)
    workshop.wait_epoch(experiment, 15)

    def saved() -> set[str]:
        with workshop.database.read() as session:
            return set(session.scalars(select(CheckpointRow.path)))

    eventually(saved, "a checkpoint")

    def store() -> tuple[str, str] | None:
        with workshop.database.read() as session:
            store_id, place = session.execute(select(WorkerRow.store_id, WorkerRow.store_place)).one()
        return (store_id, place) if store_id and place else None

    store_id, place = eventually(store, "the worker to say which store it uses")
    assert (f"{store_id}\n".encode(), place) == (s3_server.objects["study/store-id"][0], URL)
    for child in workshop.children():
        variables = Path(f"/proc/{child}/environ").read_bytes()
        assert b"AWS_" not in variables
        assert SECRET_KEY.encode() not in variables
    first.kill()
    first.wait()
    assert {f"study/{path}" for path in saved()} <= set(s3_server.names()), "a row names what is not in the store"
    mark.touch()
    workshop.worker(on_host(workshop, tmp_path / "two", s3_server))
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    before, after = begun_from(workshop)
    assert before == -1
    assert after > 0
    eventually(lambda: not s3_server.names("cohorts"), "the files of a cohort that is over to be removed")
    assert not list((tmp_path / "two" / "scratch").rglob("*.npz"))
    assert not (tmp_path / "two" / "artifacts").exists()
    assert SECRET_KEY not in workshop.logs()


@EMBEDDED
def test_a_store_that_is_away_holds_the_work(workshop: Workshop, tmp_path: Path, s3_server: S3Server) -> None:
    s3_server.stop()
    experiment = workshop.submit((2,), epochs=3)
    workshop.worker(on_host(workshop, tmp_path / "one", s3_server))

    def problem() -> str | None:
        with workshop.database.read() as session:
            return session.scalars(select(WorkerRow.problem)).one_or_none()

    assert f"the artifacts cannot be stored: {URL}: " in eventually(problem, "the worker to say why")
    eventually(lambda: "work_held" in workshop.logs(), "the work to be held")
    cohort = workshop.cohort(experiment)
    assert (cohort.state, cohort.attempt, cohort.losses, cohort.failures) == ("queued", 0, 0, 0)
    s3_server.start()
    assert workshop.wait(experiment) == "succeeded"
    assert workshop.outcomes(experiment) == ["done"]
    eventually(lambda: problem() is None, "the worker to have no problem any more")


@EMBEDDED
def test_training_goes_on_without_a_checkpoint_that_the_store_does_not_take(
    workshop: Workshop, tmp_path: Path, s3_server: S3Server
) -> None:
    mark = tmp_path / "mark"
    experiment = workshop.submit((2,), epochs=60, gate={"epoch": 20, "mark": str(mark)})
    workshop.worker(on_host(workshop, tmp_path / "one", s3_server))
    workshop.wait_epoch(experiment, 10)
    s3_server.failing = {"PUT"}
    mark.touch()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["done"]
    assert "checkpoint_not_stored" in workshop.logs()
    assert "503 Service Unavailable" in workshop.logs()


@ONE
def test_a_store_that_is_lost_after_the_claim_costs_no_budget(
    database: Database, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what can be resumed from: the cohort is given back, no checkpoint is forgotten."""
    settings = settings_of(database, tmp_path, artifacts_url=URL)
    slot = Slot(0, "w", database, settings, Bell(), command=WAITS, devices=Devices(settings), more_work=lambda: None)
    with database.write() as session:
        make_experiment(session, (2,))
        cohort = session.scalars(select(CohortRow)).one()
        cohort.last_epoch = 4
        name = f"cohorts/{cohort.id}/a0/epoch-4.npz"
        session.add(CheckpointRow(cohort_id=cohort.id, epoch=4, attempt=0, path=name, sha256="0" * 64, bytes=1))
    looked = slot._able

    def lost_right_after() -> bool:
        able = looked()
        s3_server.stop()
        return able

    monkeypatch.setattr(slot_module, "REST_SECONDS", 0.0)
    monkeypatch.setattr(slot, "_able", lost_right_after)
    assert slot._work()
    assert slot._spare is None
    with database.read() as session:
        cohort = session.scalars(select(CohortRow)).one()
        attempt = session.scalars(select(AttemptRow)).one()
        assert session.scalars(select(CheckpointRow.epoch)).all() == [4]
    assert (cohort.state, cohort.losses, cohort.failures, attempt.outcome) == ("queued", 0, 0, "returned")
    assert attempt.detail is not None
    assert f"StoreUnreachableError: {URL}: get {name}" in attempt.detail["detail"]
    assert not list((tmp_path / "home" / "scratch").rglob("coh_*"))


@ONE
def test_missing_is_not_damaged_in_a_bucket_either(database: Database, tmp_path: Path, s3_server: S3Server) -> None:
    whole = hashlib.sha256(b"whole").hexdigest()
    saved = [{"epoch": epoch, "path": f"cohorts/c/a1/epoch-{epoch}.npz", "sha256": whole} for epoch in (1, 2, 3)]
    source = tmp_path / "source"
    store = artifacts_of(settings_of(database, tmp_path, artifacts_url=URL))
    for epoch, content in ((1, b"whole"), (2, b"damaged")):
        source.write_bytes(content)
        store.put(saved[epoch - 1]["path"], source)
    forgotten: list[list[int]] = []
    files = CheckpointFiles(store, taken_from(database, saved=saved), forgotten.append)
    with structlog.testing.capture_logs() as logs:
        resume = files.resume()
    assert resume is not None
    assert resume["epoch"] == 1
    assert Path(resume["path"]).read_bytes() == b"whole"
    assert forgotten == [[2]]
    assert [line["folder"] for line in logs if line["event"] == "checkpoints_missing"] == [URL]


TEXT = b"x,y\n" + b"".join(b"%d,%d.5\n" % (i, i % 7) for i in range(60))


@EMBEDDED
def test_an_uploaded_table_is_trained_by_a_worker_with_another_home(
    workshop: Workshop, tmp_path: Path, s3_server: S3Server
) -> None:
    api = Settings(home=tmp_path / "api", artifacts_url=URL)
    shared = shared_uploads(api)
    table = upload_csv(api.data_path, "default", io.BytesIO(TEXT), shared=shared)
    body: Any = {"dataset": table.id, "activation": "relu", "initializer": "he_uniform", "epochs": 2, "seeds": 1}
    spec = ExperimentSpec.model_validate(fill_upload(body, api.data_path, "default", shared))
    with workshop.database.write() as session:
        experiment = create(session, spec, workshop.settings).id
    quick = {"FIRSTLIGHT_ENGINE": "eager"}  # nothing is compiled for a home that is new
    workshop.worker(on_host(workshop, tmp_path / "two", s3_server) | quick, real=True)
    assert workshop.wait(experiment) == "succeeded"
    copy = tmp_path / "two" / "data" / "uploads" / table.id
    assert (copy / "table.npz").read_bytes() == (api.data_path / "uploads" / table.id / "table.npz").read_bytes()
