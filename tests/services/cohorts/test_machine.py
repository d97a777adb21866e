"""Any order of claims, commits, crashes, sweeps and requests leaves the database consistent: a state machine.

The invariants are checked after every step; at the end everything that can be finished is, and nothing is left over.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pydantic import SecretStr
from sqlalchemy import func, select, update

from services.child_protocol import CheckpointReport, Epochs
from services.cohorts.claim import Claim, claim, renew
from services.cohorts.commit import Outcome, commit_epochs
from services.cohorts.endings import UnfinishedError, finish, release
from services.cohorts.failure import Failure, Return, fail, hand_back
from services.cohorts.quarantine import quarantine
from services.cohorts.requests import request_cancel, request_pause, resume, retry_failed
from services.cohorts.sweep import reap, sweep
from services.db.base import Base
from services.db.database import Database
from services.db.tables import AttemptRow, CheckpointRow, CohortRow, EventRow, ExperimentRow, TrialRow, WorkspaceRow
from services.errors import ConflictError
from services.settings import Settings
from services.states import FINAL, check_move
from services.trials.rows import read_rows
from tests.support.experiments import loss, make_experiment, message

TTL = 1000.0
WORKERS = ("w1", "w2", "w3")
CODES = ("crash", "crash", "crash", "oom", "checkpoint_mismatch", "dataset_invalid")
REQUESTS = (request_pause, resume, request_pause, resume, retry_failed, request_cancel)
place = st.integers(0, 1000)


@dataclass
class Token:
    """A claim, and the worker that holds it or believes it does."""

    claim: Claim
    worker: str


class Delivery(RuleBasedStateMachine):
    """The database functions under any order of calls. `database` is set by the test."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[Token] = []
        self.experiments: list[str] = []
        self.finals: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.empty()

    def empty(self) -> None:
        with self.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name != WorkspaceRow.__tablename__:  # there always is one
                    session.execute(table.delete())

    # what is true now, read from the database

    def row(self, token: Token) -> CohortRow:
        with self.database.read() as session:
            return session.get_one(CohortRow, token.claim.cohort_id)

    def holds(self, token: Token) -> bool:
        row = self.row(token)
        return row.state == "running" and row.attempt == token.claim.attempt

    def held(self) -> list[Token]:
        return [token for token in self.tokens if self.holds(token)]

    def pick(self, index: int) -> Token:
        group = self.held()
        return group[index % len(group)]

    def state(self, experiment: str) -> str:
        with self.database.read() as session:
            return session.get_one(ExperimentRow, experiment).state

    def something_waits(self) -> bool:
        with self.database.read() as session:
            return session.scalar(select(func.count()).where(CohortRow.state == "queued")) != 0

    def live(self) -> list[str]:
        return [experiment for experiment in self.experiments if self.state(experiment) not in FINAL]

    def report(self, token: Token, count: int, save: bool) -> Epochs | None:
        """The next epochs of this cohort, as its present attempt would report them; None when all are stored."""
        row = self.row(token)
        first = row.last_epoch + 1
        to = min(first + count - 1, row.epochs)
        if first > row.epochs:
            return None
        seeds = [trial.seed for trial in token.claim.trials]
        file: CheckpointReport | None = None
        if save:
            file = {"epoch": to, "path": f"{token.claim.attempt}/{to}", "sha256": "0" * 64, "bytes": 1}
        # Divergence is a fact of the trial: seed 2 diverges at epoch 2, in whatever attempt.
        gone = {slot: 2 for slot, seed in enumerate(seeds) if seed == 2 and first <= 2 <= to}
        return message(first, to, seeds, checkpoint=file, diverged=gone)

    # rules

    @rule(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=2), epochs=st.integers(2, 6))
    @precondition(lambda self: len(self.live()) < 2)
    def submit(self, sizes: list[int], epochs: int) -> None:
        with self.database.write() as session:
            self.experiments.append(make_experiment(session, sizes, epochs))

    @rule(worker=st.sampled_from(WORKERS))
    @precondition(lambda self: self.something_waits())
    def take(self, worker: str) -> None:
        with self.database.write() as session:
            session.execute(update(CohortRow).values(available_at=0.0))
            taken = claim(session, worker, TTL)
        assert taken is not None
        assert all(saved.epoch <= taken.last_epoch for saved in taken.checkpoints)
        self.tokens.append(Token(taken, worker))

    @rule(index=place, count=st.integers(1, 3), save=st.booleans())
    @precondition(lambda self: self.held())
    def commit(self, index: int, count: int, save: bool) -> None:
        token = self.pick(index)
        report = self.report(token, count, save)
        if report is None:
            return
        for outcome in (Outcome.COMMITTED, Outcome.ALREADY):
            with self.database.write() as session:
                done = commit_epochs(session, token.claim.cohort_id, token.claim.attempt, report, TTL)
            assert done.outcome is outcome

    @rule(index=place)
    @precondition(lambda self: self.held())
    def renew(self, index: int) -> None:
        token = self.pick(index)
        with self.database.write() as session:
            assert renew(session, token.claim.cohort_id, token.claim.attempt, TTL) == self.row(token).desired

    @rule(index=place)
    @precondition(lambda self: self.held())
    def finish(self, index: int) -> None:
        token = self.pick(index)
        try:
            with self.database.write() as session:
                assert finish(session, token.claim.cohort_id, token.claim.attempt)
        except UnfinishedError:
            assert self.row(token).last_epoch < self.row(token).epochs
            assert self.holds(token)

    @rule(index=place, code=st.sampled_from(CODES), slot=st.none() | st.integers(0, 3))
    @precondition(lambda self: self.held())
    def fail(self, index: int, code: str, slot: int | None) -> None:
        token = self.pick(index)
        before = self.row(token)
        with self.database.write() as session:
            verdict = fail(session, token.claim.cohort_id, token.claim.attempt, Failure(code, "x", slot))
        if before.desired == "cancel":
            assert verdict == "cancelled"
        elif code == "dataset_invalid":
            assert verdict == "failed"
        elif before.size > 1 and (before.failures > 0 or code == "oom" or (slot is not None and slot < before.size)):
            assert verdict == "split"
        elif before.failures > 0:
            assert verdict == "failed"
        else:
            assert verdict == {"run": "queued", "pause": "paused"}[before.desired]

    @rule(index=place)
    @precondition(lambda self: self.held())
    def release(self, index: int) -> None:
        token = self.pick(index)
        wish = self.row(token).desired
        with self.database.write() as session:
            verdict = release(session, token.claim.cohort_id, token.claim.attempt)
        assert verdict == {"run": "queued", "pause": "paused", "cancel": "cancelled"}[wish]

    @rule(index=place, outcome=st.sampled_from(["lost", "returned"]))
    @precondition(lambda self: self.held())
    def hand_back(self, index: int, outcome: Return) -> None:
        token = self.pick(index)
        before = self.row(token)
        with self.database.write() as session:
            verdict = hand_back(session, token.claim.cohort_id, token.claim.attempt, outcome, "x")
        assert verdict == {"run": "queued", "pause": "paused", "cancel": "cancelled"}[before.desired]
        after = self.row(token)
        assert (after.failures, after.losses, after.size) == (before.failures, before.losses, before.size)

    @rule(index=place)
    @precondition(lambda self: self.held())
    def set_apart(self, index: int) -> None:
        token = self.pick(index)
        wish = self.row(token).desired
        with self.database.write() as session:
            assert quarantine(session, token.claim.cohort_id, "x", token.claim.attempt)
            assert not quarantine(session, token.claim.cohort_id, "x")
        assert self.row(token).state == ("cancelled" if wish == "cancel" else "failed")

    @rule(index=place)
    @precondition(lambda self: self.held())
    def go_silent(self, index: int) -> None:
        token = self.pick(index)
        with self.database.write() as session:
            this = CohortRow.id == token.claim.cohort_id
            session.execute(update(CohortRow).where(this).values(lease_expires_at=1.0))
            assert sweep(session) == 1
            assert sweep(session) == 0
        assert not self.holds(token)

    @rule(worker=st.sampled_from(WORKERS))
    @precondition(lambda self: self.held())
    def die(self, worker: str) -> None:
        mine = [token for token in self.held() if token.worker == worker]
        with self.database.write() as session:
            assert reap(session, [worker]) == len(mine)
        assert not any(self.holds(token) for token in mine)

    @rule(index=place, save=st.booleans())
    @precondition(lambda self: len(self.held()) < len(self.tokens))
    def a_zombie_tries_everything(self, index: int, save: bool) -> None:
        dead = [token for token in self.tokens if not self.holds(token)]
        token = dead[index % len(dead)]
        cohort, attempt = token.claim.cohort_id, token.claim.attempt
        report = self.report(token, 2, save)
        with self.database.write() as session:
            if report is not None:
                assert commit_epochs(session, cohort, attempt, report, TTL).outcome is Outcome.FENCED
            assert renew(session, cohort, attempt, TTL) is None
            assert not finish(session, cohort, attempt)
            assert fail(session, cohort, attempt, Failure("crash", "x")) is None
            assert release(session, cohort, attempt) is None
            assert hand_back(session, cohort, attempt, "lost", "x") is None
            assert not quarantine(session, cohort, "x", attempt)

    @rule(
        index=place, what=st.sampled_from([request_pause, resume, request_pause, resume, retry_failed, request_cancel])
    )
    @precondition(lambda self: self.experiments)
    def ask(self, index: int, what: Callable[..., Any]) -> None:
        group = self.live() if what is not retry_failed else self.experiments
        experiment = (group or self.experiments)[-1 - index % len(group or self.experiments)]
        before = self.state(experiment)
        try:
            with self.database.write() as session:
                what(session, experiment)
        except ConflictError:
            assert self.state(experiment) == before
        else:
            legal = {
                request_cancel: ("queued", "running", "paused", "cancelled"),
                request_pause: ("queued", "running", "paused"),
                resume: ("running", "paused", "queued"),
                retry_failed: ("failed",),
            }
            assert before in legal[what]
            if what is retry_failed:
                del self.finals[experiment]
            if what is request_cancel:
                with self.database.read() as session:
                    mine = CohortRow.experiment_id == experiment
                    left = set(session.execute(select(CohortRow.state, CohortRow.desired).where(mine)).all())
                assert {wish for state, wish in left if state not in FINAL} <= {"cancel"}

    # invariants

    @invariant()
    def consistent(self) -> None:
        with self.database.read() as session:
            for cohort in session.scalars(select(CohortRow)):
                self.check_cohort(session, cohort)
            for experiment in session.scalars(select(ExperimentRow)):
                self.check_experiment(session, experiment)

    def check_cohort(self, session: Any, cohort: CohortRow) -> None:
        check_move(self.states.get(cohort.id), cohort.state)
        self.states[cohort.id] = cohort.state
        running = cohort.state == "running"
        assert (cohort.lease_owner is not None) == running
        assert (cohort.lease_expires_at > 0) == running
        attempts = session.scalars(
            select(AttemptRow).where(AttemptRow.cohort_id == cohort.id).order_by(AttemptRow.attempt)
        ).all()
        assert [row.attempt for row in attempts] == list(range(1, cohort.attempt + 1))
        assert [row.outcome is None for row in attempts] == [False] * (cohort.attempt - running) + [True] * running
        trials = session.scalars(select(TrialRow).where(TrialRow.cohort_id == cohort.id).order_by(TrialRow.slot)).all()
        assert [trial.slot for trial in trials] == list(range(cohort.size))
        diverged = {trial.id: trial.diverged["epoch"] for trial in trials if trial.diverged}
        assert {trial.state for trial in trials} <= {cohort.state, "diverged"}
        rows = read_rows(session, [trial.id for trial in trials])
        for trial in trials:
            last = min(cohort.last_epoch, diverged.get(trial.id, cohort.last_epoch))
            epochs = rows[trial.id].epochs.tolist() if trial.id in rows else []
            assert epochs == list(range(last + 1))
            if epochs:
                values = rows[trial.id].metrics["val_loss"]
                finite = last if trial.id in diverged else last + 1
                assert values[:finite].tolist() == [loss(trial.seed, epoch) for epoch in range(finite)]
                assert np.isnan(values[finite:]).all()
            assert (trial.final is not None) == (
                trial.state == "succeeded" or (cohort.state in FINAL and trial.state == "diverged")
            )
        if cohort.state == "succeeded":
            assert cohort.last_epoch == cohort.epochs or len(diverged) == cohort.size
        places = [list(row.slots) for row in session.scalars(select(CheckpointRow)) if row.slots is not None]
        assert all(len(set(slots)) == len(slots) for slots in places)
        if cohort.state in FINAL:
            count = select(func.count()).where(CheckpointRow.cohort_id == cohort.id)
            assert session.scalar(count) == 0

    def check_experiment(self, session: Any, experiment: ExperimentRow) -> None:
        states = set(session.scalars(select(CohortRow.state).where(CohortRow.experiment_id == experiment.id)))
        final = experiment.state in FINAL
        assert final == (states <= set(FINAL))
        assert ("running" in states) <= (experiment.state == "running")
        assert (experiment.state == "paused") <= ("paused" in states)
        assert (experiment.finished_at is not None) == final
        if final:
            assert self.finals.setdefault(experiment.id, experiment.state) == experiment.state
            order = ("cancelled", "failed", "succeeded")
            assert experiment.state == next(state for state in order if state in states)
        else:
            assert experiment.id not in self.finals
        count = session.scalar(select(func.count()).where(TrialRow.experiment_id == experiment.id))
        assert count == experiment.trial_count
        events = session.scalars(
            select(EventRow).where(EventRow.experiment_id == experiment.id).order_by(EventRow.seq)
        ).all()
        assert [event.seq for event in events] == list(range(1, experiment.event_seq + 1))
        assert (events[-1].type == "done") == final
        moves = [event.payload for event in events if event.type == "state"]
        assert moves[-1]["state"] == experiment.state
        assert [move["previous"] for move in moves[1:]] == [move["state"] for move in moves[:-1]]

    def teardown(self) -> None:
        """Whatever happened, everything can be brought to an end."""
        for experiment in self.experiments:
            try:
                with self.database.write() as session:
                    resume(session, experiment)
            except ConflictError:
                pass
        for worker in WORKERS:
            self.die(worker)
        for _ in range(200):
            self.tokens.clear()
            if not self.something_waits():
                break
            self.take("last")
            while self.report(self.tokens[0], 1, False) is not None:
                self.commit(0, 4, False)
            self.finish(0)
        self.states.clear()  # many moves were made since it was looked last
        self.consistent()
        assert all(self.state(experiment) in FINAL for experiment in self.experiments)


def run(database: Database, examples: int, steps: int) -> None:
    Delivery.database = database
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
        ),
    )


def test_any_order_on_sqlite(migrated_sqlite: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "firstlight.db"
        shutil.copyfile(migrated_sqlite, path)
        database = Database(Settings(home=Path(folder), database_url=SecretStr(f"sqlite:///{path}")))
        run(database, examples=15, steps=40)
        database.dispose()


def test_any_order_on_postgresql(migrated_postgres_url: str, tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=SecretStr(migrated_postgres_url)))
    run(database, examples=6, steps=30)
    database.dispose()
