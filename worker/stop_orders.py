"""What a supervisor asks of its child when it is to stop."""

import time
from dataclasses import dataclass, field
from typing import Literal

from services.child_protocol import StopMode

Order = StopMode | Literal["give way"]
"""To give way is to drain with all the time that it takes, so that another experiment can begin."""


@dataclass
class StopOrder:
    """A stop that was asked of the child: how, and since when."""

    mode: Order
    since: float = field(default_factory=time.monotonic)
    termed: bool = False
