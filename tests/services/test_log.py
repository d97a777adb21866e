"""Log lines are one JSON object each, whoever writes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.log import MOST_LINE
from services.redaction import MARK, Redaction, cloud_secrets

CODE = """
import logging, structlog
from services.log import configure
from services.settings import Settings
configure(Settings(log_format="json", log_level="info"))
log = structlog.get_logger("mine")
log.info("event", number=3, text="two\\nlines")
log.debug("silent")
logging.getLogger("library").warning("said %s", "so")
logging.getLogger("celery.worker").info("chatter")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


def test_every_line_is_json() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    done = subprocess.run([sys.executable, "-c", CODE], env=clean, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["event", "said so", "broken"]
    assert lines[0]["number"] == 3
    assert lines[0]["text"] == "two\nlines"
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[2]["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert all("timestamp" in line for line in lines)
    assert done.stdout == ""


LONG = """
import logging, structlog
from services.log import configure
from services.settings import Settings
secrets = dict(api_keys="a-canary-key", broker_url="redis://x:9", broker_password="hunter2hunter2")
configure(Settings(log_format=FORMAT, **secrets))
log = structlog.get_logger("mine")

def deep(number, canary="a-canary-key"):
    if number == 0:
        raise RuntimeError("canary: a-canary-key " + "x" * 100_000)
    try:
        deep(number - 1)
    except RuntimeError as error:
        if number % 10 == 0:
            raise ValueError("again " + "y" * 50_000) from error
        raise

try:
    deep(90)
except ValueError:
    headers = {"authorization": "Bearer a-canary-key"}
    log.exception("broken", path="/a\\nforged line", headers=headers, rows=list(range(10**6)))
    urls = ("redis://:hunter2hunter2@host:1/0", "postgresql://me:other-secret@h/d")
    logging.getLogger("library").exception("dsn %s %s", *urls)
log.info("password=not-ours-but-a-secret", blob="a-canary-key" * 20_000, tail="z" * 65_530 + "a-canary-key" + "z" * 9)
"""


@pytest.mark.parametrize("kind", ["json", "console"])
def test_no_line_holds_a_secret_or_a_local_variable_or_is_long(kind: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    code = LONG.replace("FORMAT", repr(kind))
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    for secret in ("a-canary-key", "a-canary", "hunter2", "other-secret", "not-ours"):
        assert secret not in done.stderr
    assert "broken" in done.stderr
    assert "deep" in done.stderr
    assert "\nforged line" not in done.stderr
    assert "locals" not in done.stderr
    assert len(done.stderr) <= 3 * MOST_LINE
    if kind == "json":
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert lines[0]["exception"][0]["frames"][-1]["name"] == "deep"
        assert len(lines) == 3


def test_credentials_of_a_bucket_do_not_reach_a_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-token-of-the-cloud\n")
    variables = {
        "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-bucket",
        "AZURE_STORAGE_ACCOUNT_KEY": "the+key/of=",
        "AWS_SESSION_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "none"),
        "AWS_REGION": "eu-central-1",
    }
    secrets = cloud_secrets(variables)
    assert secrets == ["the-secret-of-the-bucket", "the+key/of=", "the-token-of-the-cloud"]
    line = Redaction(secrets).text(f"eu-central-1 {' '.join(secrets)}")
    assert line == f"eu-central-1 {MARK} {MARK} {MARK}"
