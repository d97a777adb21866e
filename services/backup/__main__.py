"""`python -P -m services.backup save FILE` and `… restore FILE [--replace]`, with the settings of the service."""

import argparse
import sys
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from services.backup.manifest import BackupError, Manifest
from services.backup.restore import restore
from services.backup.save import save
from services.db.unusable import UnusableDatabaseError
from services.settings import get_settings


def main(arguments: list[str] | None = None) -> int:
    """Do it, and say what was done; 1 and the reason on stderr when it could not be."""
    parser = argparse.ArgumentParser(prog="python -m services.backup", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("save", "restore"):
        commands.add_parser(name).add_argument("file", type=Path)
    commands.choices["restore"].add_argument("--replace", action="store_true")
    options = parser.parse_args(arguments)
    path: Path = options.file.expanduser().absolute()
    try:
        settings = get_settings()
        if options.command == "save":
            saved = save(settings, path)
            _say(f"{path}: {_content(saved.manifest)}, {saved.bytes / 1e6:.1f} MB")
            _tell_left_out(saved.manifest)
        else:
            restored = restore(settings, path, replace=options.replace)
            _say(f"restored {_content(restored.manifest)} of {restored.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC")
            if restored.revision != restored.manifest.revision:
                _say(f"upgraded the schema from {restored.manifest.revision} to {restored.revision}")
            if restored.aside is not None:
                _say(f"the database that was there is {restored.aside} now; delete it when it is not needed any more")
            _tell_left_out(restored.manifest)
    except (BackupError, UnusableDatabaseError, ValueError) as error:
        return _refused(str(error))
    except DBAPIError as error:
        return _refused(f"the database cannot be worked with: {error.orig}")
    except OSError as error:
        return _refused(f"{path}: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}")
    return 0


def _content(manifest: Manifest) -> str:
    checkpoints = sum(name.startswith("artifacts/") for name in manifest.members)
    uploads = sum(name.startswith("uploads/") for name in manifest.members) // 2
    rows = f", {sum(table.rows for table in manifest.tables.values())} rows" if manifest.tables else ""
    return (
        f"{manifest.database} at schema {manifest.revision}{rows}, {checkpoints} checkpoints, {uploads} uploaded tables"
    )


def _tell_left_out(manifest: Manifest) -> None:
    if manifest.left_out:
        named = ", ".join(manifest.left_out[:3]) + (" and others" if len(manifest.left_out) > 3 else "")
        _say(f"without {len(manifest.left_out)} checkpoints that were not there ({named}): their cohorts begin earlier")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _refused(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
