"""The broker that needs no server: a folder of message files, one reader and many writers.

Kombu's own filesystem transport writes a message under its final name, so that a reader can catch it half written and
die of the broken JSON; it takes messages through the machine's shared temporary folder; and whoever asks which queues
an exchange has can meet the list before it is written. Here a message and a list appear whole or not at all, a message
stays in its folder until it is gone, and what is broken all the same is dropped.
"""

import fcntl
import json
import uuid
from pathlib import Path
from queue import Empty
from threading import Lock
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

SCHEME = "filesystem"
BINDING = Lock()


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

    def get_table(self, exchange: str) -> list[Any]:
        """The queues of an exchange; none where the list cannot be read, for whoever listens binds them anew."""
        try:
            entries = loads(self._exchange_file(exchange).read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return []
        return [filesystem.exchange_queue_t(*entry) for entry in entries]

    def queue_bind(self, *args: Any, **options: Any) -> None:
        """As Kombu's; who finds a queue bound already may publish to it, so it has to be in the list by then."""
        with BINDING:
            super().queue_bind(*args, **options)

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        file = Path(self._exchange_file(exchange))
        entry = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with file.with_name(f".{file.name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed: of two that bind none forgets the other
            table = self.get_table(exchange)
            if entry in table and file.exists():
                return
            unfinished = file.with_name(f".{file.name}.{uuid.uuid4()}.tmp")
            unfinished.write_text(dumps([entry, *table]), "utf-8")
            unfinished.replace(file)


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
