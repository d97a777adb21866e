"""The child's end of the conversation with its supervisor: one JSON object per line, stdin in, stdout out."""

import logging
import os
import threading
from collections.abc import Callable
from typing import BinaryIO

import orjson

from services.child_protocol import FromChild, Start, StopMode

log = logging.getLogger(__name__)


class Channel:
    """Reads messages in a thread of its own and writes them whole.

    Attributes:
        stop_mode: ``cancel``, ``pause`` or ``drain`` once the supervisor has asked for it. A cancel overrides.
        acknowledged: the highest epoch the supervisor has committed; -1 before the first.
        saved: path of the last checkpoint it has committed that came by itself.
    """

    def __init__(self, source: BinaryIO, sink: int, at_end: Callable[[], None]) -> None:
        self.stop_mode: StopMode | None = None
        self.acknowledged = -1
        self.saved: str | None = None
        self._start: Start | None = None
        self._source = source
        self._sink = sink
        self._at_end = at_end
        self._news = threading.Condition()
        self._writing = threading.Lock()
        threading.Thread(target=self._listen, name="channel", daemon=True).start()

    def send(self, message: FromChild) -> None:
        """Write one message; non-finite numbers become null. Ends the process when nobody reads any more."""
        line = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        with self._writing:
            try:
                view = memoryview(line)
                while view:
                    view = view[os.write(self._sink, view) :]
            except BrokenPipeError:
                self._at_end()

    def wait_start(self) -> Start:
        """Wait for the start message."""
        with self._news:
            self._news.wait_for(lambda: self._start is not None)
        assert self._start is not None
        return self._start

    def wait_acknowledged(self, epoch: int, timeout: float | None = None, *, saved: str | None = None) -> bool:
        """Wait until `epoch` and the checkpoint `saved` are committed or a cancel arrives; false when neither came."""

        def answered() -> bool:
            committed = self.acknowledged >= epoch and saved in (None, self.saved)
            return committed or self.stop_mode == "cancel"

        with self._news:
            return self._news.wait_for(answered, timeout)

    def _listen(self) -> None:
        for line in self._source:
            try:
                message = orjson.loads(line)
                kind = message["type"]
                with self._news:
                    if kind == "start":
                        self._start = message
                    elif kind == "ack":
                        self.acknowledged = max(self.acknowledged, int(message["epoch"]))
                        self.saved = message.get("checkpoint", self.saved)
                    elif kind == "stop":
                        self.stop_mode = message["mode"] if self.stop_mode != "cancel" else "cancel"
                    else:
                        log.warning("a message of unknown type %r is ignored", kind)
                    self._news.notify_all()
            except (ValueError, KeyError, TypeError):
                log.warning("a line that is no message is ignored: %r", line[:200])
        self._at_end()
