"""`make audit` fails for what is known and for nothing else, and says what nobody looked up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).resolve().parents[2] / "requirements" / "audit.py"
SOUND: dict[str, Any] = {"name": "sound", "version": "1", "vulns": []}
BROKEN: dict[str, Any] = {
    "name": "broken",
    "version": "1",
    "vulns": [{"id": "GHSA-1", "fix_versions": ["2"], "aliases": [], "description": ""}],
}
UNKNOWN: dict[str, Any] = {"name": "unknown", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "status", "line"),
    [
        ([SOUND], 0, "lock.txt: 1 of 1 packages looked up\n"),
        ([SOUND, BROKEN], 1, "VULNERABLE broken 1: GHSA-1, mended in 2\n"),
        ([UNKNOWN], 0, "lock.txt: 0 of 1 packages looked up\n  the service did not find unknown\n"),
        (None, 0, "lock.txt: the vulnerability service cannot be reached; nothing was looked up\n"),
    ],
    ids=["sound", "broken", "unknown", "unreachable"],
)
def test_the_end_is_one_for_findings_alone(tmp_path: Path, packages: Any, status: int, line: str) -> None:
    answer = repr(None if packages is None else json.dumps({"dependencies": packages}))
    auditor = tmp_path / "auditor.py"
    auditor.write_text(
        "import sys, pathlib\n"
        f"answer = {answer}\n"
        "if answer is None:\n"
        "    sys.exit('ConnectionError: no such host')\n"
        "pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_text(answer)\n"
    )
    lock = tmp_path / "lock.txt"
    lock.touch()
    command = [sys.executable, str(AUDIT), "--auditor", sys.executable, str(auditor), "--locks", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, line in done.stdout) == (status, True), done.stdout + done.stderr
