"""What one API process is made of, put together once by `api.app.create_app`, as a request may use it."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from api.audit_log import AuditLog
from api.event_hub import Hub
from api.key_ring import KeyRing
from api.telemetry import Telemetry
from services.accounts.principal import Principal
from services.artifacts.interface import Artifacts
from services.datasets.shared import SharedUploads
from services.datasets.shared_files import SharedFiles
from services.db.isolation import WorkspaceDatabase
from services.figures.render import Renderer
from services.queue import Doorbell
from services.settings import Settings
from services.traces import Traces


@dataclass(frozen=True)
class Context:
    """The parts a route may use: its database is that of the workspace whose key asks.

    `uploads` and `data_files` are those of the store; None where they are kept in the data folder alone.
    """

    settings: Settings
    database: WorkspaceDatabase
    principal: Principal
    keys: KeyRing
    audit: AuditLog
    doorbell: Doorbell
    hub: Hub
    telemetry: Telemetry
    traces: Traces
    renderer: Renderer
    artifacts: Artifacts
    uploads: SharedUploads | None
    data_files: SharedFiles | None


def _context(request: Request) -> Context:
    parts: Context = request.app.state.context
    principal: Principal = request.state.principal
    return replace(parts, principal=principal, database=parts.database.within(principal.workspace))


ContextDep = Annotated[Context, Depends(_context)]
"""How a route asks for them."""
