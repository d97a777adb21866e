"""The whole schema on one page. The database is the truth; everything else wakes up, reads it and writes to it.

Moves of a cohort (and of its trials):

    queued ──claim──▶ running ──▶ succeeded | failed | cancelled
      ▲                  │
      └── release, expired lease, retry, resume from paused

`desired` is a request (run, pause, cancel); `state` is a fact.
"""

from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, validates

from services.db.base import Base, Json, JsonObject, UtcDateTime, now
from services.states import DESIRES, STATES, TRIAL_STATES, check_move

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a key may do; each may what those before it may."""
DEFAULT_WORKSPACE = "default"
"""The id of the workspace that is always there: what was stored before there were others belongs to it."""


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_legal")


_RUNNING = text("state = 'running'")


class ExperimentRow(Base):
    """One submitted spec, with its state and all that came of it.

    Of a workspace the lowest `priority` is served first, then the lowest `turn`: the higher it is, the later the
    experiment was served (`services/cohorts/turns.py`).
    `device` is what the spec asks for, cpu or gpu; NULL for any.
    """

    __tablename__ = "experiments"
    __table_args__ = (
        _one_of("state", STATES),
        _one_of("desired", DESIRES),
        Index("ix_experiments_created", "created_at", "id"),
        Index("ix_experiments_state", "state", "created_at"),
        Index("ix_experiments_line", "workspace_id", "state", "priority", "turn", "created_at", "id"),
        Index("ix_experiments_workspace", "workspace_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    # No foreign key: SQLite would rebuild the table for it, and workspaces are never deleted.
    workspace_id: Mapped[str] = mapped_column(String(40), default=DEFAULT_WORKSPACE, server_default=DEFAULT_WORKSPACE)
    name: Mapped[str | None] = mapped_column(String(200))
    tags: Mapped[list[str]] = mapped_column(Json, default=list)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    desired: Mapped[str] = mapped_column(String(8), default="run")
    spec: Mapped[dict[str, Any]] = mapped_column(JsonObject)
    spec_version: Mapped[int] = mapped_column(Integer)
    spec_digest: Mapped[str] = mapped_column(String(64), index=True)
    dataset: Mapped[str] = mapped_column(String(64), index=True)
    dataset_digest: Mapped[str | None] = mapped_column(String(64))
    epochs: Mapped[int] = mapped_column(Integer)
    trial_count: Mapped[int] = mapped_column(Integer)
    axes: Mapped[list[str]] = mapped_column(Json, default=list)
    warnings: Mapped[list[str]] = mapped_column(Json, default=list)
    quote: Mapped[dict[str, Any] | None] = mapped_column(Json)
    rounds: Mapped[dict[str, Any] | None] = mapped_column(Json)
    device: Mapped[str | None] = mapped_column(String(8))
    priority: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    turn: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"), index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    event_seq: Mapped[int] = mapped_column(Integer, default=0)
    version: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CohortRow(Base):
    """The trials trained together: the unit that is queued, leased, checkpointed and resumed.

    `attempt` is the fencing token: raised by each claim, compared by each write. Lease times are seconds since 1970 by
    the database's own clock, never a worker's. The lowest `priority` is claimed first, then the oldest.
    `duration_seconds` is the time of all reported epochs, `seconds_per_epoch` a moving average of it. A cohort that was
    split off another names it as `parent_id`, and in `parent_seq` the last event of the time before the split.
    """

    __tablename__ = "cohorts"
    __table_args__ = (
        _one_of("state", STATES),
        _one_of("desired", DESIRES),
        Index("ix_cohorts_claim", "state", "priority", "created_at", "position"),
        Index("ix_cohorts_experiment", "experiment_id", "state", "priority", "created_at", "position"),
        Index("ix_cohorts_running", "experiment_id", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    parent_id: Mapped[str | None] = mapped_column(String(40), index=True)
    parent_seq: Mapped[int | None] = mapped_column(Integer)
    size: Mapped[int] = mapped_column(Integer)
    epochs: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    desired: Mapped[str] = mapped_column(String(8), default="run")
    priority: Mapped[int] = mapped_column(Integer, default=0)
    available_at: Mapped[float] = mapped_column(Float, default=0.0)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    losses: Mapped[int] = mapped_column(Integer, default=0)
    interruptions: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(64), index=True)
    lease_expires_at: Mapped[float] = mapped_column(Float, default=0.0)
    last_epoch: Mapped[int] = mapped_column(Integer, default=-1)
    device: Mapped[str | None] = mapped_column(String(64))
    duration_seconds: Mapped[float] = mapped_column(Float(53), default=0.0)
    seconds_per_epoch: Mapped[float | None] = mapped_column(Float(53))
    energy_joules: Mapped[float | None] = mapped_column(Float(53))
    energy_method: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @validates("state")
    def _check_move(self, _name: str, state: str) -> str:
        check_move(self.__dict__.get("state"), state)
        return state


class TrialRow(Base):
    """One arm with one seed: one trained network. `slot` is its place inside its cohort."""

    __tablename__ = "trials"
    __table_args__ = (
        _one_of("state", TRIAL_STATES),
        Index("ix_trials_grid", "experiment_id", "position", unique=True),
        Index("ix_trials_cohort", "cohort_id", "slot"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    cohort_id: Mapped[str] = mapped_column(ForeignKey("cohorts.id", ondelete="CASCADE"))
    slot: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)
    arm: Mapped[dict[str, Any]] = mapped_column(Json)
    arm_key: Mapped[str] = mapped_column(String(16), index=True)
    label: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    epochs_done: Mapped[int] = mapped_column(Integer, default=0)
    final: Mapped[dict[str, Any] | None] = mapped_column(Json)
    best: Mapped[dict[str, Any] | None] = mapped_column(Json)
    diverged: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    device: Mapped[str | None] = mapped_column(String(64))
    duration_seconds: Mapped[float | None] = mapped_column(Float)
    energy_joules: Mapped[float | None] = mapped_column(Float)
    energy_method: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AttemptRow(Base):
    """One execution of a cohort, kept as evidence."""

    __tablename__ = "attempts"

    cohort_id: Mapped[str] = mapped_column(ForeignKey("cohorts.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(64))
    from_epoch: Mapped[int] = mapped_column(Integer, default=-1)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(16))
    detail: Mapped[dict[str, Any] | None] = mapped_column(Json)


class EpochRow(Base):
    """The numbers of one trial after one epoch, while its cohort runs; NULL stands for non-finite or not measured."""

    __tablename__ = "epoch_rows"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    train_loss: Mapped[float | None] = mapped_column(Float(53))
    val_loss: Mapped[float | None] = mapped_column(Float(53))
    train_accuracy: Mapped[float | None] = mapped_column(Float(53))
    val_accuracy: Mapped[float | None] = mapped_column(Float(53))
    val_mae: Mapped[float | None] = mapped_column(Float(53))
    val_rmse: Mapped[float | None] = mapped_column(Float(53))
    val_r2: Mapped[float | None] = mapped_column(Float(53))
    seconds: Mapped[float | None] = mapped_column(Float(53))
    extra: Mapped[dict[str, Any] | None] = mapped_column(Json)


class CurveRow(Base):
    """A finished trial's curve of one metric: little-endian float64 from epoch 0, NaN where the row had NULL."""

    __tablename__ = "curves"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    values: Mapped[bytes] = mapped_column(LargeBinary)


