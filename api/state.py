"""What one API process is made of, put together once by `api.app.create_app`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.event_hub import Hub
from api.telemetry import Telemetry
from services.db.database import Database
from services.figures.render import Renderer
from services.queue import Doorbell
from services.settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts a route may use."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    hub: Hub
    telemetry: Telemetry
    renderer: Renderer


def _context(request: Request) -> Context:
    return request.app.state.context


ContextDep = Annotated[Context, Depends(_context)]
"""How a route asks for them."""
