"""`firstlight demo`, which `make demo` calls: from nothing to a report that opens without a network."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.workers import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_ends_with_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "firstlight", "demo", "--report", str(report)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100%" in done.stdout
    assert "95 % interval" in done.stdout
    page = report.read_text()
    fetched = re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)([^"']+)""", page)
    assert [address for address in fetched if not address.startswith("https://doi.org")] == []
    assert "<svg" in page