class DiagnosticRow(Base):
    """What one layer of one trial looked like after one epoch: scalars and histograms by name."""

    __tablename__ = "diagnostic_rows"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer: Mapped[str] = mapped_column(String(64), primary_key=True)
    layer_index: Mapped[int] = mapped_column(Integer)
    values: Mapped[dict[str, Any]] = mapped_column(Json)


class CheckpointRow(Base):
    """A file from which a cohort can resume after `epoch`, or later in the next one; its header says how far.

    The path is relative to the artifact folder. A file from further on in the same epoch takes the place of the row.
    `slots` are the places of the cohort's trials in the file, NULL where it holds these trials and no others: the parts
    of a cohort that was split share the files of the whole one.
    """

    __tablename__ = "checkpoints"

    cohort_id: Mapped[str] = mapped_column(ForeignKey("cohorts.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    slots: Mapped[list[int] | None] = mapped_column(Json)


class EventRow(Base):
    """What an event stream delivers. `seq` is dense per experiment: taken under the experiment row's lock."""

    __tablename__ = "events"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class WorkerRow(Base):
    """A worker process that may hold leases; (host, boot, pid, start time) identifies it even after a pid is reused.

    `problem` says why it takes no work at present, NULL when it does. `device` names what it can train on
    (`services/cohorts/workers.py`). `store_id` is that of the store it keeps files in, and
    `store_place` what it calls that.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    boot_id: Mapped[str] = mapped_column(String(64))
    pid: Mapped[int] = mapped_column(Integer)
    pid_start_time: Mapped[float] = mapped_column(Float)
    slots: Mapped[int] = mapped_column(Integer)
    device: Mapped[str | None] = mapped_column(String(64))
    heartbeat_at: Mapped[float] = mapped_column(Float)
    draining: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str | None] = mapped_column(Text)
    store_id: Mapped[str | None] = mapped_column(String(40))
    store_place: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class IdempotencyRow(Base):
    """What was answered to an Idempotency-Key, so that a repeated request gets the same answer."""

    __tablename__ = "idempotency"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), index=True)
    response: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class CalibrationRow(Base):
    """A measured fact that makes the next quote better: what one workload shape took, or a rate of a machine."""

    __tablename__ = "calibrations"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float] = mapped_column(Float(53))
    samples: Mapped[int] = mapped_column(Integer, default=1)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class WorkspaceRow(Base):
    """A place for experiments and data sets that no other place sees. The lowest `turn` was served longest ago."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    turn: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ApiKeyRow(Base):
    """A key that opens one workspace, up to its scope. Its secret is not here: only its SHA-256.

    `last_used_at` is brought up to date at most once a minute.
    """

    __tablename__ = "api_keys"
    __table_args__ = (_one_of("scope", SCOPES), Index("ix_api_keys_workspace", "workspace_id", "created_at", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[Scope] = mapped_column(String(8))
    secret_sha256: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditRow(Base):
    """Who did what: a request that changes something, or one that was refused. Never a body, never a key.

    `key_id` is NULL where no key was asked for or none was known; `object_id` where the request was about no one thing.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_workspace", "workspace_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    workspace_id: Mapped[str | None] = mapped_column(String(40))
    key_id: Mapped[str | None] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(8))
    operation: Mapped[str] = mapped_column(String(100))
    object_id: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    request_id: Mapped[str] = mapped_column(String(64))
