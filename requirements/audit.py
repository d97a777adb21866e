"""Asks a vulnerability service about every locked package: ``make audit``. The tool is pip-audit; nothing is installed.

It ends with 1 when the service knows of a vulnerability, and with nothing else: whether the service can be reached is
not a matter of this code. What was not looked up is counted and said, for "nothing known" about packages that nobody
looked up would be wrong.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SECONDS = 600.0


def asked(auditor: list[str], lock: Path) -> list[dict[str, Any]] | None:
    """What the service says of each package of this file; None when it gave no answer."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.json"
        command = [*auditor, "--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"]
        try:
            done = subprocess.run(
                [*command, "--output", str(out), "--requirement", str(lock)],
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None
        if out.exists():
            return json.loads(out.read_text("utf-8"))["dependencies"]
        sys.stderr.write("".join(done.stderr.splitlines(keepends=True)[-1:])[:500])
        return None


def main() -> int:
    """Ask about every lock, print what is known, and what nobody could say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--auditor", nargs="+", default=[sys.executable, "-m", "pip_audit"], help="the command")
    parser.add_argument("--locks", nargs="+", type=Path, default=sorted(FOLDER.glob("*.txt")))
    options = parser.parse_args()
    findings: set[str] = set()
    for lock in options.locks:
        packages = asked(options.auditor, lock)
        if packages is None:
            sys.stdout.write(f"{lock.name}: the vulnerability service cannot be reached; nothing was looked up\n")
            continue
        skipped = [package["name"] for package in packages if "skip_reason" in package]
        sys.stdout.write(f"{lock.name}: {len(packages) - len(skipped)} of {len(packages)} packages looked up\n")
        if skipped:
            more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
            sys.stdout.write(f"  the service did not find {', '.join(skipped[:5])}{more}\n")
        findings |= {
            f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions'])}"
            for package in packages
            for hole in package.get("vulns", ())
        }
    sys.stdout.write("".join(f"VULNERABLE {finding}\n" for finding in sorted(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
