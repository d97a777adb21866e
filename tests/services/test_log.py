"""Log lines are one JSON object each, whoever writes them."""

import json
import os
import subprocess
import sys

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
