"""`firstlight demo`, which `make demo` calls: from nothing to a report that opens without a network."""

import io
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from firstlight import demo
from firstlight.process import Service
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


class WithoutWorker(Service):
    """A service whose worker cannot start."""

    def _command(self, module: str, *arguments: str) -> Sequence[str]:
        program = "import sys, time; time.sleep(0.5); sys.exit('there is no more room')"
        return (sys.executable, "-c", program) if module == "worker" else super()._command(module, *arguments)


def test_a_demo_whose_worker_ends_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Service", WithoutWorker)
    out = io.StringIO()
    console = Console(file=out, width=200)
    assert demo.run_demo(tmp_path / "report.html", console) == 1
    text = out.getvalue()
    assert "the worker ended with exit code 1" in text
    assert "there is no more room" in text
    assert not (tmp_path / "report.html").exists()
