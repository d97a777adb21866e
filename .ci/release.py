"""What a release needs: the version and its section of the changelog.

``cut 0.2.0`` sets the version and gives what is unreleased its section; ``check v0.2.0`` says whether a tag, the
version and the changelog agree; ``notes v0.2.0`` prints the section.
"""

import argparse
import datetime as dt
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNRELEASED = "## Unreleased"
VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)
SECTION = re.compile(r"^## (\S+)( - \d{4}-\d{2}-\d{2})?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


class ReleaseError(Exception):
    """It cannot be released like this; the message says why."""


def section(root: Path, version: str) -> str:
    """The changelog's section of a version.

    Raises:
        ReleaseError: there is none, or nothing is in it.
    """
    for heading in SECTION.finditer((root / "CHANGELOG.md").read_text("utf-8")):
        if heading[1] == version and (text := heading[3].strip()):
            return text
    raise ReleaseError(
        f"CHANGELOG.md has nothing under `## {version}`; `make release VERSION={version}` moves it there"
    )


def cut(root: Path, version: str, day: dt.date) -> None:
    """Set the version, and give what is unreleased the version's section.

    Raises:
        ReleaseError: nothing is unreleased, or the version is none or was there before.
    """
    if not NUMBER.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version; give one such as 0.2.0 or 0.2.0rc1")
    changes = (root / "CHANGELOG.md").read_text("utf-8")
    if f"\n## {version}\n" in changes or f"\n## {version} " in changes:
        raise ReleaseError(f"CHANGELOG.md has a section for {version} already")
    section(root, UNRELEASED.removeprefix("## "))
    project = (root / "pyproject.toml").read_text("utf-8")
    (root / "pyproject.toml").write_text(VERSION.sub(f'version = "{version}"', project, count=1), "utf-8")
    opened = f"{UNRELEASED}\n\n## {version} - {day.isoformat()}"
    (root / "CHANGELOG.md").write_text(changes.replace(UNRELEASED, opened, 1), "utf-8")


def check(root: Path, tag: str) -> None:
    """See that the tag names the version, and that the changelog has its section.

    Raises:
        ReleaseError: it does not.
    """
    statement = VERSION.search((root / "pyproject.toml").read_text("utf-8"))
    stated = statement[1] if statement else None
    if tag != f"v{stated}":
        raise ReleaseError(f"the tag {tag} is not v{stated}, the version that pyproject.toml states")
    section(root, tag.removeprefix("v"))


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("cut", "check", "notes"))
    parser.add_argument("version", help="0.2.0, or its tag v0.2.0")
    options = parser.parse_args()
    version = options.version.removeprefix("v")
    try:
        if options.action == "cut":
            cut(ROOT, version, dt.datetime.now(dt.UTC).date())
            sys.stdout.write(f"{version} is cut. Next: look, commit, `git tag v{version}`, push the tag.\n")
        elif options.action == "check":
            check(ROOT, options.version)
        else:
            sys.stdout.write(f"{section(ROOT, version)}\n")
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
