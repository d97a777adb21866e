"""What this worker trains on: what the setting allows, of what PyTorch finds; known once a child has said that.

The worker itself never imports PyTorch. Until a child has spoken, a worker that is to use whatever there is takes only
what a processor can do, and one that is to use a GPU takes nothing.
"""

from collections.abc import Sequence
from typing import Any

from services.child_protocol import DeviceChoice
from services.settings import Settings


class Devices:
    """The devices of one worker, in the words of a spec: cpu, gpu."""

    def __init__(self, settings: Settings) -> None:
        self._setting = settings.device
        self._cuda: bool | None = None

    def heard(self, names: Sequence[str] | None) -> None:
        """A child has said which devices PyTorch finds; None where it did not say."""
        self._cuda = self._setting == "cuda" if names is None else "cuda" in names

    @property
    def usable(self) -> tuple[str, ...]:
        """What may be claimed; empty while it is not known that there is a GPU and nothing else is allowed."""
        processor = ("cpu",) if self._setting != "cuda" else ()
        return (*processor, "gpu") if self._cuda and self._setting != "cpu" else processor

    @property
    def problem(self) -> str | None:
        """Why nothing can be claimed; None when something can, or while nothing is known."""
        if self._setting == "cuda" and self._cuda is False:
            return "FIRSTLIGHT_DEVICE is cuda, but PyTorch finds no CUDA device here"
        return None


def child_device(settings: Settings, spec: dict[str, Any]) -> DeviceChoice:
    """What a child is told: the device that the spec asks for in PyTorch's words, else what is set."""
    wishes: dict[str, DeviceChoice] = {"cpu": "cpu", "gpu": "cuda"}
    return wishes.get(str(spec.get("device")), settings.device)
