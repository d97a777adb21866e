"""Settings from the environment: secrets that come as files, passwords that stand apart from their address."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of this machine, no `.env` of this checkout, and none kept from another test."""
    for name in os.environ:
        if name.startswith("FIRSTLIGHT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def settings() -> Settings:
    return get_settings.__wrapped__()


def test_a_file_holds_the_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "api_keys"
    secret.write_text("one,two\nthree\n\n")
    monkeypatch.setenv("FIRSTLIGHT_API_KEYS_FILE", str(secret))
    assert [key.get_secret_value() for key in settings().api_keys] == ["one", "two", "three"]


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIRSTLIGHT_API_KEYS_FILE", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"FIRSTLIGHT_API_KEYS_FILE names '.*missing', which cannot be read"):
        settings()


@pytest.mark.parametrize(
    ("url", "full_url"),
    [
        (
            "postgresql+psycopg://firstlight@postgres:5432/firstlight",
            "postgresql+psycopg://firstlight:p%40s%3As%2F%25@postgres:5432/firstlight",
        ),
        (
            "postgresql+psycopg://u@/n?host=/run/postgresql",
            "postgresql+psycopg://u:p%40s%3As%2F%25@/n?host=/run/postgresql",
        ),
        ("postgresql://u@h/n?sslmode=require", "postgresql://u:p%40s%3As%2F%25@h/n?sslmode=require"),
    ],
)
def test_a_password_of_its_own_is_put_into_the_database_url(
    url: str, full_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from services.db.database import database_url

    secret = tmp_path / "password"
    secret.write_text("p@s:s/%\n")
    monkeypatch.setenv("FIRSTLIGHT_DATABASE_URL", url)
    monkeypatch.setenv("FIRSTLIGHT_DATABASE_PASSWORD_FILE", str(secret))
    assert settings().database == full_url
    assert database_url(settings().database).password == "p@s:s/%"
    assert "p@s" not in repr(settings())


def test_a_password_of_its_own_is_put_into_the_broker_url(monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.connection import parse_url

    monkeypatch.setenv("FIRSTLIGHT_BROKER_URL", "redis://redis:6379/0")
    monkeypatch.setenv("FIRSTLIGHT_BROKER_PASSWORD", "p@s:s/%")
    assert settings().broker == "redis://:p%40s%3As%2F%25@redis:6379/0"
    assert parse_url(settings().broker)["password"] == "p@s:s/%"


@pytest.mark.parametrize("kind", ["database", "broker"])
@pytest.mark.parametrize("url", [None, "sqlite:////tmp/x.db", "redis://:already@redis:6379/0"])
def test_a_password_without_a_place_is_refused(
    kind: str, url: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if url is not None:
        monkeypatch.setenv(f"FIRSTLIGHT_{kind.upper()}_URL", url)
    monkeypatch.setenv(f"FIRSTLIGHT_{kind.upper()}_PASSWORD", "canary-1234")
    with pytest.raises(ValueError, match=f"{kind}_password is put into {kind}_url") as refused:
        settings()
    assert "canary-1234" not in str(refused.value)
    with pytest.raises(ValidationError) as raw:
        Settings.model_validate({"home": tmp_path, f"{kind}_password": "canary-1234"})
    assert "canary-1234" not in str(raw.value)


def test_what_is_wrong_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTLIGHT_SLOTS", "many")
    monkeypatch.setenv("FIRSTLIGHT_DEVICE", "tpu")
    with pytest.raises(ValueError, match=r"FIRSTLIGHT_DEVICE=tpu: .*; FIRSTLIGHT_SLOTS=many: .*integer"):
        settings()


def test_settings_can_be_copied_with_their_passwords() -> None:
    first = Settings.model_validate({"broker_url": "redis://redis:6379/0", "broker_password": "secret"})
    assert Settings.model_validate({**first.model_dump(), "slots": 3}).broker == "redis://:secret@redis:6379/0"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("artifacts", "'artifacts' is neither a folder nor a bucket; give an absolute folder, file:///folder, s3://"),
        ("ftp://lab/x", "'ftp://lab/x' is neither a folder nor a bucket"),
        ("file://host/x", "'file://host/x' is neither"),
        ("s3://", "'s3://' is neither"),
        ("s3://lab/a/../b", "has an empty part, . or .. in its prefix"),
        ("s3://key:hunter2@lab/x", "holds more than a place; .* Credentials come from the variables of the cloud"),
        ("az://lab/x?sig=hunter2", "holds more than a place"),
    ],
)
def test_an_artifacts_url_is_a_folder_or_a_bucket(monkeypatch: pytest.MonkeyPatch, url: str, why: str) -> None:
    monkeypatch.setenv("FIRSTLIGHT_ARTIFACTS_URL", url)
    with pytest.raises(ValueError, match="FIRSTLIGHT_ARTIFACTS_URL: ") as refused:
        settings()
    assert re.search(why, str(refused.value))
    assert "hunter2" not in str(refused.value)


def test_no_artifacts_url_is_the_folder_of_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIRSTLIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("FIRSTLIGHT_ARTIFACTS_URL", "")
    assert (settings().artifacts_folder, settings().bucket_url) == (tmp_path / "artifacts", None)
    assert not settings().shares_uploads
    monkeypatch.setenv("FIRSTLIGHT_ARTIFACTS_URL", "gs://lab/one/two/")
    assert settings().bucket_url == "gs://lab/one/two"
    assert settings().shares_uploads
