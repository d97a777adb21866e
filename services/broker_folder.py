"""The broker that needs no server: a folder of message files, one reader and many writers.

Kombu's own filesystem transport writes a message under its final name, so that a reader can catch it half written and
die of the broken JSON; and it takes messages through the machine's shared temporary folder. Here a message appears
whole or not at all, stays in its folder until it is gone, and one that is broken all the same is dropped.
"""

import json
import uuid
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

SCHEME = "filesystem"


class Channel(filesystem.Channel):
    """Puts by renaming a finished file into the folder."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        folder = Path(self.data_folder_out)
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        unfinished = folder / f".{name}.tmp"
        unfinished.write_text(dumps(payload), "utf-8")
        unfinished.replace(folder / name)

    def _get(self, queue: str) -> Any:
        folder = Path(self.data_folder_in)
        for path in sorted(folder.glob(f"[!.]*.{queue}.msg")):
            taken = folder / f".{path.name}.taken"
            try:
                path.rename(taken)  # of several readers, one succeeds
                text = taken.read_text("utf-8")
                taken.unlink()
                return loads(text)
            except (FileNotFoundError, json.JSONDecodeError):
                continue
        raise Empty


class Transport(filesystem.Transport):
    """The filesystem transport with these puts."""

    Channel = Channel


def install() -> None:
    """Make ``filesystem://`` mean this transport in this process."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def options(folder: Path, polling_seconds: float) -> dict[str, Any]:
    """Transport options for a broker in this folder, which only its owner may enter."""
    messages, control = folder / "messages", folder / "control"
    for path in (folder, messages, control):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": polling_seconds,
    }
