"""Settings: read once from the environment, a `.env` file and `*_FILE` secrets; immutable afterwards."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "FIRSTLIGHT_"
BUCKETS = ("s3", "gs", "az")
"""Kinds of URLs that name a bucket for the artifacts, not a folder."""


def _with_secret_files(environment: dict[str, str]) -> dict[str, Any]:
    """Resolve ``FIRSTLIGHT_X_FILE`` to the content of that file, as container secrets are handed over."""
    secrets: dict[str, Any] = {}
    for name, path in environment.items():
        if name.startswith(PREFIX) and name.endswith("_FILE") and path:
            try:
                text = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                message = (
                    f"{name} names {path!r}, which cannot be read ({error}); name a text file this process may read"
                )
                raise ValueError(message) from error
            secrets[name.removeprefix(PREFIX).removesuffix("_FILE").lower()] = text
    return secrets


def _with_password(url: str, password: SecretStr | None) -> str:
    """The URL with the password behind its user; as it is where there is none."""
    if password is None:
        return url
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password.get_secret_value(), safe='')}@{place}").geturl()


def _check_artifacts_url(url: str) -> None:
    """Refuse what is neither an absolute folder nor a bucket. What may be a credential is not repeated."""
    legal = "give an absolute folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
    if url.startswith(("/", "~")):
        return
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        message = (
            f"holds more than a place; {legal}. Credentials come from the variables of the cloud, never in the URL"
        )
        raise ValueError(message)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return
    if parts.scheme in BUCKETS and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", parts.netloc):
        if any(part in ("", ".", "..") for part in parts.path.strip("/").split("/")) and parts.path.strip("/"):
            message = f"{url[:200]!r} has an empty part, . or .. in its prefix; {legal}"
            raise ValueError(message)
        return
    message = f"{url[:200]!r} is neither a folder nor a bucket; {legal}"
    raise ValueError(message)


class Settings(BaseSettings):
    """Everything an operator can set. Each field is the variable ``FIRSTLIGHT_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a check of the whole would show all that was set, secrets too
    )

    home: Path = Field(
        default=Path("~/.firstlight"), description="Database, checkpoints and figures of the embedded service."
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; default: SQLite in the home folder."
    )
    database_password: SecretStr | None = Field(
        default=None, description="Put into database_url, which then names none."
    )
    broker_url: SecretStr | None = Field(
        default=None, description="Celery broker URL; default: a folder in the home folder."
    )
    broker_password: SecretStr | None = Field(default=None, description="Put into broker_url, which then names none.")
    data_dir: Path | None = Field(default=None, description="Data sets: downloads, and files put there by hand.")
    artifacts_url: str | None = Field(
        default=None,
        repr=False,  # what is refused may hold a credential
        description="Where checkpoints and uploads are kept; default: artifacts in the home folder.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where trials train.")

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Accepted bearer keys, separated by commas or white space."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Host names that a service without keys answers to besides this machine's own."
    )
    rate_limit: str = Field(
        default="30000/minute", description="Most requests of one key, or of one address without keys; empty for none."
    )
    audit_days: float = Field(default=365.0, gt=0.0, le=36_500.0, description="How long the audit log is kept.")
    max_trials: int = Field(default=2_000, ge=1, description="Most trials one experiment may have.")
    max_unfinished_trials: int = Field(
        default=200_000, ge=1, description="Most trials of all experiments together that are queued, running or paused."
    )
    max_unfinished_experiments: int = Field(
        default=2_000, ge=1, description="Most experiments that are queued, running or paused."
    )
    max_workspace_trials: int | None = Field(
        default=None, ge=1, description="Most trials of one workspace that are queued, running or paused."
    )
    max_workspace_experiments: int | None = Field(
        default=None, ge=1, description="Most experiments of one workspace that are queued, running or paused."
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1_000, description="Largest request body, uploads excepted.")
    max_streams: int = Field(default=200, ge=1, description="Most open event streams of one API process.")

    max_connections: int = Field(
        default=800, ge=10, description="Most open connections of one API process; those that wait make room for new."
    )
    header_seconds: float = Field(
        default=10.0, gt=0.0, le=3_600.0, description="Until the head of a request has to be here."
    )
    body_seconds: float = Field(
        default=20.0, gt=0.0, le=3_600.0, description="How long a body may come slower than 2,000 bytes/s."
    )

    slots: int = Field(default=1, ge=0, le=64, description="Cohorts trained at once by one worker.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of one slot; default: cores divided by slots."
    )
    cohort_width: int = Field(default=256, ge=1, le=4096, description="Most trials trained as one tensor program.")
    engine: Literal["auto", "native", "eager"] = Field(
        default="auto", description="Which training engine a child uses."
    )
    calibrate: bool = Field(default=True, description="Whether a worker measures its machine once, for better quotes.")
    lease_seconds: float = Field(default=10.0, gt=0.5, description="How long a silent worker keeps its cohort.")
    heartbeat_seconds: float = Field(default=2.0, gt=0.05, description="Between two renewals of a lease.")
    sweep_seconds: float = Field(default=1.0, gt=0.05, description="Between two searches for work without a doorbell.")
    checkpoint_seconds: float = Field(
        default=2.0, ge=0.0, description="Least time between two checkpoints of a cohort."
    )
    turn_seconds: float = Field(
        default=5.0,
        gt=0.0,
        description="How long a cohort trains before it gives way to an experiment that never began.",
    )
    child_memory_mb: int | None = Field(
        default=None,
        ge=64,
        le=100_000_000,
        description="Most memory, in MB of 1,000,000 bytes, that a process which trains may hold; default: no limit.",
    )
    hung_seconds: float = Field(default=120.0, gt=1.0, description="A child silent for so long is killed.")

    keep_events_days: float = Field(
        default=30.0, gt=0.0, le=36_500.0, description="How long event streams can go back; the last event stays."
    )
    keep_answers_days: float = Field(
        default=7.0, gt=0.0, le=36_500.0, description="How long an Idempotency-Key is remembered with its answer."
    )

    cpu_watts_per_core: float = Field(
        default=7.0,
        ge=0.0,
        description="Power of one busy core, for the energy of trials where no counter can be read.",
    )
    grid_grams_co2e_per_kwh: float = Field(
        default=445.0,
        ge=0.0,
        description="CO2 equivalent of the electricity; default: the world average of 2024 that carbontracker uses.",
    )

    metrics_host: str = Field(default="127.0.0.1", min_length=1, description="Where a worker opens its metrics_port.")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port from which Prometheus reads one worker; none by default."
    )

    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        names = [part.lower() for part in re.split(r"[,\s]+", value) if part] if isinstance(value, str) else value
        if isinstance(names, list | tuple):
            for name in names:
                if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f:.]+", str(name)):
                    message = f"{name!r} is no host name; give names without scheme and port, or *.example.org"
                    raise ValueError(message)
        return names

    @field_validator("rate_limit", mode="after")
    @classmethod
    def _amount_per_time(cls, value: str) -> str:
        if value and not re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", value):
            message = "give a number per second, minute, hour or day, such as 600/minute, or nothing for no limit"
            raise ValueError(message)
        return value

    @field_validator("home", "data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().resolve()

    @field_validator("artifacts_url", mode="after")
    @classmethod
    def _folder_or_bucket(cls, value: str | None) -> str | None:
        if value:
            _check_artifacts_url(value)
        return value or None

    @model_validator(mode="after")
    def _lease_outlives_heartbeat(self) -> Self:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            message = "lease_seconds must be at least twice heartbeat_seconds"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_experiment_fits(self) -> Self:
        for name in ("max_unfinished_trials", "max_workspace_trials"):
            most: int | None = getattr(self, name)
            if most is not None and most < self.max_trials:
                message = (
                    f"{name}={most} is less than max_trials={self.max_trials}: "
                    "an experiment as large as allowed would never be taken; raise the first or lower the second"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _passwords_have_a_place(self) -> Self:
        for kind, url, password in (
            ("database", self.database_url, self.database_password),
            ("broker", self.broker_url, self.broker_password),
        ):
            if password is None:
                continue
            parts = urlsplit(url.get_secret_value()) if url else None
            if parts is None or parts.scheme.startswith(("sqlite", "filesystem")) or parts.password is not None:
                message = (
                    f"{kind}_password is put into {kind}_url, which must be that of a server and hold no password: "
                    f"set {kind}_url so, or drop {kind}_password"
                )
                raise ValueError(message)
        return self

    @property
    def data_path(self) -> Path:
        """The data set folder."""
        return self.data_dir or self.home / "data"

    @property
    def bucket_url(self) -> str | None:
        """The bucket of the artifacts, without a slash at the end; None where a folder keeps them."""
        url = self.artifacts_url or ""
        return url.rstrip("/") if url.startswith(tuple(f"{kind}://" for kind in BUCKETS)) else None

    @property
    def artifacts_folder(self) -> Path:
        """The folder of the artifacts; of use only where no bucket keeps them."""
        url = self.artifacts_url or ""
        if not url:
            return self.home / "artifacts"
        return Path(unquote(urlsplit(url).path) if url.startswith("file:") else url).expanduser().resolve()

    @property
    def shares_uploads(self) -> bool:
        """Whether uploaded tables are kept with the artifacts: everywhere but in the folder of the home."""
        return self.bucket_url is not None or self.artifacts_folder != self.home / "artifacts"

    @property
    def database_file(self) -> Path:
        """Where the database of the embedded service is."""
        return self.home / "firstlight.db"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force; carries a password, never log it."""
        if self.database_url is None:
            return f"sqlite:///{self.database_file}"
        return _with_password(self.database_url.get_secret_value(), self.database_password)

    @property
    def broker(self) -> str:
        """The Celery broker URL in force; carries a password, never log it."""
        if self.broker_url is None:
            return "filesystem://"
        return _with_password(self.broker_url.get_secret_value(), self.broker_password)

    @property
    def embedded(self) -> bool:
        """True when no database is named: one machine, SQLite, no server."""
        return self.database_url is None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings.

    Raises:
        ValueError: naming each variable that is wrong, and its value unless that is a secret.
    """
    try:
        return Settings(**_with_secret_files(dict(os.environ)))
    except ValidationError as error:
        raise ValueError("; ".join(map(_told, error.errors()))) from None


def _told(error: ErrorDetails) -> str:
    if not error["loc"]:
        return error["msg"]
    name = str(error["loc"][0])
    field = Settings.model_fields[name]
    value = "" if "SecretStr" in str(field.annotation) or not field.repr else f"={error['input']}"
    return f"{PREFIX}{name.upper()}{value}: {error['msg']}"
